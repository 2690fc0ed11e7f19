"""Parts become one report. Pure.

Rule: the newest part of each instance counts, so pulling twice changes nothing, and so does the
order. Counterparts: `part`; `sums`, `verdict` and `version_rows`, which make its pieces; `report`,
what comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from sidecar.experiment.timeline import Timeline
from sidecar.judge.counts import alike, counts_of, total
from sidecar.judge.distributions import Distributions
from sidecar.judge.forecast import forecasts
from sidecar.judge.report import State, Verdict
from sidecar.judge.verdict import plans_of
from sidecar.judge.worst import merge_sample, merge_worst
from sidecar.report import sums
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
from sidecar.report.report import Latency, OverTime, Point, Report
from sidecar.report.verdict import doubted, judged, named, sidecars
from sidecar.report.version_rows import version_rows


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
        verdict = judged(taken, whole)
    verdict = doubted(verdict, parts, taken, missing or {}, allow_missing=allow_missing)
    rows = version_rows(parts, verdict)
    away = Away()
    for part in taken:
        away = away.plus(part.away)
    attempt = max(part.snapshot.attempt for part in taken)
    outputs = sums.outputs(part.outputs for part in taken)
    outcomes = sums.summed(part.outcomes for part in taken)
    skipped = sums.summed(part.skipped for part in taken)
    unread = sums.summed(part.unread for part in taken)
    timeline = Timeline.merged(part.timeline for part in taken)
    return Report(
        shadow=lead.shadow,
        generated=generated,
        verdict=verdict,
        declared=lead.settings.model_dump(mode="json"),
        latency=Latency(
            sums.side(part.production_latency for part in taken),
            sums.side(part.shadow_latency for part in taken),
            sums.side(part.control_latency for part in taken),
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
        worst=sums.examples([part.worst for part in taken], merge_worst, lead.settings.worst),
        sample=sums.examples([part.sample for part in taken], merge_sample, lead.settings.sample),
        sidecars=sums.sidecar_rows(parts, taken),
        missing=dict(sorted((missing or {}).items())),
    )


def empty_report(missing: Mapping[str, str], generated: float, reason: str = "") -> Report:
    """The report when no sidecar could be asked, or none has such a shadow: INCONCLUSIVE."""
    if not reason:
        gone = f"{sidecars(len(missing))} could not be asked"
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


def _own_notices(parts: Sequence[Part]) -> list[str]:
    """What sidecars say of themselves, once each; with its name where there are several."""
    several = len({part.snapshot.key.instance for part in parts}) > 1
    said = [
        f"{named(part)}: {notice}" if several else notice
        for part in parts
        for notice in part.notices
    ]
    return list(dict.fromkeys(said))
