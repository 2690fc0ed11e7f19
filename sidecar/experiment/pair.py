"""A call on its way, from admission until every shadow's fate is known; and all of them.

Rule: what calls in flight hold is known in bytes at every moment. Counterpart: `app`, which moves
calls along.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sidecar.call import CallKey, Metadata, Observation, SkipReason, Started
from sidecar.compare.result import Comparison
from sidecar.experiment.ledger import Entry
from sidecar.http2.budget import Budget
from sidecar.judge.distributions import Drawn
from sidecar.judge.pair import JudgedPair, Values
from sidecar.telemetry.plan import SpanPlan


@dataclass(slots=True)
class Pair:
    """One admitted call on its way: what is known so far, and what is still awaited."""

    call: Started
    entry: Entry  # its line in the ledger, with one fate for each shadow
    plan: SpanPlan | None = None
    request: tuple[bytes, ...] = ()
    held_bytes: int = 0
    production: Observation | None = None
    shadowed: dict[str, Observation] = field(default_factory=dict)
    compared: dict[str, Comparison] = field(default_factory=dict)
    skipped: dict[str, SkipReason] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)  # what the judge is about, of both
    judged: dict[str, JudgedPair] = field(default_factory=dict)  # what the judge was told
    drawn: dict[str, Drawn] = field(default_factory=dict)  # for distributions, of few calls
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # if they are captured
    sent: dict[str, int] = field(default_factory=dict)  # when a copy went out, monotonic
    request_id: str = ""
    is_repeat: bool = False  # of a request that came a moment before
    weight: float = 1.0  # 1 / the share of the calls that there was time for when it came
    digest: int | None = None  # of the request, when somebody asked for it

    def undecided(self, name: str) -> bool:
        """Whether this shadow's fate is still open."""
        return name not in self.compared and name not in self.skipped


class Pairs:
    """The calls in flight, in the order of their arrival."""

    def __init__(self, budget: Budget) -> None:
        """None yet; their messages and metadata are counted in `budget`."""
        self._pairs: dict[CallKey, Pair] = {}
        self._budget = budget

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, pair: Pair) -> None:
        """Begin."""
        self._pairs[pair.call.key] = pair
        self._hold(pair, _size(pair.call.metadata))

    def get(self, key: CallKey) -> Pair | None:
        """Find a call; None when it has ended, or was never admitted."""
        return self._pairs.get(key)

    def hold_request(self, pair: Pair, messages: tuple[bytes, ...]) -> int:
        """Keep a call's request; its size in bytes."""
        pair.request = messages
        size = sum(map(len, messages))
        self._hold(pair, size)
        return size

    def hold(self, pair: Pair, answer: Observation) -> None:
        """Count an answer that a call holds from now on."""
        size = sum(map(len, answer.messages)) + _size(answer.headers) + _size(answer.trailers)
        self._hold(pair, size)

    def _hold(self, pair: Pair, size: int) -> None:
        pair.held_bytes += size
        self._budget.held += size

    def end(self, pair: Pair) -> bool:
        """Let a call and what it holds go; False if that has been done."""
        if self._pairs.pop(pair.call.key, None) is None:
            return False
        self._budget.held -= pair.held_bytes
        return True

    def youngest_reading(self, conn: int) -> CallKey | None:
        """The latest call of a connection that production has not answered yet."""
        for key in reversed(self._pairs):
            if key.connection == conn and self._pairs[key].production is None:
                return key
        return None

    def begun_before(self, time_ns: int) -> Iterator[CallKey]:
        """The calls that are older; they may be ended on the way."""
        for key, pair in list(self._pairs.items()):
            # In order of arrival, so the first young one ends the search.
            if pair.call.started_ns >= time_ns:
                return
            yield key

    def all(self) -> list[CallKey]:
        """All of them, now."""
        return list(self._pairs)


def _size(metadata: Metadata) -> int:
    size = 0
    for name, value in metadata:
        size += len(name) + len(value)
    return size
