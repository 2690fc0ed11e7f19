"""How much less often the shadow is right when it says positive, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.of_sides import OfSides


class Precision(OfSides):
    """Is the shadow wrong more often when it says yes."""

    kind: Literal["precision"] = "precision"
