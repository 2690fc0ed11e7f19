"""What an experiment is made of. Counterparts: `assembly`, which makes it; `app`, which uses it."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.compare.comparer import Comparer
from sidecar.experiment.capturing import Capturing
from sidecar.experiment.harmless import Harmless
from sidecar.experiment.judging import Judging
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.link import WireLink
from sidecar.experiment.operation import Operation
from sidecar.experiment.receivers import Receivers
from sidecar.experiment.recent import RecentPairs
from sidecar.experiment.skipped import SkipLog
from sidecar.http2.budget import Budget
from sidecar.tasks import Tasks
from sidecar.telemetry.pairs import PairSpans


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that calls are handed to, one after the other."""

    operation: Operation
    harmless: Harmless
    receivers: Receivers
    comparer: Comparer
    ledger: Ledger
    judging: Judging
    recent: RecentPairs
    skips: SkipLog
    spans: PairSpans
    capturing: Capturing | None
    wire: WireLink
    budget: Budget  # of calls in flight
    tasks: Tasks
