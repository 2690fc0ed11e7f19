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
from numpy.typing import NDArray

from sidecar.call import CallKey
from sidecar.compare.result import Comparison, Outcome

if TYPE_CHECKING:
    from sidecar.judge.distributions import Drawn
    from sidecar.judge.shown import Shown
    from sidecar.judge.times import Timed

Value: TypeAlias = float | str | NDArray[np.generic]
Values: TypeAlias = Mapping[str, tuple[Value | None, Value | None]]
"""(production's, shadow's) by output name, for the outputs that decisions and labels are about."""

DEADLINE_EXCEEDED = 4
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


@dataclass(slots=True)
class JudgedPair:
    """A pair as the judge sees it. Latencies are nanoseconds. Nobody changes one.

    Not frozen: one is made for each call, and to make a frozen one takes three times as long.
    """

    key: CallKey
    method: str
    arrived_ns: int
    comparison: Comparison
    production_status: int = 0
    shadow_status: int = 0
    production_latency_ns: int = 0
    shadow_latency_ns: int = 0
    # Production's and the shadow's time to the first message, and mean between messages.
    first_message_ns: tuple[int | None, int | None] = (None, None)
    message_gap_ns: tuple[int | None, int | None] = (None, None)
    control: Comparison | None = None  # production against its second replica, if it was asked
    control_times: ControlTimes | None = None  # None: a draw, or an operator, left it out
    correlation_id: str = ""
    trace_ids: tuple[str, str] = ("", "")
    slices: tuple[tuple[str, str], ...] = ()  # (name, value); see `slices.slices_of`
    values: Values = field(default_factory=dict)
    is_repeat: bool = False  # of a request that came a moment before; see `repeats`
    weight: float = 1.0  # of how many calls it is one, where some were left out for want of time
    drawn: Drawn | None = None  # for distributions; see `distributions`
    request_digest: int | None = None  # see `evidence.effective`; None: it is not known
    show: Callable[[], Shown] | None = None  # reads what may be shown; asked for few calls
    # What every criterion asks, found once. Whether production answered, so that there is something
    # to agree with; and whether it did and the shadow did not, by status or within its answer.
    answered: bool = field(init=False, compare=False)
    failed: bool = field(init=False, compare=False)
    # What `times` has found, by what is timed: against production, and against the control.
    times: dict[str, Timed | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    controlled_times: dict[str, Timed | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        outcome = self.comparison.outcome
        self.answered = self.production_status == 0 and outcome not in _PRODUCTION_FAILED
        refused = self.shadow_status != 0 or outcome is Outcome.SHADOW_ERROR
        self.failed = refused and self.answered

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
