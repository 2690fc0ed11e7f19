"""Law 6: the deciding parts are pure. Time and draws are arguments; nothing there waits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sidecar

HOUSE = Path(sidecar.__file__).parent
IMPURE = {"asyncio", "grpc", "time", "random", "logging", "socket", "threading", "os", "uvloop"}
PURE = (
    "call.py",
    "status.py",
    "http2/*.py",
    "observe/*.py",
    "tee/admission.py",
    "tee/breaker.py",
    "tee/gate.py",
    "tee/limits.py",
    "tee/metadata.py",
    "tee/pace.py",
    "tee/queue.py",
    "compare/**/*.py",
    "judge/**/*.py",
    "telemetry/ids.py",
    "telemetry/plan.py",
    "wire/frames.py",
    "wire/header.py",
    "wire/left_out.py",
    "wire/records.py",
    "wire/sample.py",
    "wire/side.py",
    "wire/state.py",
    "kube/inject.py",
    "kube/obstacles.py",
    "kube/templates.py",
    "kube/asking.py",
    "experiment/ledger.py",
    "experiment/timeline.py",
    "report/build.py",
    "report/part.py",
    "report/sums.py",
    "report/verdict.py",
    "report/version_rows.py",
    "serve/convert.py",
    "serve/gate.py",
)
TALKS = {"compare/readers/reflection.py"}  # asks a server about itself; says so in its first lines


def _files() -> list[Path]:
    found = sorted(file for pattern in PURE for file in HOUSE.glob(pattern))
    return [file for file in found if str(file.relative_to(HOUSE)) not in TALKS]


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(HOUSE)))
def test_a_deciding_part_imports_nothing_that_waits_talks_or_draws(file: Path) -> None:
    assert not IMPURE.intersection(_imports(file))


@pytest.mark.parametrize("pattern", PURE)
def test_the_list_of_pure_parts_is_about_files_that_exist(pattern: str) -> None:
    assert list(HOUSE.glob(pattern))
