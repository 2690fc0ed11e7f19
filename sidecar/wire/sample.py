"""Which new streams are sampled: each as likely as any other, whatever it carries.

Rule: what is drawn is not each stream but how many are passed over until the next one, so that a
stream that is passed over costs a subtraction. Before each stream the chance that it is the next
one is the share that was asked for, whatever came before (the geometric distribution has no
memory): so the draw may begin anew whenever the share changes. Pure; counterparts: `frames`, which
counts down, and `session`, whose observer asks for the share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # an int of the machine's; as Python it is an int
    from mypy_extensions import i64

_FOR_EVER: Final = 1 << 61  # more streams than there are


class Sampler:
    """The draws of one session, for all of its connections.

    Args:
        draw: uniform in [0, 1).
        fraction: the share to begin with.
    """

    __slots__ = ("_draw", "_log", "everything", "fraction", "passed_over")

    def __init__(self, draw: Callable[[], float], fraction: float = 1.0) -> None:
        self._draw = draw
        self.fraction = fraction
        self.everything = False  # is sampled: nothing need be counted
        self._log = 0.0  # of the chance to be passed over
        self.passed_over: i64 = 0  # new streams that come before the next one that is sampled
        self.ask(fraction)

    def ask(self, fraction: float) -> None:
        """Sample this share from now on."""
        self.fraction = fraction
        self.everything = fraction >= 1.0
        self._log = math.log1p(-fraction) if fraction < 1.0 else 0.0
        self.again()

    def again(self) -> None:
        """Draw how many are passed over until the next one."""
        if self.fraction >= 1.0:
            self.passed_over = 0
        elif self.fraction <= 0.0:
            self.passed_over = _FOR_EVER
        else:
            # P(at least k) = (1 - fraction)^k: the inverse of the distribution function.
            least = math.log(1.0 - self._draw()) / self._log
            self.passed_over = int(min(least, _FOR_EVER))
