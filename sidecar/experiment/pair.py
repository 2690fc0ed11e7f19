"""A call on its way, from admission until every shadow's fate is known; and all of them.

Rule: what calls in flight hold is known in bytes at every moment. Counterpart: `app`, which moves
calls along.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.call import CallKey, Metadata, Observation, SkipReason, Started
from sidecar.compare.result import Comparison
from sidecar.experiment.ledger import Entry
from sidecar.http2.budget import Budget
from sidecar.judge.distributions import Drawn
from sidecar.judge.pair import JudgedPair, Values
from sidecar.telemetry.plan import SpanPlan


class Pair:
    """One admitted call on its way: what is known so far, and what is still awaited."""

    __slots__ = (
        "call",
        "compared",
        "digest",
        "drawn",
        "entry",
        "held_bytes",
        "is_repeat",
        "judged",
        "plan",
        "production",
        "request",
        "request_id",
        "scores",
        "sent",
        "shadowed",
        "skipped",
        "values",
        "weight",
    )

    def __init__(
        self,
        call: Started,
        entry: Entry,
        *,
        plan: SpanPlan | None = None,
        request: tuple[bytes, ...] = (),
        production: Observation | None = None,
        weight: float = 1.0,
    ) -> None:
        """Begin.

        Args:
            call: as it was seen.
            entry: its line in the ledger, with one fate for each shadow.
            plan: of its spans, and
            request: its messages, when they are known, and
            production: what production answered.
            weight: 1 / the share of the calls that there was time for when it came.
        """
        self.call, self.entry, self.weight = call, entry, weight
        self.plan = plan
        self.request = request
        self.held_bytes = 0
        self.production = production
        self.shadowed: dict[str, Observation] = {}
        self.compared: dict[str, Comparison] = {}
        self.skipped: dict[str, SkipReason] = {}
        self.values: dict[str, Values] = {}  # what the judge is about, of both
        self.judged: dict[str, JudgedPair] = {}  # what the judge was told
        self.drawn: dict[str, Drawn] = {}  # for distributions, of few calls
        self.scores: dict[str, dict[str, float]] = {}  # if they are captured
        self.sent: dict[str, int] = {}  # when a copy went out, monotonic
        self.request_id = ""
        self.is_repeat = False  # of a request that came a moment before
        self.digest: int | None = None  # of the request, when somebody asked for it

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
