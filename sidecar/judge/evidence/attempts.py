"""Attempts on one candidate spend alpha: whoever asks often enough would be told PASS by chance.

Rule: the k-th attempt may err with alpha_k = alpha * 6 / (pi^2 k^2). The sum over all k is alpha,
so all attempts together keep it, however many there are (union bound; sum of 1/k^2, Euler).
"""

from __future__ import annotations

import math


def alpha_of_attempt(alpha: float, attempt: int) -> float:
    """The error that one attempt may make.

    Args:
        alpha: of all attempts together.
        attempt: from 1.

    Raises:
        ValueError: for an attempt before the first.
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    return alpha * 6 / (math.pi**2 * attempt**2)
