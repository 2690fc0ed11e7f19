"""Several shadows at once: the chance that any unworthy one passes.

Rule: with S candidates each tested at alpha, some false PASS comes nearly S times as often. The
evidence of candidate shadows is compared step by step (Holm, 1979, which holds for e-values under
any dependence: Vovk and Wang, 2021): the best needs S/alpha, the next (S - 1)/alpha, and so on,
until one falls short. Harm is each shadow's own affair and needs no correction: who is rejected
wrongly is only looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.judge.evidence.mixtures import threshold


def pass_alpha(alpha: float, shadows: int) -> float:
    """The error left for one shadow's PASS when nothing is known of the others' evidence."""
    return alpha / max(1, shadows)


def passing(logs: Sequence[float], alpha: float) -> list[int]:
    """Which shadows may pass, with a chance of at most alpha that any of them should not.

    Args:
        logs: each shadow's ln E for PASS; over several required criteria, the least of them.
        alpha: of all together.

    Returns:
        Indices into logs, most evidence first.
    """
    order = sorted(range(len(logs)), key=lambda i: -logs[i])
    found = []
    for rank, i in enumerate(order):
        if logs[i] < threshold(alpha / (len(logs) - rank)):
            break
        found.append(i)
    return found
