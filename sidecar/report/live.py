"""The parts and the report of a running observer. Counterpart: `part`, what they are for.

Rule: whichever way a verdict is asked for, it is that of this moment: a part tells of its
sidecar's verdict as judged now, so that no reader sees a PASS that another is told not to trust.
"""

from __future__ import annotations

from sidecar.experiment.judged import Judged
from sidecar.experiment.row import Row
from sidecar.experiment.state import State
from sidecar.judge.counts import ALL
from sidecar.judge.report import State as Decision
from sidecar.judge.report import Verdict
from sidecar.report.build import build
from sidecar.report.notices import of_state
from sidecar.report.part import Away, Part
from sidecar.report.report import Report

SLICE_WORST = 3  # of a slice; of all traffic as many as the judge keeps


def part_of(state: State, judged: Judged, row: Row | None = None) -> Part:
    """Read what was counted so far; histograms and timeline stay the observer's own.

    Args:
        state: the experiment, now.
        judged: the shadow.
        row: of which versions; None: the current ones.
    """
    judged.account(state.now_ns)
    row = row or judged.row
    is_current = row is judged.row
    now = judged.evaluate(state.now_ns) if is_current else row.evaluate(state.now_ns)
    judge, epoch = row.judge, row.epoch
    snapshot = row.snapshot(state.now_ns)
    worst = {key: judge.worst(*key) for key in snapshot.cells}
    return Part(
        source="",
        shadow=judged.name,
        settings=judge.settings,
        control_fraction=row.judge.control_fraction,
        snapshot=snapshot,
        outcomes={outcome.value: n for outcome, n in epoch.outcomes.items()},
        skipped={reason.value: n for reason, n in epoch.skipped.items() if n},
        production_latency=epoch.production_latency,
        shadow_latency=epoch.shadow_latency,
        control_latency=epoch.control_latency,
        timeline=epoch.timeline,
        distributions=epoch.distributions,
        outputs=epoch.outputs,
        unread=epoch.unread,
        notices=tuple(of_state(state, judged.name)) if is_current and state.receivers else (),
        worst={
            key: found if key.slice == ALL else found[:SLICE_WORST]
            for key, found in worst.items()
            if found
        },
        sample={
            key: found
            for key in snapshot.cells
            if key.slice == ALL and (found := judge.sample(*key))
        },
        stands=(now.state, now.reason),
        unsure=_unsure(judged, now) if is_current else "",
        is_current=is_current,
        away=Away(
            len(row.gaps),
            sum(gap.seconds for gap in row.gaps),
            sum(gap.lost_calls or 0.0 for gap in row.gaps),
        ),
        observers=state.settings.observer.processes,
    )


def _unsure(judged: Judged, now: Verdict) -> str:
    """Why no sum that the current row is in may pass; a used-up budget is no such reason."""
    if judged.few_keys:
        return judged.few_keys
    stands = judged.judge.stands
    is_spent = stands is not None and stands[0] is Decision.INCONCLUSIVE
    return now.reason if now.state is Decision.INCONCLUSIVE and not is_spent else ""


def parts_of(state: State, judged: Judged) -> list[Part]:
    """One for each pair of versions that was seen, the current one first."""
    return [part_of(state, judged, row) for row in judged.rows]


def report_of(state: State, judged: Judged) -> Report:
    """The report of a sidecar's own counts, with the verdict that stands."""
    verdict = judged.evaluate(state.now_ns)
    return build(parts_of(state, judged), state.unix_seconds, verdict=verdict)
