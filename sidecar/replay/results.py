"""What a replay found, in a file that another can be laid beside.

Rule: a result says what was asked, of whom, and over how many calls, so that two of them are only
compared in full knowledge; one of another kind or version is refused by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sidecar.report.as_json import from_json, to_json
from sidecar.report.report import Report

VERSION = 1
KIND = "shadow-sidecar replay"


class ResultsError(Exception):
    """A file that is no result of a replay; says why."""


@dataclass(frozen=True, slots=True)
class Results:
    """One replay."""

    files: Sequence[str]
    where: str
    against: str  # "captured", or production's address
    speed: str
    calls: int
    unfinished: bool  # it was interrupted
    seconds: float
    late: int
    status: Mapping[str, Mapping[str, int]]  # calls by candidate and gRPC code
    reports: Sequence[Report]  # one a candidate
    kind: str = KIND
    version: int = VERSION
    notes: Sequence[str] = field(default_factory=tuple)

    def write(self, file: Path) -> None:
        """Write it whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            tree = asdict(self) | {"reports": [to_json(report) for report in self.reports]}
            part.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def read_results(file: Path) -> Results:
    """Read what `Results.write` wrote.

    Raises:
        ResultsError: it cannot be read, or is something else.
    """
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{file}: cannot be read: {error}") from None
    if not isinstance(tree, dict) or tree.get("kind") != KIND:
        raise ResultsError(f"{file}: no result of `shadow-sidecar replay --out`")
    if tree.get("version") != VERSION:
        raise ResultsError(
            f"{file}: version {tree.get('version')}, and this shadow-sidecar reads {VERSION}"
        )
    try:
        reports = [from_json(report) for report in tree["reports"]]
        return Results(**{**tree, "reports": reports})
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{file}: not whole: {error}") from None
