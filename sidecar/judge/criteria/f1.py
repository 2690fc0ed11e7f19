"""How much lower the shadow's F1 is, by labels: 2 tp / (said yes + are yes)."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.of_sides import OfSides


class F1(OfSides):
    """Is the shadow worse at finding the positive ones."""

    kind: Literal["f1"] = "f1"

    def parts(self, says: int, so: int) -> tuple[float, float]:
        """See `OfSides.parts`; halves, so that both lie in [0, 1]."""
        return float(says and so), (says + so) / 2
