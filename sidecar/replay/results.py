"""What a replay found, in a file that another can be laid beside, gone on from, or added to.

Rule: a result says what was asked, of whom, and over how many calls, so that two of them are only
compared, and parts of one are only added, in full knowledge; one of another kind or version is
refused by name. What adds up is the message that sidecars tell collectors. Counterparts: `session`,
which makes it; `judged.added_up`, which adds.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sidecar.report.as_json import from_json, to_json
from sidecar.report.report import Report

VERSION = 2
"""1: without `asked`, `done` and `parts`: can be laid beside others, not gone on from or added."""
KIND = "shadow-sidecar replay"


class ResultsError(Exception):
    """A file that is no result of a replay, or does not go with another; says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a replay was asked to do: equal for two runs of the same."""

    files: Sequence[str]
    where: str
    against: str  # "captured", or production's address
    shadows: Sequence[str]  # name=address
    limit: int
    rules: str  # digest of criteria and comparison rules
    shard: Sequence[int] = ()  # (I, N)

    def apart(self, other: Asked) -> list[str]:
        """In what another one differs, a line each."""
        return [
            f"{name} is {getattr(other, name)!r} here and {getattr(self, name)!r} there"
            if name not in {"files", "rules"}
            else f"{'the captured files' if name == 'files' else 'criteria or rules'} are others"
            for name in ("files", "where", "against", "shadows", "limit", "rules", "shard")
            if _plain(getattr(self, name)) != _plain(getattr(other, name))
        ]


@dataclass(frozen=True, slots=True)
class Results:
    """One replay."""

    files: Sequence[str]
    where: str
    against: str
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
    asked: Asked | None = None
    done: Mapping[str, Any] = field(default_factory=dict)  # see `Done`
    parts: Sequence[str] = field(default_factory=tuple)  # shadow.v1.ShadowCounts, base64

    @property
    def messages(self) -> list[bytes]:
        """What adds up."""
        return [base64.b64decode(part) for part in self.parts]

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
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file}: cannot be read: {error}") from None
    if not isinstance(tree, dict) or tree.get("kind") != KIND:
        raise ResultsError(f"{file}: no result of `shadow-sidecar replay --out`")
    if tree.get("version") not in range(1, VERSION + 1):
        raise ResultsError(
            f"{file}: version {tree.get('version')}, and this shadow-sidecar reads up to {VERSION}"
        )
    try:
        reports = [from_json(report) for report in tree["reports"]]
        asked = tree.get("asked")
        found = Results(
            **{**tree, "reports": reports, "asked": None if asked is None else Asked(**asked)}
        )
        found.messages  # noqa: B018 - a part that is no base64 is found here
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{file}: not whole: {error}") from None
    return found


def add(results: Sequence[tuple[str, Results]]) -> tuple[Results, list[tuple[str, list[bytes]]]]:
    """Put the shards of one replay together.

    Args:
        results: by their files' names.

    Returns:
        The whole without its reports, and the parts that these are made of.

    Raises:
        ResultsError: they are not all the shards of one replay, each whole and once.
    """
    name, first = results[0]
    if first.asked is None or len(first.asked.shard) != 2:
        raise ResultsError(f"{name}: no part of a replay in shards (--shard I/N --out FILE)")
    shards = first.asked.shard[1]
    seen: dict[int, str] = {}
    for other, result in results:
        if result.asked is None or len(result.asked.shard) != 2:
            raise ResultsError(f"{other}: no part of a replay in shards (--shard I/N --out FILE)")
        mine, count = result.asked.shard
        apart = replace(first.asked, shard=()).apart(replace(result.asked, shard=()))
        if count != shards:
            apart.append(f"it is one of {count} shards, not of {shards}")
        if apart:
            raise ResultsError(f"{other}: not of the same replay as {name}: {'; '.join(apart)}")
        if result.unfinished:
            raise ResultsError(f"{other}: unfinished; go on with it (--resume) and add again")
        if mine in seen:
            raise ResultsError(f"{other}: shard {mine} of {shards}, as {seen[mine]} is")
        seen[mine] = other
    missing = [str(i) for i in range(shards) if i not in seen]
    if missing:
        raise ResultsError(f"shard {', '.join(missing)} of {shards} is missing (from 0)")
    status: dict[str, dict[str, int]] = {}
    for _, result in results:
        for shadow, codes in result.status.items():
            into = status.setdefault(shadow, {})
            for code, n in codes.items():
                into[code] = into.get(code, 0) + n
    whole = replace(
        first,
        calls=sum(r.calls for _, r in results),
        seconds=max(r.seconds for _, r in results),
        late=sum(r.late for _, r in results),
        status=status,
        asked=replace(first.asked, shard=()),
        done={},
        reports=(),
        parts=[part for _, r in results for part in r.parts],
    )
    return whole, [(other, result.messages) for other, result in results]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
