"""Parts added up: counts, latencies, outputs, calls worth a look, and who was asked. Pure.

Rule: every sum is of the newest part of each instance, and the order of the parts changes nothing.
Counterparts: `part`; `build`, which asks; `report`, whose rows these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat

from sidecar.experiment.epoch import OutputCounts
from sidecar.judge.counts import CellKey, SnapshotKey
from sidecar.judge.evidence.histogram import EDGES_NS, ENDLESS, Histogram
from sidecar.judge.worst import Example
from sidecar.report.part import Part
from sidecar.report.report import CallInput, CallOutput, CallRow, OutputRow, Side, SidecarRow

_BOTH_NONE = (None, None)


def side(parts: Iterable[Histogram]) -> Side:
    """The latencies of one side."""
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    p50, p95, p99 = (_ms(whole.quantile(p / 100)) for p in (50, 95, 99))
    return Side(
        count=whole.count,
        mean_ms=whole.total_ns / whole.count / 1e6 if whole.count else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        buckets=tuple(
            (EDGES_NS[i] / 1e6, count) for i, count in sorted(whole.counts.items()) if i < ENDLESS
        ),
        endless=whole.endless,
    )


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by name, the most first."""
    whole: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            whole[name] = whole.get(name, 0) + count
    return dict(sorted(whole.items(), key=lambda item: (-item[1], item[0])))


def outputs(parts: Iterable[Mapping[str, OutputCounts]]) -> tuple[OutputRow, ...]:
    """One row for each output, those that differ most often first."""
    whole: dict[str, OutputCounts] = {}
    for part in parts:
        for name, counts in part.items():
            whole.setdefault(name, OutputCounts()).merge(counts)
    rows = [
        OutputRow(
            name=name,
            agree=counts.agree,
            differ=counts.differing,
            how=dict(sorted(counts.differ.items(), key=lambda item: (-item[1], item[0]))),
            largest=counts.largest,
            noise=counts.seems_noise,
        )
        for name, counts in whole.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.differ, row.name)))


def examples(
    parts: Sequence[Mapping[CellKey, Sequence[Example]]],
    merge: Callable[[Iterable[Iterable[Example]], int], list[Example]],
    most: int,
) -> tuple[CallRow, ...]:
    """Calls worth a look, for each criterion and slice as many as each part keeps.

    Args:
        parts: what each keeps.
        merge: which of several parts' are kept of one criterion and slice.
        most: how many.
    """
    keys = sorted({key for part in parts for key in part})
    return tuple(
        _call_row(key, example)
        for key in keys
        for example in merge([part[key] for part in parts if key in part], most)
    )


def _call_row(key: CellKey, example: Example) -> CallRow:
    """One call worth a look, for one criterion and slice."""
    note = example.note
    values = note.values or repeat(_BOTH_NONE)
    return CallRow(
        criterion=key.criterion,
        slice=key.slice,
        magnitude=example.magnitude,
        correlation_id=note.identity,
        unix_seconds=note.unix_ns / 1e9,
        method=note.method,
        trace_id=note.trace_ids[0],
        shadow_trace_id=note.trace_ids[1],
        outcome=note.outcome,
        detail=note.detail,
        production_ms=note.latencies_ns[0] / 1e6,
        shadow_ms=note.latencies_ns[1] / 1e6,
        outputs=tuple(
            CallOutput(name, outcome, score, ours, theirs)
            for (name, outcome, score), (ours, theirs) in zip(note.outputs, values, strict=False)
        ),
        inputs=tuple(CallInput(name, value) for name, value in note.inputs),
    )


def sidecar_rows(parts: Sequence[Part], taken: Sequence[Part]) -> tuple[SidecarRow, ...]:
    """One row for each sidecar, however many addresses it was reached by."""
    counted = {part.snapshot.key for part in taken}
    groups: dict[str, dict[SnapshotKey, list[Part]]] = {}
    for part in parts:
        key = part.snapshot.key
        groups.setdefault(key.instance, {}).setdefault(key, []).append(part)
    rows = []
    for instance, by_key in groups.items():
        # Of what it counted, that which is in the sum; the rest are other versions' rows.
        told = {key: found for key, found in by_key.items() if key in counted} or by_key
        newest = [max((p.snapshot for p in f), key=lambda s: s.sequence) for f in told.values()]
        rows.append(
            SidecarRow(
                source=", ".join(sorted({p.source for f in by_key.values() for p in f})),
                instance=instance,
                calls=sum(snapshot.calls for snapshot in newest),
                began=min(snapshot.began_unix_ns for snapshot in newest) / 1e9,
                counted=any(key in counted for key in told),
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.source, row.instance)))
