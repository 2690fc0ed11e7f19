"""The tally of kinds about a quantile of a time; what it counts: `criteria.latency_ratio`."""

from __future__ import annotations

from sidecar.judge.evidence.histogram import ENDLESS
from sidecar.judge.levels import part_above
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges
from sidecar.judge.tallies.tally import NO_SCORES, Counted, Tally
from sidecar.judge.times import What, timed_of


def _named(side: str) -> tuple[tuple[str, float], ...]:
    return tuple((f"{side}{i}", 1.0) for i in range(ENDLESS + 1))


_A, _B, _Y, _Z = _named("a"), _named("b"), _named("y"), _named("z")
_ONLY_N = Counted([("n", 1.0)], 0.0, 0.0, 0.0, 0.0, NO_SCORES)


class Quantiles(Tally):
    """Of `criteria.latency_ratio` and those that are like it."""

    def __init__(
        self,
        methods: str,
        name: str,
        of: What,
        *,
        by_control: bool,
        quantile: float,
        margin: float,
    ) -> None:
        """Prepare.

        Args:
            methods: see `Tally`.
            name: the criterion's, under which its level is learned.
            of: what is timed.
            by_control: the reference is the control.
            quantile: which one.
            margin: how much larger the shadow's may be, 0.1 for a tenth.
        """
        super().__init__(methods)
        self._name = name
        self._of: What = of
        self._by_control = by_control
        self._quantile, self._slow = quantile, 1 + margin

    def counted(self, pair: JudgedPair, ranges: Ranges) -> Counted | None:
        """See `Tally.counted`."""
        found = timed_of(pair, self._of, self._by_control)
        if found is None:
            # A control that no draw gave the call; else there is nothing to be timed.
            return _ONLY_N if self._by_control and self._of == "answer" else None
        a, a_most, b, b_most = found.least, found.most, found.shadow_least, found.shadow_most
        i = found.bucket
        is_known = a == a_most
        increments = [
            _A[i] if is_known else _Y[i],
            _B[found.shadow_bucket] if b == b_most else _Z[found.shadow_bucket],
        ]
        if self._by_control:
            increments.append(("n", 1.0))
            if is_known:
                increments.append(("controls", 1.0))
        magnitude = (b - a) / 1e9
        level = ranges.levels.at(self._name, self._quantile, i if a else None)
        if level is None:
            return Counted(increments, 0.0, 0.0, 0.0, magnitude, NO_SCORES)
        low, high, part, slow = level.low_ns, level.high_ns, level.part, self._slow
        share = part_above(a, low, high, part)
        highest = share if is_known else part_above(a_most, low, high, part)
        most = 1.0 + (part_above(b_most / slow, low, high, part) - share)
        least = 1.0 + (part_above(b / slow, low, high, part) - highest)
        increments += [("s", share), ("m", 1.0), ("u", most), ("v", least)]
        return Counted(increments, 1.0, most - 1.0, least - 1.0, magnitude)
