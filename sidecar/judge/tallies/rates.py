"""Tallies of kinds of which most calls add the same: no error, no disagreement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sidecar.judge.criteria.counting import UNREADABLE, ends_of, score_of, splatted
from sidecar.judge.criteria.shapes import Increments
from sidecar.judge.pair import JudgedPair
from sidecar.judge.ranges import Ranges
from sidecar.judge.tallies.tally import Counted, Tally

_GOOD = Counted([("n", 1.0)], 1.0, 0.0, 0.0, 0.0)
_BAD = Counted([("n", 1.0), ("k", 1.0)], 1.0, 1.0, 1.0, 1.0)


class ShadowErrors(Tally):
    """Of `criteria.shadow_error_rate`."""

    def counted(self, pair: JudgedPair, ranges: Ranges) -> Counted | None:
        """See `Tally.counted`."""
        return _BAD if pair.failed else _GOOD


class Disagreements(Tally):
    """Of `criteria.disagreement`."""

    def __init__(
        self,
        methods: str,
        outputs: str,
        *,
        mean: bool,
        net: bool,
        control_fraction: float,
        edges: Sequence[float],
    ) -> None:
        """Prepare.

        Args:
            methods: see `Tally`.
            outputs: a glob over the outputs that it is about.
            mean: how far they are apart on average; else whether any differs.
            net: a control's disagreement is taken off.
            control_fraction: share of the calls that also go to the control.
            edges: of the histogram of scores net of the control's.
        """
        super().__init__(methods)
        self._outputs, self._mean, self._net = outputs, mean, net
        self._control_fraction = control_fraction
        self._edges = tuple(edges)

    def counted(self, pair: JudgedPair, ranges: Ranges) -> Counted | None:
        """See `Tally.counted`."""
        score = score_of(pair.comparison, self._outputs, mean=self._mean)
        if score is None:
            return None
        if self._net:
            return self._counted_net(pair, score)
        if not score:
            return _GOOD
        increments = [("n", 1.0), ("k", score)]
        return Counted(increments, 1.0, score, score, _magnitude(pair, score))

    def _counted_net(self, pair: JudgedPair, score: float) -> Counted:
        increments = self._net_of_control(pair, score)
        n, worst, best = ends_of(self._edges, increments)
        return Counted(increments, n, worst, best, _magnitude(pair, score) if score else 0.0)

    def _net_of_control(self, pair: JudgedPair, score: float) -> Increments:
        counted = [("n", 1.0), ("k", score)] if score else [("n", 1.0)]
        edges = self._edges
        control, drawn = pair.control, pair.control_times is not None
        if pair.control_is_another:
            counted.append(("strange", 1.0))
        elif control is not None and control.outcome not in UNREADABLE:
            floor = score_of(control, self._outputs, mean=self._mean) or 0.0
            counted.append(("controls", 1.0))
            return counted + splatted(score - floor / self._control_fraction, edges)
        elif control is None and not drawn:
            return counted + splatted(score, edges)
        # It was asked and gave no answer: for PASS that excuses nothing, for FAIL everything.
        best = score - 1 / self._control_fraction
        counted += [(f"w{name}", weight) for name, weight in splatted(score, edges)]
        return counted + [(f"g{name}", weight) for name, weight in splatted(best, edges)]


def _magnitude(pair: JudgedPair, score: float) -> float:
    """Of calls that disagree alike, those further apart first."""
    scores = [output.score for output in pair.comparison.outputs]
    return score + (math.fsum(scores) / len(scores) if scores else 1.0)
