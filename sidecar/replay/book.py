"""Calls and answers, compared and judged by the very parts that judge live traffic.

Counterparts: `experiment.judging` and `compare.comparer`, which decide; `replay`, which asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.call import CallKey, Observation, SkipReason, Started
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.judging import Judging
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.pair import Pair
from sidecar.experiment.state import State
from sidecar.judge.labels import Label
from sidecar.log import Log
from sidecar.replay.recorded import Recorded
from sidecar.report.live import part_of, parts_of
from sidecar.serve.convert import counts_message
from sidecar.settings.settings import Settings


class Book:
    """What is known of a replay's calls. `settings.shadows` are the candidates."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        *,
        began_ns: int,
        instance: str,
        labels: Mapping[str, Label] | None = None,
    ) -> None:
        """Begin.

        Args:
            settings: the whole configuration; `judge` as `offline` gives it.
            log: told of every change of a verdict.
            began_ns: when the first of the calls was made, Unix nanoseconds. Time is the calls'
                own: what was a minute apart is a minute apart, however fast it is asked again.
            instance: names this process among those whose counts are added.
            labels: what turned out to be true, by correlation id.
        """
        self._now_ns = began_ns
        self.ledger = Ledger([(s.name, s.role) for s in settings.shadows])
        self.comparer = Comparer(settings.compare, Registry.from_settings(settings.compare))
        self.judging = Judging(
            settings,
            self.ledger,
            self.comparer,
            lambda: self._now_ns,
            log,
            instance=instance,
            unix_offset_ns=0,
        )
        self._settings = settings
        self._labels = labels or {}

    def enter(
        self, call: Recorded, production: Observation, answers: Mapping[str, Observation]
    ) -> None:
        """Compare and judge one call.

        Args:
            call: what was asked.
            production: its answer.
            answers: every candidate's, by name.
        """
        self._now_ns = max(self._now_ns, call.production.ended_ns)
        key, began_ns = CallKey(0, call.number), call.started_ns
        started = Started(key, call.method, "", call.metadata, call.peer, began_ns, sampled=True)
        pair = Pair(started, self.ledger.see(), request=call.request)
        pair.production = production
        pair.request_id = call.correlation_id
        self.judging.requested(pair)
        for name, answer in answers.items():
            pair.shadowed[name] = answer
            found = self.comparer.examine(call.method, call.request, production, answer)
            pair.compared[name] = found.comparison
            pair.entry.compare(name, found.comparison, production, answer)
            self.judging.keep(pair, name, found)
        self.judging.judge(pair)
        if (label := self._labels.get(call.correlation_id)) is not None:
            self.judging.label(label)

    def lose(self, reason: SkipReason) -> None:
        """Account for a call that was asked and has no answer."""
        self.ledger.refuse(reason)

    def state(self) -> State:
        """What there is, as a live experiment shows it."""
        return State(
            settings=self._settings,
            ledger=self.ledger,
            judged=self.judging.shadows,
            now_ns=self._now_ns,
            unix_offset_ns=0,
            control_fraction=self.judging.control_fraction,
        )

    def messages(self) -> list[bytes]:
        """What was counted, serialized `shadow.v1.ShadowCounts`: of each pair of versions one."""
        now = self.state()
        return [
            counts_message(part).SerializeToString(deterministic=True)
            for judged in now.judged.values()
            for part in parts_of(now, judged)
        ]

    @property
    def rules(self) -> str:
        """Digest of criteria and comparison rules: only what is counted under the same adds up."""
        now = self.state()
        return next(part_of(now, judged).snapshot.rules for judged in now.judged.values())


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
