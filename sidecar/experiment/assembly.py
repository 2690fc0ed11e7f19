"""Puts an experiment together from the settings. Counterpart: `app`, which is handed the parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.compare.comparer import Comparer
from sidecar.experiment.app import Experiment
from sidecar.experiment.capturing import Capturing, Writer
from sidecar.experiment.harmless import Harmless
from sidecar.experiment.judging import Judging
from sidecar.experiment.keeping import Keeping
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.link import WireLink
from sidecar.experiment.operation import Operation
from sidecar.experiment.parts import Parts
from sidecar.experiment.receivers import Receivers
from sidecar.experiment.recent import RecentPairs
from sidecar.experiment.skipped import SkipLog
from sidecar.http2.budget import Budget
from sidecar.judge.pair import JudgedPair
from sidecar.log import Log
from sidecar.settings.settings import Settings
from sidecar.tasks import Tasks
from sidecar.telemetry.pairs import PairSpans


def assemble(
    settings: Settings,
    comparer: Comparer,
    spans: PairSpans,
    now_ns: Callable[[], int],
    draw: Callable[[], float],
    log: Log,
    *,
    instance: str = "observer",
    unix_offset_ns: int = 0,
    wire: WireLink | None = None,
    listeners: Sequence[Callable[[str, JudgedPair], None]] = (),
    capture: Writer | None = None,
    tasks: Tasks | None = None,
    keeping: Keeping | None = None,
) -> Experiment:
    """Build an experiment; the arguments are those of `parts_of`."""
    parts = parts_of(
        settings,
        comparer,
        spans,
        now_ns,
        draw,
        log,
        instance=instance,
        unix_offset_ns=unix_offset_ns,
        wire=wire,
        listeners=listeners,
        capture=capture,
        tasks=tasks,
        keeping=keeping,
    )
    return Experiment(parts, now_ns, draw, log, unix_offset_ns=unix_offset_ns)


def parts_of(
    settings: Settings,
    comparer: Comparer,
    spans: PairSpans,
    now_ns: Callable[[], int],
    draw: Callable[[], float],
    log: Log,
    *,
    instance: str = "observer",
    unix_offset_ns: int = 0,
    wire: WireLink | None = None,
    listeners: Sequence[Callable[[str, JudgedPair], None]] = (),
    capture: Writer | None = None,
    tasks: Tasks | None = None,
    keeping: Keeping | None = None,
) -> Parts:
    """Build what an experiment is made of.

    Args:
        settings: the whole configuration.
        comparer: lays two answers side by side.
        spans: tells traces.
        now_ns: the monotonic clock.
        draw: uniform in [0, 1).
        log: told of changes of state.
        instance: names this process's life among all pods and restarts.
        unix_offset_ns: what to add to the monotonic clock to get Unix time.
        wire: the way back to the wire; None: nobody is told.
        listeners: told of every pair that is judged, with its shadow's name.
        capture: takes rows of finished calls; None: nothing is captured.
        tasks: what is done beside; None: of its own.
        keeping: has what an earlier life counted; None: nothing outlives the process.
    """
    wire = wire or WireLink()
    ledger = Ledger([(s.name, s.role) for s in settings.shadows])
    judging = Judging(
        settings,
        ledger,
        comparer,
        now_ns,
        log,
        instance=instance,
        unix_offset_ns=unix_offset_ns,
        keeping=keeping,
    )
    judging.listeners += listeners
    spans.verdict_of = judging.word
    capturing = None
    if capture is not None:
        capturing = Capturing(
            settings.capture,
            capture,
            comparer,
            roles={s.name: s.role for s in settings.shadows},
            experiment=settings.capture.experiment,
            instance=instance,
            unix_offset_ns=unix_offset_ns,
            draw=draw,
            correlation=judging.correlation_id,
        )
    tasks = tasks or Tasks(log)
    budget = Budget(settings.pairs.bytes)
    operation = Operation(settings, wire)
    return Parts(
        operation=operation,
        harmless=Harmless(settings.production, operation, log, lambda: len(settings.shadows)),
        receivers=Receivers(settings, now_ns, log, budget, tasks),
        comparer=comparer,
        ledger=ledger,
        judging=judging,
        recent=RecentPairs(),
        skips=SkipLog(settings.judge.labels.correlation),
        spans=spans,
        capturing=capturing,
        wire=wire,
        budget=budget,
        tasks=tasks,
    )
