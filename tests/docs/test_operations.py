"""`docs/operations.md` names every metric, every log event and every skip reason that there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import sidecar
from sidecar.call import INELIGIBLE, SkipReason
from sidecar.experiment.skipped import Step

HOUSE = Path(sidecar.__file__).parent
PAGE = (HOUSE.parent / "docs" / "operations.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`]+)`", PAGE))
LEVELS = {"info", "warning", "error"}


def events() -> Iterator[tuple[str, str]]:
    """Every event that is logged, with the file that does it."""
    for file in sorted(HOUSE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _logs(node.func) and node.args:
                event = node.args[0]
                if isinstance(event, ast.Constant) and isinstance(event.value, str):
                    yield event.value, file.relative_to(HOUSE).as_posix()


def _logs(called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute) and called.attr in LEVELS:
        return "log" in ast.unparse(called.value).lower()
    return ast.unparse(called).rpartition(".")[2] in {"log", "_log"}


def families() -> set[str]:
    """The names of the metrics, as the source makes them."""
    files = sorted((HOUSE / "serve").glob("*metrics.py"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    names = set(re.findall(r'(?:PREFIX \+|\bcounter\(|\bgauge\()\s*"([a-z_]+)"', text))
    tables = re.findall(r'\("[a-z_]+", "((?:wire|tap)_[a-z_]+)", "', text)
    return names | set(tables)


def test_every_log_event_is_on_the_page() -> None:
    found = dict(events())
    assert len(found) > 40  # or the search finds nothing
    assert {event: file for event, file in found.items() if event not in NAMED} == {}


def test_every_skip_reason_is_on_the_page_in_order_with_its_steps() -> None:
    table = PAGE.split("## Why calls are skipped", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z, ]+) \|", table, re.MULTILINE)
    choice, lost = (
        [r for r in SkipReason if (r in INELIGIBLE) is chosen] for chosen in (True, False)
    )
    assert [reason for reason, _ in rows] == [*choice, *lost]
    assert {step for _, steps in rows for step in steps.split(", ")} <= set(Step)


def test_every_metric_is_on_the_page() -> None:
    found = families()
    assert len(found) > 40
    ends = ("", "_total", "_info")
    assert [name for name in sorted(found) if not any(name + end in NAMED for end in ends)] == []
