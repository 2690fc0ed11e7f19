"""Calls worth a look: what is remembered of one, and how those of several pods become one list.

Rule: mergeable, and without payload values but those that `shown` lets through. Counterpart:
`examples`, which chooses them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.judge.pair import JudgedPair, identity_of


@dataclass(frozen=True, slots=True)
class Note:
    """One call worth a look."""

    identity: str  # correlation id, else trace id, else connection and stream
    unix_ns: int
    method: str
    trace_ids: tuple[str, str]  # production's and the shadow's
    outcome: str
    outputs: tuple[tuple[str, str, float], ...]  # those that differ: name, outcome, score
    detail: str
    latencies_ns: tuple[int, int]
    # Where the configuration allows values, else empty:
    values: tuple[tuple[str, str], ...] = ()  # production's and the shadow's, for each of `outputs`
    inputs: tuple[tuple[str, str], ...] = ()  # name and value


@dataclass(frozen=True, slots=True)
class Example:
    """A note, with how bad the call was for one criterion."""

    magnitude: float
    rank: int  # the hash of the identity
    note: Note


MAX_OUTPUTS = 8  # named in a note


def note_of(pair: JudgedPair, unix_ns: int) -> Note:
    """What to remember of a pair."""
    differing = pair.comparison.differing[:MAX_OUTPUTS]
    seen = pair.show() if pair.show is not None else None
    return Note(
        identity=identity_of(pair),
        unix_ns=unix_ns,
        method=pair.method,
        trace_ids=pair.trace_ids,
        outcome=str(pair.comparison.outcome),
        outputs=tuple((o.name, str(o.outcome), o.score) for o in differing),
        detail=pair.comparison.detail,
        latencies_ns=(pair.production_latency_ns, pair.shadow_latency_ns),
        values=tuple(seen.outputs[o.name] for o in differing) if seen else (),
        inputs=seen.inputs if seen else (),
    )


def merge_worst(parts: Iterable[Iterable[Example]], size: int) -> list[Example]:
    """The worst of several pods' worst; a call that two of them name appears once."""
    return heapq.nlargest(size, _distinct(parts), key=lambda e: (e.magnitude, e.rank))


def merge_sample(parts: Iterable[Iterable[Example]], size: int) -> list[Example]:
    """The sample of several pods' calls."""
    return heapq.nsmallest(size, _distinct(parts), key=lambda e: e.rank)


def _distinct(parts: Iterable[Iterable[Example]]) -> list[Example]:
    found: dict[str, Example] = {}
    for part in parts:
        for example in part:
            known = found.get(example.note.identity)
            if known is None or (example.magnitude, repr(example)) > (known.magnitude, repr(known)):
                found[example.note.identity] = example
    return list(found.values())
