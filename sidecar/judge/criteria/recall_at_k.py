"""How much smaller a share of the relevant items is among the shadow's first k, by labels."""

from __future__ import annotations

from typing import Literal

from sidecar.judge.criteria.at_k import AtK


class RecallAtK(AtK):
    """Are fewer relevant items among the shadow's first."""

    kind: Literal["recall_at_k"] = "recall_at_k"

    def size(self, relevant: int) -> int:
        """See `AtK.size`."""
        return relevant
