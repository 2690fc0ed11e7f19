"""When to leave a failing shadow alone, and when to try it again.

    closed ──(consecutive failures, or their ratio over a full window)──▶ open
    open ──(cool-down over, next call)──▶ half-open
    half-open ──(`probes` successes)──▶ closed        half-open ──(one failure)──▶ open

Rule: an answer counts only for the state in which its call was admitted. Every change of state
begins a new epoch; `admit` is followed by exactly one of `succeeded`, `failed` or `released` with
the epoch read at `admit`, and a report from an older epoch changes nothing. So a straggler can
neither reopen a breaker that it knows nothing of nor leak or free another call's probe slot.
Counterpart: `gate`, which asks, and `shadow`, which reports.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from sidecar.tee.limits import NANOSECONDS
from sidecar.tee.settings import BreakerSettings

DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE = 4, 8, 14
SICK = frozenset({DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE})
"""gRPC status codes that count as failures: those that asking less often could help.

The shadow is absent, too slow or overloaded. Every other status is an answer, even INTERNAL and
UNKNOWN, which is how a model that crashes on some inputs looks: it is evidence that the verdict
needs, and a breaker that opened on it would hide the worst of the new version.
"""


class BreakerState(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One shadow's circuit breaker."""

    __slots__ = (
        "_consecutive",
        "_cooldown_ns",
        "_epoch",
        "_opened_ns",
        "_probing",
        "_proven",
        "_settings",
        "_state",
        "_window",
        "_window_failures",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._cooldown_ns = round(settings.cooldown_seconds * NANOSECONDS)
        self._opened_ns = 0
        self._epoch = -1
        self._enter(BreakerState.CLOSED)

    @property
    def state(self) -> BreakerState:
        """The state as of the last admission or report; an open breaker cools down unseen."""
        return self._state

    @property
    def epoch(self) -> int:
        """Names the present state's tenure; read it right after `admit` and report with it."""
        return self._epoch

    def would_admit(self, now_ns: int) -> bool:
        """Whether `admit` would succeed now; changes nothing."""
        if self._state is BreakerState.HALF_OPEN:
            return self._probing + self._proven < self._settings.probes
        return self._state is BreakerState.CLOSED or self._cooled(now_ns)

    def admit(self, now_ns: int) -> bool:
        """Let one call through, taking a probe's slot when half-open."""
        if not self.would_admit(now_ns):
            return False
        if self._state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)
        if self._state is BreakerState.HALF_OPEN:
            self._probing += 1
        return True

    def succeeded(self, epoch: int, now_ns: int) -> None:
        """The shadow answered a call admitted in `epoch`."""
        if epoch != self._epoch:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._probing -= 1
            self._proven += 1
            if self._proven >= self._settings.probes:
                self._enter(BreakerState.CLOSED)
        else:
            self._consecutive = 0
            self._remember(failure=False, now_ns=now_ns)

    def failed(self, epoch: int, now_ns: int) -> None:
        """The shadow failed a call admitted in `epoch`."""
        if epoch != self._epoch:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._open(now_ns)
        else:
            self._consecutive += 1
            self._remember(failure=True, now_ns=now_ns)

    def released(self, epoch: int) -> None:
        """A call admitted in `epoch` was never asked, or its answer no longer waited for."""
        if epoch == self._epoch and self._state is BreakerState.HALF_OPEN:
            self._probing -= 1

    def _remember(self, failure: bool, now_ns: int) -> None:
        if len(self._window) == self._settings.window_calls:
            self._window_failures -= self._window.popleft()
        self._window.append(failure)
        self._window_failures += failure
        # A few early failures say little about a ratio: it is read from a full window only,
        # which a success may be the one to fill.
        full = len(self._window) == self._settings.window_calls
        worst = self._settings.failure_ratio * self._settings.window_calls
        if self._consecutive >= self._settings.consecutive_failures or (
            full and self._window_failures >= worst
        ):
            self._open(now_ns)

    def _open(self, now_ns: int) -> None:
        self._opened_ns = now_ns
        self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._epoch += 1
        self._probing = 0  # asked, not yet answered
        self._proven = 0  # answered well
        self._consecutive = 0
        self._window: deque[bool] = deque()
        self._window_failures = 0

    def _cooled(self, now_ns: int) -> bool:
        return now_ns - self._opened_ns >= self._cooldown_ns
