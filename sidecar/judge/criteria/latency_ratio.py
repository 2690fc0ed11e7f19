"""latency_ratio: a quantile of the shadow's latency against production's; margin 0.1 is +10 %.

Counters: "a<i>" and "b<i>", production's and the shadow's latency in bucket i. A call that met the
shadow's deadline counts as infinitely slow; one that the shadow failed otherwise has no latency,
and is lost. The score of a call, for sums over blocks of time, is paired: whether the shadow was
slower than (1 + margin) q, less whether production was slower than q, where q is production's
quantile as learned from the first calls. Its mean is at most 0 where the shadow's quantile is at
most 1 + margin times production's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from sidecar.judge.criteria.base import (
    LOST,
    NOTHING,
    Criterion,
    Increments,
    Measurement,
    Plan,
    Share,
)
from sidecar.judge.criteria.memory import Memory
from sidecar.judge.criteria.units import Unit, number, written
from sidecar.judge.evidence.interval import Interval
from sidecar.judge.evidence.mixtures import Side
from sidecar.judge.evidence.quantile import (
    LAST,
    bucket,
    quantile_estimate,
    quantile_interval,
    ratio_evidence,
)
from sidecar.judge.pair import DEADLINE_EXCEEDED, JudgedPair

LEARNED_CALLS = 200  # of which production's quantile is learned


class LatencyRatio(Criterion):
    """`latency_ratio`: a quantile of the shadow's latency against production's."""

    kind: Literal["latency_ratio"] = "latency_ratio"
    margin: Annotated[float, Field(gt=0, le=100)]  # 0.1 is 10 % slower
    quantile: Share = 0.95  # which one, in (0, 1)

    def plan(self, control_fraction: float) -> _Plan:
        return _Plan(self, control_fraction)


class _Plan(Plan):
    criterion: LatencyRatio
    low = -1.0
    unit = Unit.CHANGE

    @property
    def bound(self) -> float:
        return 0.0

    def count(self, pair: JudgedPair, memory: Memory) -> Increments:
        late = pair.failed and pair.shadow_status == DEADLINE_EXCEEDED
        if pair.failed and not late:
            return LOST
        slow = LAST if late else bucket(pair.shadow_latency_ns)
        counted = [(f"a{bucket(pair.production_latency_ns)}", 1.0), (f"b{slow}", 1.0)]
        criterion = self.criterion
        q = memory.quantile_of(
            criterion.name, criterion.quantile, LEARNED_CALLS, pair.production_latency_ns
        )
        if q is None:
            return counted
        slower = late or pair.shadow_latency_ns > (1 + criterion.margin) * q
        score = float(slower) - float(pair.production_latency_ns > q)
        return [("n", 1.0), ("k", score), *counted]

    def measure(
        self, cell: Mapping[str, float], scale: float = 1.0, lost: float = 0.0
    ) -> Measurement:
        a, b = _buckets(cell, "a", scale), _buckets(cell, "b", scale)
        p, ratio = self.criterion.quantile, 1 + self.criterion.margin
        before, after = quantile_estimate(a, p), quantile_estimate(b, p)
        if before is None or after is None:
            return NOTHING
        good, bad = self._bounds(cell, lost, scale)
        return Measurement(
            sum(b.values()),
            after / before - 1,
            ratio_evidence(a, bad, p, ratio, Side.PASS),
            ratio_evidence(a, good, p, ratio, Side.FAIL),
        )

    def _bounds(
        self, cell: Mapping[str, float], lost: float, scale: float = 1.0
    ) -> tuple[dict[int, float], dict[int, float]]:
        """The shadow's latencies, what was lost taken as fast as can be and as slow."""
        good, bad = _buckets(cell, "b", scale), _buckets(cell, "b", scale)
        gone = (cell.get("lost", 0.0) + lost) * scale
        if gone:
            good[0] = good.get(0, 0.0) + gone
            bad[LAST] = bad.get(LAST, 0.0) + gone
        return good, bad

    def interval(
        self, cell: Mapping[str, float], alpha: float, lost: float = 0.0
    ) -> Interval | None:
        a, p = _buckets(cell, "a"), self.criterion.quantile
        if not a:
            return None
        good, bad = self._bounds(cell, lost)
        low_a, high_a = quantile_interval(a, p, alpha / 2)
        low_b = quantile_interval(good, p, alpha / 2)[0]
        high_b = quantile_interval(bad, p, alpha / 2)[1]
        return low_b / high_a - 1, high_b / low_a - 1 if low_a > 0 else math.inf

    def magnitude(self, pair: JudgedPair, counted: Increments) -> float:
        return (pair.shadow_latency_ns - pair.production_latency_ns) / 1e9

    def said(self, estimate: float) -> str:
        return f"p{number(100 * self.criterion.quantile)} latency is {written(estimate, self.unit)}"

    def about(self) -> str:
        return f"p{number(100 * self.criterion.quantile)} latency against production's"


def _buckets(cell: Mapping[str, float], side: str, scale: float = 1.0) -> dict[int, float]:
    return {int(k[1:]): v * scale for k, v in cell.items() if k.startswith(side)}
