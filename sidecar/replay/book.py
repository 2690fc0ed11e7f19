"""Calls and answers, compared and judged by the very parts that judge live traffic.

Counterparts: `experiment.judging` and `compare.comparer`, which decide; `replay`, which asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sidecar.call import CallKey, Observation, SkipReason, Started
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.judging import Judging
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.pair import Pair
from sidecar.experiment.state import State
from sidecar.log import Log
from sidecar.replay.recorded import Recorded
from sidecar.report.live import report_of
from sidecar.report.report import Report
from sidecar.settings.settings import Settings


class Book:
    """What is known of a replay's calls. `settings.shadows` are the candidates."""

    def __init__(
        self,
        settings: Settings,
        now_ns: Callable[[], int],
        unix_offset_ns: int,
        log: Log,
        *,
        instance: str = "replay",
    ) -> None:
        """Begin.

        Args:
            settings: the whole configuration; `judge` as `offline` gives it.
            now_ns: the monotonic clock.
            unix_offset_ns: what to add to it to get Unix time.
            log: told of every change of a verdict.
            instance: names this process among those whose counts are added.
        """
        self.ledger = Ledger([(s.name, s.role) for s in settings.shadows])
        self.comparer = Comparer(settings.compare, Registry.from_settings(settings.compare))
        self.judging = Judging(
            settings,
            self.ledger,
            self.comparer,
            now_ns,
            log,
            instance=instance,
            unix_offset_ns=unix_offset_ns,
        )
        self._settings = settings
        self._now_ns = now_ns
        self._offset_ns = unix_offset_ns

    def enter(
        self, call: Recorded, production: Observation, answers: Mapping[str, Observation]
    ) -> None:
        """Compare and judge one call.

        Args:
            call: what was asked.
            production: its answer.
            answers: every candidate's, by name.
        """
        key = CallKey(0, call.number)
        started_ns = call.started_ns - self._offset_ns
        started = Started(key, call.method, "", call.metadata, call.peer, started_ns, sampled=True)
        pair = Pair(started, self.ledger.see(), request=call.request)
        pair.production = production
        pair.request_id = call.correlation_id
        for name, answer in answers.items():
            pair.shadowed[name] = answer
            found = self.comparer.examine(call.method, call.request, production, answer)
            pair.compared[name] = found.comparison
            pair.entry.compare(name, found.comparison, production, answer)
            self.judging.keep(pair, name, found)
        self.judging.judge(pair)

    def lose(self, reason: SkipReason) -> None:
        """Account for a call that was asked and has no answer."""
        self.ledger.refuse(reason)

    def state(self) -> State:
        """What there is, as a live experiment shows it."""
        return State(
            settings=self._settings,
            ledger=self.ledger,
            judged=self.judging.shadows,
            now_ns=self._now_ns(),
            unix_offset_ns=self._offset_ns,
            control_fraction=self.judging.control_fraction,
        )

    def reports(self) -> list[Report]:
        """A report for each candidate, as a live sidecar gives it."""
        now = self.state()
        return [report_of(now, judged) for judged in now.judged.values()]


def offline(settings: Settings, *, timed: bool) -> Settings:
    """The same configuration, for calls that are not live: what it says itself stands.

    Without `timed` both sides were not measured together, and no criterion is about latency.
    Nobody waits for time to pass, and calls that are asked in any order, by anybody's clock, are
    taken as independent; both unless the configuration says otherwise.
    """
    judge = settings.judge
    relaxed: dict[str, Any] = {
        "min_duration_seconds": 0.0,
        "independent_calls": True,
        "min_blocks": 0,
    }
    unsaid = {
        name: value
        for name, value in relaxed.items()
        if name in type(judge).model_fields and name not in judge.model_fields_set
    }
    if not timed:
        unsaid["criteria"] = tuple(c for c in judge.criteria if not c.measures_latency)
    return settings.model_copy(update={"judge": judge.model_copy(update=unsaid)})
