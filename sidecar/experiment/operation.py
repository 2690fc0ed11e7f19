"""What operators and time decide: which settings are in force, and what share is copied.

Rule: a change takes over what is live, names the rest as needing a restart, and tells the wire.
Counterparts: `app`, which asks about each call; `settings.difference`, which knows what is live;
`link`, through which the wire is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sidecar.call import SkipReason, Started
from sidecar.experiment.link import WireLink
from sidecar.experiment.state import ConfigurationState
from sidecar.settings.difference import Difference, diff, take_live
from sidecar.settings.settings import Settings
from sidecar.tee.admission import Admission
from sidecar.tee.pace import MOST_WEIGHT, Pace

HEARD_NS = 250_000_000  # until the wire has heard that it may go on: a call left out is still so


class Operation:
    """The settings in force, the operator's choice among calls, and the pace."""

    def __init__(self, settings: Settings, wire: WireLink) -> None:
        self.settings = settings
        self.pace = Pace()
        self._begun = settings.sample.fraction or 1.0
        self.configuration = ConfigurationState()
        self.harmed = False  # the tee has paused itself, and nobody has had it go on yet
        self._wire = wire
        self._resting = False
        self._rests_ns = self._rested_ns = 0  # between which the wire was to copy nothing
        self._admission = Admission(settings.match, settings.sample, settings.paused)
        self._tell()

    @property
    def ended(self) -> bool:
        """Whether no further call is shadowed."""
        return self._admission.ended

    @property
    def weight(self) -> float:
        """For how many calls one stands that comes now, at the sampling that was begun with."""
        sampled = self._begun / max(self.settings.sample.fraction, 1e-9)
        return min(MOST_WEIGHT, self.pace.weight * sampled)

    @property
    def fraction(self) -> float:
        """The share of all calls that the operator wants compared, now."""
        chosen = not (self._admission.paused or self._admission.ended)
        return self.settings.sample.fraction if chosen else 0.0

    @property
    def is_keyed(self) -> bool:
        """Whether sampling leaves whole keys out."""
        sample = self.settings.sample
        return sample.key is not None and sample.fraction < 1

    @property
    def few_keys(self) -> str:
        """Why no PASS holds for keys that sampling leaves out; empty: many keys are sampled."""
        if not self.is_keyed:
            return ""
        return self._admission.keys.few(self.settings.judge.min_distinct_inputs)

    def check(self, call: Started, draw: float) -> SkipReason | None:
        """Say why no receiver gets the call, or None; SHED comes last, after every choice."""
        resting = self._rested(call.started_ns)
        return self._admission.check(call, draw, self.pace.share, resting=resting)

    def left_out(self, call: Started, draw: Callable[[], float]) -> tuple[SkipReason, int]:
        """Of calls that the wire did not copy: by which choice, and how many; the rest are SHED."""
        resting = self._rested(call.started_ns)
        return self._admission.left_out(call, draw, self.pace.share, resting=resting)

    def _rested(self, began_ns: int) -> bool:
        return self._rests_ns <= began_ns and (self._resting or began_ns < self._rested_ns)

    @property
    def is_on(self) -> bool:
        """Whether calls are chosen at all: neither paused nor ended."""
        return not (self._admission.paused or self._admission.ended)

    def rest(self, resting: bool, now_ns: int) -> None:
        """Have the wire copy nothing for a moment, or go on."""
        if resting == self._resting:
            return
        self._resting = resting
        if resting:
            self._rests_ns = now_ns
        else:
            self._rested_ns = now_ns + HEARD_NS
        self._tell()

    def harm(self) -> None:
        """Production is slower with the tee than it may be: pause it, as an operator would."""
        self.harmed = True
        self.settings = self.settings.model_copy(update={"paused": True})
        self._admission = replace(self._admission, paused=True)
        self._tell()

    def heard(self, late_ns: int, pressure: float, now_ns: int) -> None:
        """Learn how late copies come and how full the shadows are, and change the pace."""
        if self.pace.heard(late_ns, pressure, now_ns):
            self._tell()

    def end(self) -> None:
        """No further call is shadowed, and none needs to be copied."""
        self._admission = replace(self._admission, ended=True)
        self._tell()

    def change(self, settings: Settings) -> Difference:
        """Take over what is live; the rest stays as it was, and is named."""
        found = diff(self.settings, settings)
        before = self._admission
        self.settings = take_live(self.settings, settings)
        self.harmed = self.harmed and self.settings.paused
        self._admission = replace(
            Admission(self.settings.match, self.settings.sample, self.settings.paused),
            ended=before.ended,
        )
        if self.settings.sample == before.sample:
            self._admission = replace(self._admission, keys=before.keys)
        self._tell()
        return found

    def configured(self, needs_restart: tuple[str, ...]) -> None:
        """Remember what the configuration, as it was last read, asks for beyond what is live."""
        self.configuration = ConfigurationState(needs_restart)

    def refused(self, errors: tuple[str, ...]) -> None:
        """Remember what is wrong with the configuration as it was last read."""
        self.configuration = ConfigurationState(self.configuration.needs_restart, errors)

    def _tell(self) -> None:
        share = 0.0 if self._resting else self.pace.share
        self._wire.copy(self._admission.wire_fraction * share)
