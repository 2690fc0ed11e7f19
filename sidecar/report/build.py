"""Parts become one report: a plain dictionary, the same for table, JSON and page. Pure.

The report's schema (all values are JSON's; ratios in [0, 1], None where nothing is known):

    schema        1
    shadow        the shadow's name
    generated     Unix seconds
    verdict       `judge.report.Verdict.to_dict()`: state, reason, ended, calls, coverage,
                  elapsed_seconds, judges, left_out, models {side and name: version},
                  events {name: count}, and
        criteria  [{name, kind, required, weight, state, reason, margin, estimate,
                  interval [low, high] | None, n, log_pass, log_fail, calls_needed}]
        slices    [{criterion, slice "name=value", required, flagged, n, estimate, log_fail,
                  interval, share}], those worth a look, most effect first
    declared      the section `judge` of the configuration: alpha, coverage_floor, min_calls,
                  criteria [{name, kind, margin, quantile, decision, ...}], ...
    latency       {"production": side, "shadow": side}, of compared calls, with
        side      {count, mean_ms, p50_ms, p95_ms, p99_ms, buckets [[upper edge in ms, count]]}
    over_time     {width_seconds, points [{unix_seconds, compared, differing, failed}]}
    outcomes      {what a comparison found: calls}
    outputs       [{name, agree, differ, how {outcome: calls}, largest (score in [0, 1]), noise}],
                  most differing first; noise: it differs in nearly every call, as a counter, a time
                  or a random id does
    unread        {method: calls whose answers were compared as bytes, for want of descriptors}
    notices       [text]: what a person should know beside the verdict, and what to do about it
    skipped       {why a call was not compared: calls}
    worst         [{criterion, slice ("" is all traffic), magnitude, correlation_id, unix_seconds,
                  method, trace_id, shadow_trace_id, outcome, detail,
                  outputs [{name, outcome, score}], inputs [], production_ms, shadow_ms}], worst
                  first within each criterion and slice; where `judge.examples` allows values,
                  as text: outputs have production and shadow too, inputs are {name, value}
    sample        likewise, a uniform sample of each criterion's calls
    sidecars      [{source, instance, calls, began (Unix seconds), counted}]; counted is False
                  where the evidence is older or about other versions or rules
    missing       {address: why it could not be pulled}

With nobody to ask (`empty_report`), `declared` is empty and so are the lists.

Rule: the newest part of each instance counts, so pulling twice changes nothing, and so does the
order. Counterparts: `part`; `table` and `page`, which show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.experiment.epoch import OutputCounts
from sidecar.experiment.timeline import Timeline
from sidecar.judge.counts import CellKey, SnapshotKey, alike, counts_of, total
from sidecar.judge.evidence.histogram import EDGES_NS, Histogram
from sidecar.judge.report import State, Verdict
from sidecar.judge.verdict import decide, plans_of
from sidecar.judge.worst import Example, merge_sample, merge_worst
from sidecar.report.notices import of_sums
from sidecar.report.part import Part

SCHEMA = 1
_SIDES = ("production", "shadow")
EXIT_CODES = {State.PASS: 0, State.FAIL: 1, State.WATCHING: 3, State.INCONCLUSIVE: 4}


def build(
    parts: Sequence[Part],
    generated: float,
    *,
    verdict: Verdict | None = None,
    missing: Mapping[str, str] | None = None,
    allow_missing: bool = False,
) -> dict[str, Any]:
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
    keys = {snapshot.key: snapshot.sequence for snapshot in alike(counts)}
    taken = list(
        {
            part.snapshot.key: part
            for part in sorted(parts, key=lambda p: p.source, reverse=True)
            if keys.get(part.snapshot.key) == part.snapshot.sequence
        }.values()
    )
    taken.sort(key=lambda part: part.snapshot.key)
    lead = taken[0]
    if verdict is None:
        plans = plans_of(lead.settings, lead.control_fraction)
        verdict = decide(lead.settings, plans, total(counts))
        if len(counts) == 1 and lead.stands is not None:
            # One sidecar's decision, once made, stands wherever it is shown.
            verdict = replace(verdict, state=lead.stands[0], reason=lead.stands[1])
    if missing and not allow_missing and verdict.state is State.PASS:
        reason = f"{_sidecars(len(missing))} could not be asked; the others: {verdict.reason}"
        verdict = replace(verdict, state=State.INCONCLUSIVE, reason=reason)
    outputs = _outputs(part.outputs for part in taken)
    unread = _summed(part.unread for part in taken)
    timeline = Timeline.merged(part.timeline for part in taken)
    return {
        "schema": SCHEMA,
        "shadow": lead.shadow,
        "generated": generated,
        "verdict": verdict.to_dict(),
        "declared": lead.settings.model_dump(mode="json"),
        "latency": {
            "production": _latency(part.production_latency for part in taken),
            "shadow": _latency(part.shadow_latency for part in taken),
        },
        "over_time": {"width_seconds": timeline.width_seconds, "points": timeline.rows()},
        "outcomes": _summed(part.outcomes for part in taken),
        "outputs": outputs,
        "unread": unread,
        "notices": [*_own_notices(parts), *of_sums(outputs, unread)],
        "skipped": _summed(part.skipped for part in taken),
        "worst": _examples([part.worst for part in taken], merge_worst, lead.settings.worst),
        "sample": _examples([part.sample for part in taken], merge_sample, lead.settings.sample),
        "sidecars": _rows(parts, taken),
        "missing": dict(sorted((missing or {}).items())),
    }


def empty_report(missing: Mapping[str, str], generated: float, reason: str = "") -> dict[str, Any]:
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
    nothing = _latency(())
    return {
        "schema": SCHEMA,
        "shadow": "",
        "generated": generated,
        "verdict": verdict.to_dict(),
        "declared": {},
        "latency": {"production": nothing, "shadow": nothing},
        "over_time": {"width_seconds": 1, "points": []},
        "outcomes": {},
        "outputs": [],
        "unread": {},
        "notices": [],
        "skipped": {},
        "worst": [],
        "sample": [],
        "sidecars": [],
        "missing": dict(sorted(missing.items())),
    }


def exit_code(report: Mapping[str, Any]) -> int:
    """What `report` and `gate` end with: 0 PASS, 1 FAIL, 3 WATCHING, 4 INCONCLUSIVE."""
    return EXIT_CODES[State(report["verdict"]["state"])]


def _sidecars(count: int) -> str:
    return "1 sidecar" if count == 1 else f"{count} sidecars"


def _latency(parts: Iterable[Histogram]) -> dict[str, Any]:
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    return {
        "count": whole.count,
        "mean_ms": whole.total_ns / whole.count / 1e6 if whole.count else None,
        **{f"p{p}_ms": _ms(whole.quantile(p / 100)) for p in (50, 95, 99)},
        "buckets": [
            [EDGES_NS[min(i, len(EDGES_NS) - 1)] / 1e6, count]
            for i, count in sorted(whole.counts.items())
        ],
    }


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


def _outputs(parts: Iterable[Mapping[str, OutputCounts]]) -> list[dict[str, Any]]:
    """One row for each output, those that differ most often first."""
    whole: dict[str, OutputCounts] = {}
    for part in parts:
        for name, counts in part.items():
            whole.setdefault(name, OutputCounts()).merge(counts)
    rows = [
        {
            "name": name,
            "agree": counts.agree,
            "differ": counts.differing,
            "how": dict(sorted(counts.differ.items(), key=lambda item: (-item[1], item[0]))),
            "largest": counts.largest,
            "noise": counts.seems_noise,
        }
        for name, counts in whole.items()
    ]
    return sorted(rows, key=lambda row: (-int(row["differ"]), str(row["name"])))


def _examples(
    parts: Sequence[Mapping[CellKey, Sequence[Example]]],
    merge: Callable[[Iterable[Iterable[Example]], int], list[Example]],
    most: int,
) -> list[dict[str, Any]]:
    keys = sorted({key for part in parts for key in part})
    return [
        {"criterion": key.criterion, "slice": key.slice, **example_row(example)}
        for key in keys
        for example in merge([part[key] for part in parts if key in part], most)
    ]


def example_row(example: Example) -> dict[str, Any]:
    """One call worth a look, as a JSON-ready row."""
    note = example.note
    return {
        "magnitude": example.magnitude,
        "correlation_id": note.identity,
        "unix_seconds": note.unix_ns / 1e9,
        "method": note.method,
        "trace_id": note.trace_ids[0],
        "shadow_trace_id": note.trace_ids[1],
        "outcome": note.outcome,
        "detail": note.detail,
        "outputs": [
            {"name": name, "outcome": outcome, "score": score}
            | (dict(zip(_SIDES, note.values[i], strict=True)) if note.values else {})
            for i, (name, outcome, score) in enumerate(note.outputs)
        ],
        "inputs": [{"name": name, "value": value} for name, value in note.inputs],
        "production_ms": note.latencies_ns[0] / 1e6,
        "shadow_ms": note.latencies_ns[1] / 1e6,
    }


def _rows(parts: Sequence[Part], taken: Sequence[Part]) -> list[dict[str, Any]]:
    """One row for each sidecar, however many addresses it was reached by."""
    counted = {part.snapshot.key: part for part in taken}
    groups: dict[SnapshotKey, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.snapshot.key, []).append(part)
    rows = []
    for key, group in groups.items():
        newest = max((part.snapshot for part in group), key=lambda s: s.sequence)
        rows.append(
            {
                "source": ", ".join(sorted({part.source for part in group})),
                "instance": key.instance,
                "calls": newest.calls,
                "began": newest.began_unix_ns / 1e9,
                "counted": key in counted,
            }
        )
    return sorted(rows, key=lambda row: (row["source"], row["instance"]))
