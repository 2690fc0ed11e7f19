"""How much smaller a share of the shadow's first k items is relevant, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.at_k import AtK


class PrecisionAtK(AtK):
    """Are fewer of the shadow's first items relevant."""

    kind: Literal["precision_at_k"] = "precision_at_k"

    def size(self, relevant: int) -> int:
        """See `AtK.size`."""
        return self.k
