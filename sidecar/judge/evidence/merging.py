"""One level from those of several pods.

Rule: pods fail together, so the same block of all of them is added before anything is bet on the
sum; where they no longer keep blocks one by one, their bets on the same time are averaged and do
not multiply. Counterparts: `level`; `blocks`, which merges level by level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.judge.evidence.bets import BLOCKS, CALLS, SIZES, Bets
from sidecar.judge.evidence.level import Level
from sidecar.judge.evidence.mixtures import Floats
from sidecar.judge.evidence.sums import Sums


def merged(levels: Sequence[Level]) -> Level:
    """One level from those of several pods; see `Blocks.merged`."""
    like = levels[0]
    whole = Level(like.bets, like.seconds, like.keep)
    parts = [level for level in levels if level.last is not None]
    if not parts:
        return whole
    if len(parts) == 1:
        return Level.from_dict(like.bets, like.seconds, like.keep, parts[0].to_dict())
    whole.first = first = min(part.first for part in parts if part.first is not None)
    last = max(part.last for part in parts if part.last is not None)
    # Blocks are added where every pod that lived then still has them one by one.
    since = max(_oldest_kept(part) for part in parts)
    folded = [_folded(part, since) for part in parts]
    vector, cap = _joined([f for f in folded if f is not None], like.bets)
    table = _added(parts, since)
    old = Sums(vector, None, whole.day(since - 1) if since else -1, cap=cap)
    found = whole.grown(old, [(int(row[0]), row[1:]) for row in table.tolist()], ())
    ended = [
        _Folded(part.first or 0, part.last or 0, part.sums.days, part.sums.cap)
        for part in parts
        if part.sums.days is not None
    ]
    days = found.days if not since else None
    if days is None and ended:
        days = _joined(ended, like.bets)[0]
    today = max(found.today, *(p.sums.today for p in parts))
    return Level.of(like, first, last, table, old, Sums(found.vector, days, today, cap=found.cap))


def _added(parts: Sequence[Level], since: int) -> Floats:
    """The parts' blocks from a number on, added by number, in order."""
    table = np.concatenate([part.table for part in parts if len(part.table)] or [np.zeros((0, 1))])
    table = table[table[:, 0] >= since]
    numbers, at = np.unique(table[:, 0], return_inverse=True)
    added = np.zeros((len(numbers), table.shape[1]))
    np.add.at(added, at, table)  # one after the other, as a loop would
    added[:, 0] = numbers
    return added


@dataclass(frozen=True, slots=True)
class _Folded:
    """A pod's sums over some time, and when they were counted."""

    first: int
    last: int
    vector: Floats
    cap: float


def _oldest_kept(part: Level) -> int:
    """The first number from which on nothing of a pod has been folded away."""
    if part.old is None or not part.old.vector[BLOCKS]:
        return 0
    return int(part.table[0, 0]) if len(part.table) else (part.last or 0) + 1


def _folded(part: Level, since: int) -> _Folded | None:
    table = part.table
    early = table[table[:, 0] < since].tolist()
    before = [(int(row[0]), row[1:]) for row in early]
    sums = part.grown(part.folded, before, ())
    vector = sums.vector
    if not vector[BLOCKS] or part.first is None:
        return None
    last = before[-1][0] if before else min(since - 1, part.last or 0)
    return _Folded(part.first, last, vector, sums.cap)


def _joined(parts: Iterable[_Folded], bets: Bets) -> tuple[Floats, float]:
    """Add what was counted one after the other; average what was counted at the same time.

    Pods fail together, so their bets on the same blocks do not multiply. But ln is concave: the
    mean of ln(1 + L z_p), weighted by the pods' caps, is at most ln(1 + L z) of the added block
    (Jensen). So the average is evidence too, only less of it.

    Returns:
        The sums, and the most calls that a block of all pods may have had.
    """
    groups: list[list[_Folded]] = []
    end = -1
    for part in sorted(parts, key=lambda f: f.first):
        if not groups or part.first > end:
            groups.append([])
        groups[-1].append(part)
        end = max(end, part.last)
    sizes = [sum(part.cap for part in group) for group in groups]
    cap = max(sizes, default=0.0)
    total = np.zeros(bets.width)
    for group, size in zip(groups, sizes, strict=True):
        total += bets.grown(_average(group), size / cap)
    return total, cap


def _average(parts: list[_Folded]) -> Floats:
    sizes = np.array([p.cap for p in parts])
    share = sizes / sizes.sum()
    mean = np.sum([s * p.vector for s, p in zip(share, parts, strict=True)], axis=0)
    calls = sum(float(p.vector[CALLS]) for p in parts)
    scale = calls / max(float(mean[CALLS]), 1e-300)
    mean[CALLS] = calls
    mean[CALLS + 1 : SIZES] *= scale**2  # as if the pods' blocks were one
    return np.asarray(mean)
