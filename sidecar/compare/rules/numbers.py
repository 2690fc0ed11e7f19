"""How far two numeric arrays of one shape are apart, elementwise and in figures for people.

Rule: NaN and infinities are settled first, by masks; arithmetic sees finite numbers only, so every
figure is finite. `a` is production, `b` the shadow: the tolerance is relative to production.
Counterpart: `rules`, which turn a `Distance` into a score.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import numpy as np

from sidecar.compare.payload import Array

FEW_BYTES: Final = 4096  # below, copying both costs less than a pass of numpy's
_CHUNK: Final = 8192  # elements whose intermediate results stay in a core's cache

# None of the figures may be infinite: an overflowing difference is reported as the largest float.
_MAX: Final = sys.float_info.max

ZERO: Final[dict[str, float]] = {
    "max_abs": 0.0,
    "max_rel": 0.0,
    "mean_abs": 0.0,
    "signed_relative": 0.0,
    "max_ulp": 0.0,
    "outside_share": 0.0,
}
"""The figures of two arrays that do not differ."""


@dataclass(frozen=True, slots=True, eq=False)
class Distance:
    """What was found between two arrays of n elements.

    `nonfinite` and `outside` are masks of the arrays' shape: where NaN or an infinity stands
    against something else, and where finite elements are further apart than the tolerance.
    `figures`, over pairs of finite elements: `max_abs` and `mean_abs` of |b - a|; `max_rel` of
    |b - a| / |a| where a is not zero; `signed_relative`, the mean of 2 (b - a) / (|a| + |b|), in
    [-2, 2]; `max_ulp`, the most representable numbers of the type from one element to the other;
    and `outside_share`, the share of all elements that are outside.
    """

    nonfinite: Array
    outside: Array
    figures: dict[str, float]


def as_reals(array: Array) -> Array:
    """View complex numbers as pairs of reals on a new last axis; others as they are."""
    if array.dtype.kind != "c":
        return array
    parts = np.ascontiguousarray(array).view(array.real.dtype)
    return parts.reshape(*array.shape, 2)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays of one shape and type hold the same bytes; NaN like itself, too."""
    if a.dtype == object:
        return bool((a == b).all())
    if a.nbytes <= FEW_BYTES or a.dtype.kind == "c" or a.itemsize > 8:
        return a.tobytes() == b.tobytes()
    whole = f"u{a.itemsize}"
    return np.array_equal(a.reshape(-1).view(whole), b.reshape(-1).view(whole))


def measure(a: Array, b: Array, dtype: str, atol: float, rtol: float) -> Distance:
    """Measure the distance between arrays of real numbers of one shape and type.

    `dtype` is the payload's word for the type. An element is outside when |b - a| exceeds
    atol + rtol * |a|, computed in float64, or, for 64-bit integers, in numpy's long double.
    """
    shape, count = a.shape, a.size
    a, b = a.reshape(-1), b.reshape(-1)
    nonfinite = np.zeros(count, np.bool_)
    outside = np.zeros(count, np.bool_)
    sums = _Sums()
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            if not same_bits(a[part], b[part]):
                sums.add(a[part], b[part], dtype, (atol, rtol), nonfinite[part], outside[part])
    figures = sums.figures(count, int(np.count_nonzero(outside)))
    return Distance(nonfinite.reshape(shape), outside.reshape(shape), figures)


class _Sums:
    """What adds up, chunk by chunk, to the figures."""

    def __init__(self) -> None:
        self.max_abs = self.max_rel = self.sum_abs = self.sum_bias = self.max_ulp = 0.0

    def figures(self, count: int, outside: int) -> dict[str, float]:
        count = max(count, 1)
        return {
            "max_abs": min(self.max_abs, _MAX),
            "max_rel": min(self.max_rel, _MAX),
            "mean_abs": min(self.sum_abs / count, _MAX),
            "signed_relative": self.sum_bias / count,
            "max_ulp": self.max_ulp,
            "outside_share": outside / count,
        }

    def add(
        self,
        a: Array,
        b: Array,
        dtype: str,
        tolerances: tuple[float, float],
        nonfinite: Array,
        outside: Array,
    ) -> None:
        """Measure one chunk; `nonfinite` and `outside` are its parts of the masks, all false."""
        wide = np.longdouble if a.dtype.kind in "iu" and a.itemsize == 8 else np.float64
        x: Array = a.astype(wide)
        y: Array = b.astype(wide)
        apart = np.abs(y - x)
        where: Array | slice = slice(None)
        if not np.isfinite(apart.max()):  # NaN, infinities, or two numbers too far apart
            finite = np.isfinite(x) & np.isfinite(y)
            nonfinite[:] = ~(finite | (x == y) | (np.isnan(x) & np.isnan(y)))
            where = np.flatnonzero(finite)
            if not where.size:
                return
            a, b, x, y, apart = a[where], b[where], x[where], y[where], apart[where]
        size = np.abs(x)
        atol, rtol = tolerances
        outside[where] = apart > atol + rtol * size
        relative = np.divide(apart, size, out=np.zeros_like(size), where=size > 0)
        self.max_abs = max(self.max_abs, float(apart.max()))
        self.max_rel = max(self.max_rel, float(relative.max()))
        self.sum_abs += float(apart.sum())
        self.sum_bias += float(_bias(x, y).sum())
        self.max_ulp = max(self.max_ulp, float(_ulps(a, b, dtype).max()))


def _bias(x: Array, y: Array) -> Array:
    total = np.abs(x) + np.abs(y)
    if np.isinf(total.max()):
        return _bias(x / 4, y / 4)
    halves = np.divide(y - x, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(2 * halves)


def _ulps(x: Array, y: Array, dtype: str) -> Array:
    """Count the representable numbers from one element to the other; integers count as themselves.

    The magnitudes of IEEE numbers are ordered as their bits are, so bits with the sign taken off
    and put before them as a minus count representable numbers from zero.
    """
    if x.dtype.kind == "f":
        x, y = _steps_from_zero(x, dtype), _steps_from_zero(y, dtype)
    unsigned = f"u{x.itemsize}"  # the difference of two signed numbers needs its whole width
    apart: Array = np.maximum(x, y).view(unsigned) - np.minimum(x, y).view(unsigned)
    return apart


def _steps_from_zero(x: Array, dtype: str) -> Array:
    bits = x.view(f"i{x.itemsize}")
    magnitude: Array = bits & np.iinfo(bits.dtype).max
    if dtype == "BF16":
        magnitude >>= 16
    steps: Array = np.where(bits < 0, -magnitude, magnitude)
    return steps
