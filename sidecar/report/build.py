"""Parts become one report. Pure.

Rule: the newest part of each instance counts, so pulling twice changes nothing, and so does the
order. Counterparts: `part`; `report`, what comes of it; `as_json`, `table` and `page`, its readers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import repeat

from sidecar.experiment.epoch import OutputCounts
from sidecar.experiment.timeline import Timeline
from sidecar.judge.counts import CellKey, SnapshotKey, Total, alike, counts_of, left_out, total
from sidecar.judge.distributions import Distributions
from sidecar.judge.evidence.histogram import EDGES_NS, ENDLESS, Histogram
from sidecar.judge.forecast import forecasts
from sidecar.judge.report import State, Verdict
from sidecar.judge.verdict import decide, plans_of
from sidecar.judge.versions import Known
from sidecar.judge.worst import Example, merge_sample, merge_worst
from sidecar.report.drift import drift_of
from sidecar.report.notices import (
    of_attempt,
    of_away,
    of_idle,
    of_late_labels,
    of_limited,
    of_sums,
    of_versions,
)
from sidecar.report.part import Away, Part
from sidecar.report.report import (
    CallInput,
    CallOutput,
    CallRow,
    Latency,
    OutputRow,
    OverTime,
    Point,
    Report,
    Side,
    SidecarRow,
    VersionRow,
)

_BOTH_NONE = (None, None)
NAMED = 5  # of those that see no ground for PASS
MOST_VERSIONS = 32  # pairs of versions that are shown


def build(
    parts: Sequence[Part],
    generated: float,
    *,
    verdict: Verdict | None = None,
    missing: Mapping[str, str] | None = None,
    allow_missing: bool = False,
) -> Report:
    """Make one report.

    Args:
        parts: of one shadow, from any number of sidecars; at least one.
        generated: Unix seconds.
        verdict: the one that stands, of a sidecar's own counts; None judges the sum.
        missing: sidecars that could not be pulled, and why.
        allow_missing: let a PASS stand although some are missing.

    Raises:
        ValueError: no parts.
    """
    if not parts:
        raise ValueError("a report needs at least one part")
    counts = counts_of(part.snapshot for part in parts)
    together = alike(counts)
    keys = {snapshot.key: snapshot.sequence for snapshot in together}
    taken = list(
        {
            part.snapshot.key: part
            for part in sorted(parts, key=lambda p: p.source, reverse=True)
            if keys.get(part.snapshot.key) == part.snapshot.sequence
        }.values()
    )
    taken.sort(key=lambda part: part.snapshot.key)
    lead = taken[0]
    whole = total(counts)
    if verdict is None:
        verdict = _judged(taken, whole)
    if missing and not allow_missing and verdict.state is State.PASS:
        reason = f"{_sidecars(len(missing))} could not be asked; the others: {verdict.reason}"
        verdict = replace(verdict, state=State.INCONCLUSIVE, reason=reason)
    if verdict.left_out and not allow_missing and verdict.state is State.PASS:
        gone = left_out(counts, together)
        named = ", ".join(
            part.source or part.snapshot.key.instance
            for part in sorted(parts, key=lambda p: p.source)
            if part.snapshot.key.instance in gone
        )
        reason = f"left out, for other versions or rules: {named}; the others: {verdict.reason}"
        verdict = replace(verdict, state=State.INCONCLUSIVE, reason=reason)
    failed = [part for part in taken if part.stands and part.stands[0] is State.FAIL]
    if failed and len(taken) > 1 and verdict.state is State.PASS:
        named = ", ".join(part.source or part.snapshot.key.instance for part in failed)
        reason = f"by its own calls it failed at {named}; together: {verdict.reason}"
        verdict = replace(verdict, state=State.INCONCLUSIVE, reason=reason)
    if verdict.state is State.PASS and (why := _unsure(taken)):
        reason = f"{why}; together: {verdict.reason}"
        verdict = replace(verdict, state=State.INCONCLUSIVE, reason=reason)
    rows = _version_rows(parts, verdict)
    away = Away()
    for part in taken:
        away = away.plus(part.away)
    attempt = max(part.snapshot.attempt for part in taken)
    outputs = _outputs(part.outputs for part in taken)
    outcomes = _summed(part.outcomes for part in taken)
    skipped = _summed(part.skipped for part in taken)
    unread = _summed(part.unread for part in taken)
    timeline = Timeline.merged(part.timeline for part in taken)
    return Report(
        shadow=lead.shadow,
        generated=generated,
        verdict=verdict,
        declared=lead.settings.model_dump(mode="json"),
        latency=Latency(
            _side(part.production_latency for part in taken),
            _side(part.shadow_latency for part in taken),
            _side(part.control_latency for part in taken),
        ),
        drift=drift_of(
            reduce(Distributions.plus, (part.distributions for part in taken), Distributions())
        ),
        forecasts=forecasts(
            lead.settings, plans_of(lead.settings, lead.control_fraction), whole, verdict
        ),
        over_time=OverTime(
            timeline.width_seconds,
            tuple(Point(at, *bucket) for at, bucket in sorted(timeline.buckets.items())),
        ),
        outcomes=outcomes,
        outputs=outputs,
        unread=unread,
        notices=(
            *_own_notices(parts),
            *of_versions(rows),
            *of_attempt(attempt, lead.settings.alpha),
            *of_away(away),
            *of_limited(skipped, sum(outcomes.values())),
            *of_late_labels(verdict.events.get("labels_too_late", 0)),
            *of_sums(outputs, unread, verdict.events.get("unread", 0)),
            *of_idle(
                verdict.criteria, lead.settings.model_dump(mode="json"), outputs, verdict.calls
            ),
        ),
        versions=rows,
        attempt=attempt,
        skipped=skipped,
        worst=_examples([part.worst for part in taken], merge_worst, lead.settings.worst),
        sample=_examples([part.sample for part in taken], merge_sample, lead.settings.sample),
        sidecars=_rows(parts, taken),
        missing=dict(sorted((missing or {}).items())),
    )


def _judged(taken: Sequence[Part], whole: Total) -> Verdict:
    """The verdict on a sum of like parts; one sidecar's own is the same wherever it is shown."""
    lead = taken[0]
    verdict = decide(lead.settings, plans_of(lead.settings, lead.control_fraction), whole)
    if len(taken) == 1 and not whole.left_out and lead.stands is not None:
        state, reason = lead.stands
        if state is State.FAIL or verdict.state is not State.FAIL:
            verdict = replace(verdict, state=state, reason=reason)
    return verdict


def _unsure(taken: Sequence[Part]) -> str:
    """Who among them sees no ground for PASS, and why; empty: nobody."""
    unsure = [part for part in taken if part.unsure]
    if not unsure:
        return ""
    named = [f"{p.source or p.snapshot.key.instance}: {p.unsure}" for p in unsure[:NAMED]]
    more = f"; and {len(unsure) - NAMED} more" if len(unsure) > NAMED else ""
    return f"no ground for PASS at {'; '.join(named)}{more}"


def _version_rows(parts: Sequence[Part], verdict: Verdict) -> tuple[VersionRow, ...]:
    """One row for each pair of versions and rules, the one that the verdict is about first."""
    left = counts_of(part.snapshot for part in parts)
    by_key = {part.snapshot.key: part for part in parts}
    rows: list[VersionRow] = []
    while left and len(rows) < MOST_VERSIONS:
        together = alike(left)
        group = {snapshot.key: snapshot for snapshot in together}
        taken = [by_key[key] for key in group]
        found = verdict if not rows else _judged(taken, total(group))
        models = total(group).models
        rows.append(
            VersionRow(
                production=named_versions(models, "production"),
                shadow=named_versions(models, "shadow"),
                rules=together[0].rules,
                current=not rows,
                state=found.state.value,
                reason=found.reason,
                calls=sum(snapshot.calls for snapshot in together),
                attempt=max(snapshot.attempt for snapshot in together),
                began=min(snapshot.began_unix_ns for snapshot in together) / 1e9,
                sidecars=len({key.instance for key in group}),
            )
        )
        left = {key: snapshot for key, snapshot in left.items() if key not in group}
    return tuple(rows)


def named_versions(models: Mapping[str, str], side: str) -> str:
    """What is known of one side's versions, as text; empty where nothing is."""
    found = {
        name.removeprefix(f"{side} "): version
        for name, version in models.items()
        if name.startswith(f"{side} ")
    }
    return str(Known(found).versions.production)


def empty_report(missing: Mapping[str, str], generated: float, reason: str = "") -> Report:
    """The report when no sidecar could be asked, or none has such a shadow: INCONCLUSIVE."""
    if not reason:
        gone = f"{_sidecars(len(missing))} could not be asked"
        reason = gone if missing else "no sidecar was found"
    verdict = Verdict(
        state=State.INCONCLUSIVE,
        reason=reason,
        ended=False,
        calls=0,
        coverage=None,
        elapsed_seconds=0.0,
        criteria=(),
        slices=(),
        models={},
        events={},
        judges=0,
    )
    return Report("", generated, verdict, missing=dict(sorted(missing.items())))


def _sidecars(count: int) -> str:
    return "1 sidecar" if count == 1 else f"{count} sidecars"


def _side(parts: Iterable[Histogram]) -> Side:
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


def _summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            whole[name] = whole.get(name, 0) + count
    return dict(sorted(whole.items(), key=lambda item: (-item[1], item[0])))


def _own_notices(parts: Sequence[Part]) -> list[str]:
    """What sidecars say of themselves, once each; with its name where there are several."""
    several = len({part.snapshot.key.instance for part in parts}) > 1
    said = [
        f"{part.source or part.snapshot.key.instance}: {notice}" if several else notice
        for part in parts
        for notice in part.notices
    ]
    return list(dict.fromkeys(said))


def _outputs(parts: Iterable[Mapping[str, OutputCounts]]) -> tuple[OutputRow, ...]:
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


def _examples(
    parts: Sequence[Mapping[CellKey, Sequence[Example]]],
    merge: Callable[[Iterable[Iterable[Example]], int], list[Example]],
    most: int,
) -> tuple[CallRow, ...]:
    keys = sorted({key for part in parts for key in part})
    return tuple(
        call_row(key, example)
        for key in keys
        for example in merge([part[key] for part in parts if key in part], most)
    )


def call_row(key: CellKey, example: Example) -> CallRow:
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


def _rows(parts: Sequence[Part], taken: Sequence[Part]) -> tuple[SidecarRow, ...]:
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
