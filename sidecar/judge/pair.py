"""One call with both answers compared: everything the judge is told about it.

Rule: whoever makes a pair decided to compare the call before seeing either answer. Values stay in
the judge only as long as a label may still come, and leave it only as `shown` allows.
Counterpart: `criteria`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from sidecar.call import CallKey
from sidecar.compare.result import Comparison, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.judge.distributions import Drawn
    from sidecar.judge.shown import Shown
    from sidecar.judge.times import Timed

Value: TypeAlias = "float | str | NDArray[np.generic]"
Values: TypeAlias = "Mapping[str, tuple[Value | None, Value | None]]"
"""(production's, shadow's) by output name, for the outputs that decisions and labels are about."""

DEADLINE_EXCEEDED = 4
_NO_VALUES: Values = {}
_PRODUCTION_FAILED = frozenset(
    {Outcome.PRODUCTION_ERROR, Outcome.BOTH_ERROR_OTHER, Outcome.BOTH_ERROR_SAME}
)


class ControlTimes(NamedTuple):
    """How long a control took that was drawn for a call; nanoseconds."""

    answer: int = 0  # to the answer's last byte; where it failed, to when it did
    first_message: int | None = None  # to its first message; None without one
    message_gap: int | None = None  # mean between its messages; None without two
    failed: bool = False  # it did not answer, or was never asked
    late: bool = False  # because its deadline had passed


def are_others(models: tuple[str, str]) -> bool:
    """Whether two sides, each "name:version" or less, tell versions that differ."""
    ours, theirs = (model.rpartition(":")[2] if ":" in model else "" for model in models)
    return bool(ours and theirs) and ours != theirs


@dataclass(slots=True, init=False)
class JudgedPair:
    """A pair as the judge sees it. Latencies are nanoseconds. Nobody changes one.

    One is made for each call. So it is not frozen, which takes three times as long, and is made by
    a function of ours, which is compiled where one that is generated is not.
    """

    key: CallKey
    method: str
    arrived_ns: int
    comparison: Comparison
    production_status: int
    shadow_status: int
    production_latency_ns: int
    shadow_latency_ns: int
    # Production's and the shadow's time to the first message, and mean between messages.
    first_message_ns: tuple[int | None, int | None]
    message_gap_ns: tuple[int | None, int | None]
    control: Comparison | None  # production against its second replica, if it was asked
    control_times: ControlTimes | None  # None: a draw, or an operator, left it out
    correlation_id: str
    trace_ids: tuple[str, str]
    slices: tuple[tuple[str, str], ...]  # (name, value); see `slices.slices_of`
    values: Values
    has_others: bool  # production's answer could be read, and has none of those outputs
    is_repeat: bool  # of a request that came a moment before; see `repeats`
    weight: float  # of how many calls it is one, where some were left out for want of time
    drawn: Drawn | None  # for distributions; see `distributions`
    request_digest: int | None  # see `evidence.effective`; None: it is not known
    show: Callable[[], Shown] | None  # reads what may be shown; asked for few calls
    # What every criterion asks, found once. Whether production answered, so that there is something
    # to agree with; and whether it did and the shadow did not, by status or within its answer.
    answered: bool = field(init=False, compare=False)
    failed: bool = field(init=False, compare=False)
    # What `times` has found, by what is timed: against production, and against the control.
    times: dict[str, Timed | None] = field(init=False, repr=False, compare=False)
    controlled_times: dict[str, Timed | None] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        key: CallKey,
        method: str,
        arrived_ns: int,
        comparison: Comparison,
        production_status: int = 0,
        shadow_status: int = 0,
        production_latency_ns: int = 0,
        shadow_latency_ns: int = 0,
        first_message_ns: tuple[int | None, int | None] = (None, None),
        message_gap_ns: tuple[int | None, int | None] = (None, None),
        control: Comparison | None = None,
        control_times: ControlTimes | None = None,
        correlation_id: str = "",
        trace_ids: tuple[str, str] = ("", ""),
        slices: tuple[tuple[str, str], ...] = (),
        values: Values = _NO_VALUES,
        has_others: bool = False,
        is_repeat: bool = False,
        weight: float = 1.0,
        drawn: Drawn | None = None,
        request_digest: int | None = None,
        show: Callable[[], Shown] | None = None,
    ) -> None:
        self.key, self.method, self.arrived_ns, self.comparison = (
            key,
            method,
            arrived_ns,
            comparison,
        )
        self.production_status, self.shadow_status = production_status, shadow_status
        self.production_latency_ns = production_latency_ns
        self.shadow_latency_ns = shadow_latency_ns
        self.first_message_ns, self.message_gap_ns = first_message_ns, message_gap_ns
        self.control, self.control_times = control, control_times
        self.correlation_id, self.trace_ids = correlation_id, trace_ids
        self.slices, self.values, self.has_others = slices, values, has_others
        self.is_repeat, self.weight, self.drawn = is_repeat, weight, drawn
        self.request_digest, self.show = request_digest, show
        outcome = comparison.outcome
        self.answered = production_status == 0 and outcome not in _PRODUCTION_FAILED
        refused = shadow_status != 0 or outcome is Outcome.SHADOW_ERROR
        self.failed = refused and self.answered
        self.times, self.controlled_times = {}, {}

    @property
    def control_is_another(self) -> bool:
        """Whether the control told another version than production: its noise is not known."""
        return self.control is not None and are_others(self.control.models)

    @property
    def failed_fast(self) -> bool:
        """Whether the shadow failed otherwise than by its deadline, which is at least as long."""
        return self.failed and self.shadow_status != DEADLINE_EXCEEDED


def identity_of(pair: JudgedPair) -> str:
    """What a call goes by."""
    return (
        pair.correlation_id
        or pair.trace_ids[0]
        or f"{pair.key.connection}/{pair.key.stream}@{pair.arrived_ns}"
    )
