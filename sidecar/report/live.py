"""The parts and the report of a running observer. Counterpart: `part`, what they are for."""

from __future__ import annotations

from sidecar.experiment.judging import Judged
from sidecar.experiment.state import State
from sidecar.judge.counts import ALL
from sidecar.report.build import build
from sidecar.report.notices import of_state
from sidecar.report.part import Part
from sidecar.report.report import Report

SLICE_WORST = 3  # of a slice; of all traffic as many as the judge keeps


def part_of(state: State, judged: Judged) -> Part:
    """Read what was counted so far; histograms and timeline stay the observer's own."""
    judge, epoch = judged.judge, judged.epoch
    snapshot = judge.snapshot(state.now_ns, judged.coverage)
    worst = {key: judge.worst(*key) for key in snapshot.cells}
    return Part(
        source="",
        shadow=judged.name,
        settings=state.settings.judge,
        control_fraction=state.control_fraction,
        snapshot=snapshot,
        outcomes={outcome.value: n for outcome, n in epoch.outcomes.items()},
        skipped={reason.value: n for reason, n in epoch.skipped(judged.counts.skipped).items()},
        production_latency=epoch.production_latency,
        shadow_latency=epoch.shadow_latency,
        control_latency=epoch.control_latency,
        timeline=epoch.timeline,
        outputs=epoch.outputs,
        unread=epoch.unread,
        notices=tuple(of_state(state, judged.name)) if state.receivers else (),
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
        stands=judge.stands,
        observers=state.settings.observer.processes,
    )


def report_of(state: State, judged: Judged) -> Report:
    """The report of a sidecar's own counts, with the verdict that stands."""
    verdict = judged.evaluate(state.now_ns)
    part = part_of(state, judged)
    return build([part], state.unix_seconds, verdict=verdict)
