"""How far two numeric arrays of one shape are apart, elementwise and in figures for people.

Rule: NaN and infinities are settled first, by masks; arithmetic sees finite numbers only, so every
figure is finite. `a` is production, `b` the shadow: the tolerance is relative to production.
Counterpart: `rules`, which turn a `Distance` into a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sidecar.compare.payload import Array

# None of the figures may be infinite: an overflowing difference is reported as the largest float.
_MAX: Final = float(np.finfo(np.float64).max)

ZERO: Final[dict[str, float]] = {
    "max_abs": 0.0,
    "max_rel": 0.0,
    "mean_abs": 0.0,
    "bias": 0.0,
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
    |b - a| / |a| where a is not zero; `bias`, the mean of 2 (b - a) / (|a| + |b|), in [-2, 2];
    `max_ulp`, the most representable numbers of the type between two elements; and
    `outside_share`, the share of all elements that are outside.
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
    if a.dtype.kind == "c" or a.itemsize > 8:
        return a.tobytes() == b.tobytes()
    whole = f"u{a.itemsize}"
    return np.array_equal(a.reshape(-1).view(whole), b.reshape(-1).view(whole))


def measure(a: Array, b: Array, dtype: str, atol: float, rtol: float) -> Distance:
    """Measure the distance between arrays of real numbers of one shape and type.

    `dtype` is the payload's word for the type. An element is outside when |b - a| exceeds
    atol + rtol * |a|, computed in float64, or, for 64-bit integers, in numpy's long double.
    """
    shape = a.shape
    a, b = a.reshape(-1), b.reshape(-1)
    nonfinite = np.zeros(a.size, np.bool_)
    outside = np.zeros(a.size, np.bool_)
    changed = np.flatnonzero(a != b)  # NaN is unlike itself: its pairs are among these
    if a.dtype.kind == "f" and changed.size:
        x, y = a[changed], b[changed]
        finite = np.isfinite(x) & np.isfinite(y)
        nonfinite[changed[~finite & ~(np.isnan(x) & np.isnan(y))]] = True
        changed = changed[finite]
    if not changed.size:
        return Distance(nonfinite.reshape(shape), outside.reshape(shape), dict(ZERO))
    x, y = a[changed], b[changed]
    wide = np.longdouble if a.dtype.kind in "iu" and a.itemsize == 8 else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        figures, beyond = _figures(x.astype(wide), y.astype(wide), a.size, atol, rtol)
    outside[changed[beyond]] = True
    figures["max_ulp"] = float(_ulps(x, y, dtype).max())
    figures["outside_share"] = float(np.count_nonzero(beyond)) / a.size
    return Distance(nonfinite.reshape(shape), outside.reshape(shape), figures)


def _figures(
    x: Array, y: Array, count: int, atol: float, rtol: float
) -> tuple[dict[str, float], Array]:
    size = np.abs(x)
    apart = np.abs(y - x)
    nonzero = size > 0
    relative = apart[nonzero] / size[nonzero]
    largest = np.maximum(size, np.abs(y))  # not zero, as x and y differ
    u, v = x / largest, y / largest  # so that nothing overflows
    bias = 2 * (v - u) / (np.abs(u) + np.abs(v))
    return {
        "max_abs": _finite(apart.max()),
        "max_rel": _finite(relative.max()) if relative.size else 0.0,
        "mean_abs": _finite(apart.sum() / count),
        "bias": _finite(bias.sum() / count),
    }, apart > atol + rtol * size


def _finite(value: Any) -> float:
    return min(float(value), _MAX)


def _ulps(x: Array, y: Array, dtype: str) -> Array:
    """Count the representable numbers between elements; integers count as themselves.

    The bits of IEEE numbers of one sign are ordered as the numbers are, so within one sign it is
    the difference of the magnitudes' bits, and across zero their sum.
    """
    if x.dtype.kind != "f":
        low, high = np.minimum(x, y), np.maximum(x, y)
        return high.astype(np.uint64) - low.astype(np.uint64)  # modulo 2**64: exact
    bits, shift = x.itemsize * 8, np.uint64(0)
    if dtype == "BF16":
        bits, shift = 16, np.uint64(16)
    whole = f"u{x.itemsize}"
    u, v = (z.view(whole).astype(np.uint64) >> shift for z in (x, y))
    sign = np.uint64(1 << (bits - 1))
    p, q = u & ~sign, v & ~sign
    apart = np.maximum(p, q) - np.minimum(p, q)
    return np.where((u & sign) == (v & sign), apart, p + q)
