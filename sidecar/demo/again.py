"""The demo's second half: what was captured is looked into, and asked again.

Rule: it is what any user would do: a query over plain Parquet, and `shadow-sidecar replay` with the
same configuration and the same labels. DuckDB is used where it is installed; nothing needs it.
Counterpart: `loop`, the first half.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.demo.process import Process
from sidecar.report.report import Report

EXIT_CODES = range(5)  # of a gate: what there is no verdict for is 2
REPLAY_SECONDS = 60.0
QUERY = """\
select "production.class" as production, "shadow.class" as candidate, count(*) as calls
from '{files}' where outcome = 'value' group by all order by calls desc, 1, 2 limit 5"""


@dataclass(frozen=True, slots=True)
class Again:
    """What came of it."""

    captured: int  # pairs in the files
    files: int
    query: str
    engine: str  # who answered the query: DuckDB, or pyarrow
    rows: tuple[tuple[int, int, int], ...]  # production's class, the candidate's, calls
    command: str  # that was run
    calls: int  # asked again
    seconds: float
    report: Report


def ask_again(folder: Path, candidate: str, config: Path, truth: Path) -> Again:
    """Query what was captured, and replay it.

    Args:
        folder: the captured calls.
        candidate: its server's address.
        config: the demo's.
        truth: labels, as `labels import` takes them.

    Raises:
        ProcessError: the replay came to no verdict.
    """
    from sidecar.capture.reader import open_captured
    from sidecar.replay.results import read_results

    found = open_captured([str(folder)])
    query = QUERY.format(files=f"{folder}/*.parquet")
    engine, rows = _answered(query, folder)
    words = ["replay", str(folder), "--shadow", f"candidate={candidate}", "-c", str(config)]
    words += ["--labels", str(truth), "--gate"]
    with tempfile.TemporaryDirectory(prefix="shadow-replay-") as kept:
        out = Path(kept) / "result.json"
        command = [sys.executable, "-m", "sidecar", *words, "--out", str(out)]
        with Process(command, name="replay") as replay:
            if replay.wait(REPLAY_SECONDS) not in EXIT_CODES or not out.exists():
                raise replay.error("the captured calls could not be asked again")
        result = read_results(out)
    return Again(
        captured=found.count(),
        files=len(found.files),
        query=query,
        engine=engine,
        rows=tuple(rows),
        command=" ".join(["shadow-sidecar", *words]),
        calls=result.calls,
        seconds=result.seconds,
        report=result.reports[0],
    )


def _answered(query: str, folder: Path) -> tuple[str, Sequence[tuple[int, int, int]]]:
    """The rows, from DuckDB where there is one."""
    try:
        import duckdb
    except ImportError:
        return "pyarrow", with_pyarrow(folder)
    return f"DuckDB {duckdb.__version__}", duckdb.sql(query).fetchall()


def with_pyarrow(folder: Path) -> list[tuple[int, int, int]]:
    """The same query without DuckDB."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = [str(file) for file in sorted(folder.glob("*.parquet"))]  # one may be being written
    table = ds.dataset(files, format="parquet").to_table(
        ["production.class", "shadow.class"], filter=pc.field("outcome") == "value"
    )
    keys = ["production.class", "shadow.class"]
    counts = table.group_by(keys).aggregate([([], "count_all")]).to_pylist()
    rows = [(row[keys[0]], row[keys[1]], row["count_all"]) for row in counts]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:5]
