"""One state's counts told by two processes at the same time: one of them is a copy. Pure.

Rule: which of the two knows more nobody can say, and they cannot be added, for what they have in
common would count twice; so neither counts, and both are named. One process that is reached by two
addresses is no copy. Counterparts: `judge.counts`, whose key names a state's file; `build`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.judge.counts import SnapshotKey
from sidecar.report.part import Part


def copies(parts: Iterable[Part]) -> dict[str, str]:
    """Why parts do not count, by who told them; empty where there are no copies."""
    told: dict[tuple[str, SnapshotKey], dict[str, str]] = {}
    for part in parts:
        snapshot = part.snapshot
        if snapshot.life:
            told.setdefault((part.shadow, snapshot.key), {})[snapshot.life] = part.source
    return {
        source: (
            f"goes on with the same state as {_others(source, lives)}: one is a copy, and which "
            "nobody can say; remove the --state directory of all but one"
        )
        for lives in told.values()
        if len(lives) > 1
        for source in lives.values()
    }


def _others(source: str, lives: dict[str, str]) -> str:
    return ", ".join(sorted(set(lives.values()) - {source})) or "another process there"
