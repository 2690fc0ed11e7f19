"""Several shadows at once: the chance that any unworthy one passes.

Rule: with S candidates each tested at alpha, some false PASS comes nearly S times as often, so each
is tested at alpha / S (Bonferroni), which holds under any dependence and needs nothing of the
others' evidence: shadows may be judged in different pods. Harm is each shadow's own affair and
needs no correction: who is rejected wrongly is only looked at again.
"""

from __future__ import annotations


def pass_alpha(alpha: float, shadows: int) -> float:
    """The error left for one shadow's PASS."""
    return alpha / max(1, shadows)
