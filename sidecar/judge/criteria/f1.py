"""How much lower the shadow's F1 is, by labels: 2J/(1+J), J the rate of true positives among the
rows where model or label say positive."""

from __future__ import annotations

from typing import ClassVar, Literal

from sidecar.judge.criteria.of_sides import OfSides


class F1(OfSides):
    """Is the shadow worse at finding the positive ones."""

    kind: Literal["f1"] = "f1"
    is_f1: ClassVar[bool] = True
