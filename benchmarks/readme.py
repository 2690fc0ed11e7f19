"""The table of README's "What it costs", out of results.md: `python -m benchmarks.readme [FILE]`.

Rule: nothing is measured here, so what README says can be looked up in the same file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.report import table

RESULTS = Path(__file__).with_name("results.md")
COLUMNS = {
    "1 x 1, 200 B": "1 connection x 1 stream",
    "8 x 1, 200 B": "8 x 1",
    "4 x 16, 200 B": "4 x 16",
}
WAYS = {
    "shadow-sidecar, 0%": "shadow-sidecar, nothing sampled",
    "shadow-sidecar, 10%": "shadow-sidecar, 10 % shadowed",
    "shadow-sidecar, 100%": "shadow-sidecar, all that there is time for",
    "shadow-sidecar as Python, 0%": "the same as Python, nothing sampled",
    "shadow-sidecar as Python, 10%": "the same as Python, 10 % shadowed",
    "shadow-sidecar as Python, 100%": "the same as Python, all that there is time for",
    "Envoy, tcp_proxy": "Envoy, `tcp_proxy`",
    "Envoy, HTTP": "Envoy, HTTP",
    "Envoy, HTTP mirror, 10%": "Envoy, HTTP mirror, 10 % mirrored",
    "Envoy, HTTP mirror, 100%": "Envoy, HTTP mirror, all mirrored",
}
PATH = "CPU in path"


def cells(text: str) -> dict[tuple[str, str], str]:
    """CPU in production's path by (load, way), without the spread."""
    found: dict[tuple[str, str], str] = {}
    load, at = "", -1
    for line in text.splitlines():
        if line.startswith("### "):
            load, at = line.removeprefix("### ").strip(), -1
        elif line.startswith("|") and load in COLUMNS:
            row = [cell.strip() for cell in line.strip("|").split("|")]
            if PATH in row:
                at = row.index(PATH)
            elif at > 0 and len(row) > at and not set(row[at]) <= set("-: "):
                found.setdefault((load, row[0]), row[at].split(" ")[0])
    return found


def main() -> int:
    """Print the table."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    found = cells(file.read_text(encoding="utf-8"))
    rows = [
        (said, *(found.get((load, way), "-") for load in COLUMNS))
        for way, said in WAYS.items()
        if any((load, way) in found for load in COLUMNS)
    ]
    print("\n".join(table(("in the path", *COLUMNS.values()), rows)))
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
