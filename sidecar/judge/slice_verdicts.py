"""What a verdict says of slices: which are worse, which are not shown, which are worth a look.

Rule: evidence in every slice, with all calls that were lost counted in it at their best; flagged by
e-BH, so that the share of false alarms is bounded over all of them; what was flagged once stays so.
Counterparts: `slices`, which divides the calls, and `verdict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sidecar.judge.basis import blocks_of, by_blocks, interval_of
from sidecar.judge.controls import fair, short_of_controls
from sidecar.judge.counts import ALL, Cell, CellKey, Total
from sidecar.judge.criteria.base import Criterion, Plan
from sidecar.judge.criteria.shapes import NOTHING, Measurement
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import discoveries
from sidecar.judge.latches import Decided, Latches
from sidecar.judge.report import SliceVerdict
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.slices import OTHER
from sidecar.judge.words import compared

SLICE_SHARE = 0.5  # of the rejecting alpha, where slices may fail a shadow
SHOWN_SLICES = 20


def slices_of(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, latches: Latches
) -> list[SliceVerdict]:
    """Evidence in every slice; flagged by e-BH, required and informative criteria apart.

    What was flagged once stays so: the verdict that it may have led to does, too.
    """
    by_name = {plan.criterion.name: plan for plan in plans}
    cells = [
        (by_name[key.criterion], key, cell)
        for key, cell in sorted(total.cells.items())
        if key.slice != ALL and key.criterion in by_name
    ]
    found = []
    for required in (True, False):
        group = [c for c in cells if c[0].criterion.required is required]
        measured = [
            fair(
                by_blocks(
                    plan, _measured(plan, cell, total), blocks_of(settings, total, plan, key.slice)
                ),
                short_of_controls(settings, plan, cell),
            )
            for plan, key, cell in group
        ]
        share = SLICE_SHARE if required and settings.flagged == "fail" else 1.0
        for i in discoveries([m.log_fail for m in measured], settings.alpha / 2 * share):
            m = measured[i]
            plan, key, cell = group[i]
            if key not in latches.slices:
                own = blocks_of(settings, total, plan, key.slice)
                interval = interval_of(plan, cell, own, settings.alpha)
                latches.slices[key] = Decided(total.unix_ns, m.n, m.estimate, interval)
        found += [
            _slice(plan, key.slice, m, latches.slices.get(key))
            for (plan, key, _), m in zip(group, measured, strict=True)
        ]
    # A pod whose table was full, or an older one, may not have it any more.
    found += [
        _slice(by_name[key.criterion], key.slice, NOTHING, worse)
        for key, worse in latches.slices.items()
        if key not in total.cells and key.criterion in by_name
    ]
    return sorted(found, key=lambda s: (not s.flagged, -s.log_fail, s.criterion, s.slice))


def _measured(plan: Plan, cell: Cell, total: Total) -> Measurement:
    """What a slice's counts say, and against the shadow what they say with what was lost."""
    found, lost = plan.measure(cell), float(sum(total.lost.values()))
    if not lost or not total.calls:
        return found
    whole = plan.measure(total.cells.get(CellKey(plan.criterion.name, ALL), {})).n
    lost *= plan.criterion.share_of_lost(plan, min(1.0, whole / total.calls))
    best = plan.measure(plan.criterion.with_lost(plan, cell, lost)).log_fail
    return replace(found, log_fail=min(found.log_fail, best))


def _slice(plan: Plan, name: str, found: Measurement, worse: Decided | None) -> SliceVerdict:
    return SliceVerdict(
        criterion=plan.criterion.name,
        slice=name,
        required=plan.criterion.required,
        flagged=worse is not None,
        n=found.n,
        estimate=found.estimate,
        log_fail=found.log_fail,
        decided_unix=worse.unix_ns / 1e9 if worse else 0.0,
        decided_n=worse.n if worse else 0.0,
        decided_estimate=worse.estimate if worse else None,
        decided_interval=worse.interval if worse else None,
    )


def shown_of(
    settings: JudgeSettings, plans: Sequence[Plan], total: Total, slices: Sequence[SliceVerdict]
) -> tuple[SliceVerdict, ...]:
    """The slices worth a look, with intervals, ranked by lower bound times share of traffic."""
    by_name = {plan.criterion.name: plan for plan in plans}
    shown = []
    for s in slices[:SHOWN_SLICES]:
        plan, cells = by_name[s.criterion], total.cells
        blocks = blocks_of(settings, total, plan, s.slice)
        cell = cells.get(CellKey(s.criterion, s.slice), {})
        interval = interval_of(plan, cell, blocks, settings.alpha)
        whole = plan.measure(cells.get(CellKey(s.criterion, ALL), {})) if s.n else NOTHING
        share = min(1.0, s.n / whole.n) if whole.n else 0.0
        shown.append(s.bounded(interval, share, blocks[0].chosen().blocks if blocks else None))
    return tuple(sorted(shown, key=lambda s: (not s.flagged, -s.effect)))


def not_shown(settings: JudgeSettings, plans: Sequence[Plan], total: Total) -> list[str]:
    """Slices of which too little was seen, and that no interval shows not to be worse."""
    found: dict[str, str] = {}
    for key, cell in sorted(total.cells.items()):
        plan = next((p for p in plans if p.criterion.name == key.criterion), None)
        declared = key.slice != ALL and key.slice.partition("=")[2] != OTHER
        if plan is None or not declared or not plan.criterion.required:
            continue
        blocks = blocks_of(settings, total, plan, key.slice)
        n = plan.measure(cell).n
        enough = settings.min_calls if not blocks else settings.slice_min_blocks
        # No more than its calls: there may be blocks of nothing but calls that were lost.
        if (min(n, blocks[0].chosen().blocks) if blocks else n) >= enough:
            continue
        interval = interval_of(plan, cell, blocks, settings.alpha)
        if not _is_within(plan.criterion, interval):
            found.setdefault(key.slice, f"{key.slice} ({n:,.0f} calls)")
    return list(found.values())


def _is_within(criterion: Criterion, interval: Interval | None) -> bool:
    """Whether an interval lies within what a slice may be."""
    if interval is None:
        return False
    most = criterion.slice_margin
    most = 2 * criterion.margin if most is None else most
    low, high = interval
    if criterion.is_two_sided:
        return -most <= low and high <= most
    return -most <= low if criterion.is_downward else high <= most


def _named(slices: Iterable[SliceVerdict]) -> str:
    return some_of(list(dict.fromkeys(s.slice for s in slices)))


def some_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def worse_words(plans: Sequence[Plan], worse: Sequence[SliceVerdict]) -> str:
    first = worse[0]
    plan = next(plan for plan in plans if plan.criterion.name == first.criterion)
    return f"{first.criterion} in {_named(worse)}: {compared(plan, 'above', first.estimate, None)}"
