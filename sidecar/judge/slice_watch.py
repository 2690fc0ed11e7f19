"""After a PASS: harm that begins later in one slice.

Rule: what a slice shows over its whole life says late that it is bad now: as late as it was good
for long. So each slice of a required criterion is watched by a restarting process of its own, as
all calls are, from the first look after the PASS at which it is there. Its run length is that of
all calls times the slices that there is room for, so that false alarms are as rare over all of
them. A slice that has to go takes its watch with it; one that fired stays. Counterparts: `latches`,
which watches all calls; `slice_verdicts`; `evidence.watch`, whose source it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.judge.basis import blocks_of, interval_of
from sidecar.judge.counts import ALL, CellKey, Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.evidence.watch import RUN_LENGTH
from sidecar.judge.latches import Decided, Latches, moment, watch_of
from sidecar.judge.settings import JudgeSettings


def harm_in_slices(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, latches: Latches
) -> str | None:
    """Which slice has become worse since the PASS, and when; None while none has.

    Args:
        settings: what was declared; nothing is watched where slices are only reported.
        plans: the criteria.
        total: the counts.
        latches: with what is watched; changed in place.
    """
    if settings.flagged == "report":
        return None
    watched = latches.slice_watches
    for key in [key for key in watched if key not in total.blocks]:
        if _since_ns(latches, key) is None:
            del watched[key]
    required = {plan.criterion.name: plan for plan in plans if plan.criterion.required}
    delay = settings.labels.delay_seconds
    for key, blocks in sorted(total.blocks.items()):
        plan = required.get(key.criterion)
        if plan is None or key.slice == ALL:
            continue
        if len(watched.get(key, ())) != len(blocks):
            rare = RUN_LENGTH * settings.max_slices
            watched[key] = [watch_of(one, settings.alpha, rare) for one in blocks]
            continue
        late = delay and plan.criterion.labels_all
        until = total.unix_ns - round(delay * 1e9) if late else None
        for watch, one in zip(watched[key], blocks, strict=True):
            if watch.follow(one, until) and key not in latches.slices:
                latches.slices[key] = _decided(settings, plan, total, key)
    for key in watched:
        if (since := _since_ns(latches, key)) is not None:
            times = f"passed at {moment(latches.decided_unix_ns)}, worse since {moment(since)}"
            return f"{key.criterion} in {key.slice}: {times}"
    return None


def _since_ns(latches: Latches, key: CellKey) -> int | None:
    """Since when a slice is worse; None while it is not known to be."""
    found = [watch.worse_since_ns for watch in latches.slice_watches[key]]
    return min((since for since in found if since is not None), default=None)


def _decided(settings: JudgeSettings, plan: Plan, total: Total, key: CellKey) -> Decided:
    """The figures of a slice now, over its whole life."""
    cell = total.cells.get(key, {})
    found = plan.measure(cell)
    interval = interval_of(plan, cell, blocks_of(settings, total, plan, key.slice), settings.alpha)
    return Decided(total.unix_ns, found.n, found.estimate, interval)
