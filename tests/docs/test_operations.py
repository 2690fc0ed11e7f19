"""`docs/operations.md` names every metric and every log event that there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import sidecar

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
    text = (HOUSE / "serve" / "metrics.py").read_text(encoding="utf-8")
    names = set(re.findall(r'(?:PREFIX \+|_counter\(|_gauge\()\s*"([a-z_]+)"', text))
    tables = re.findall(r'\("[a-z_]+", "((?:wire|tap)_[a-z_]+)", "', text)
    return names | set(tables)


def test_every_log_event_is_on_the_page() -> None:
    found = dict(events())
    assert len(found) > 40  # or the search finds nothing
    assert {event: file for event, file in found.items() if event not in NAMED} == {}


def test_every_metric_is_on_the_page() -> None:
    found = families()
    assert len(found) > 40
    ends = ("", "_total", "_info")
    assert [name for name in sorted(found) if not any(name + end in NAMED for end in ends)] == []
