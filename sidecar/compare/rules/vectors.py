"""Rules that look along the last axis: rankings, distributions, embeddings.

Each gives every vector of the last axis a distance in [0, 1]; a call's is their mean, and it agrees
up to `max_score`. A vector in which NaN or an infinity stands against something else has distance
1 and makes the outcome NONFINITE.

    topk             1 - |first k of a, first k of b in common| / k
    rbo              1 - rank-biased overlap of the first k, extrapolated, with `persistence` p
                     (Webber, Moffat, Zobel 2010, A similarity measure for indefinite rankings)
    kendall          (1 - tau-b) / 2, over as many of production's best places as `MAX_PAIRS` allows
    total_variation  half the sum of |p - q|
    jensen_shannon   the Jensen-Shannon divergence / ln 2
    cosine           (1 - cosine) / 2; against the zero vector 1, of two zero vectors 0

Rankings (topk, rbo) order the places of a float vector by their score, and take integers and BYTES
as items that are in order already. Distributions are read as probabilities if production's vector
sums to one without negative terms, else as logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Final

import numpy as np

from sidecar.compare.payload import Array, Output
from sidecar.compare.result import Outcome
from sidecar.compare.rules import classes
from sidecar.compare.rules.finding import Compare, Finding, graded
from sidecar.compare.settings import OutputRule

MAX_PAIRS: Final = 4_000_000  # of places, in all vectors of an output, for Kendall's tau

Rows = Callable[[Array, Array, OutputRule], Array]
"""Distances of the vectors of two arrays [rows, places]."""


def _rule(name: str, rows: Rows) -> Compare:
    def distances_of(x: Array, y: Array, rule: OutputRule) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return rows(x, y, rule)

    def compare(a: Output, b: Output, rule: OutputRule) -> Finding:
        if a.array.size == 0:
            return graded(name, 0.0, rule)
        places = a.array.shape[-1]
        x, y = a.array.reshape(-1, places), b.array.reshape(-1, places)
        if x.dtype.kind != "f":
            return graded(name, float(distances_of(x, y, rule).mean()), rule)
        x, y = x.astype(np.float64), y.astype(np.float64)
        odd = ~(np.isfinite(x) & np.isfinite(y))
        if not odd.any():
            return graded(name, float(distances_of(x, y, rule).mean()), rule)
        strange = (odd & (x != y) & ~(np.isnan(x) & np.isnan(y))).any(axis=-1)
        # The same NaN or infinity on both sides tells nothing; zeroes in their places do neither.
        distances = distances_of(np.where(odd, 0.0, x), np.where(odd, 0.0, y), rule)
        found = graded(name, float(np.where(strange, 1.0, distances).mean()), rule)
        if not strange.any():
            return found
        score = max(found.score, float(strange.mean()))
        return Finding(Outcome.NONFINITE, score, found.raw)

    return compare


def _ranking(row: Array, k: int) -> Sequence[Hashable]:
    if row.dtype.kind == "f":
        return list(np.argsort(-row, kind="stable")[:k])
    return list(dict.fromkeys(row[:k].tolist()))  # an item that comes again has its first place


def _topk(x: Array, y: Array, rule: OutputRule) -> Array:
    def distance(p: Sequence[Hashable], q: Sequence[Hashable]) -> float:
        return 1 - len(set(p) & set(q)) / max(len(p), len(q))

    return _ranked(x, y, rule, distance)


def _rbo(x: Array, y: Array, rule: OutputRule) -> Array:
    p = rule.persistence

    def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
        depth = max(len(one), len(other))
        seen_one: set[Hashable] = set()
        seen_other: set[Hashable] = set()
        common, total = 0, 0.0
        for d in range(1, depth + 1):
            for item, seen, against in (
                (one[d - 1 : d], seen_one, seen_other),
                (other[d - 1 : d], seen_other, seen_one),
            ):
                common += sum(i in against for i in item)
                seen.update(item)
            total += common / d * p**d
        return 1 - (common / depth * p**depth + (1 - p) / p * total)

    return _ranked(x, y, rule, distance)


def _ranked(
    x: Array,
    y: Array,
    rule: OutputRule,
    distance: Callable[[Sequence[Hashable], Sequence[Hashable]], float],
) -> Array:
    pairs = zip(x, y, strict=True)
    return np.array([distance(_ranking(p, rule.k), _ranking(q, rule.k)) for p, q in pairs])


def _kendall(x: Array, y: Array, rule: OutputRule) -> Array:
    del rule
    places = max(2, math.isqrt(MAX_PAIRS // len(x)))
    return np.array([_tau_distance(p, q, places) for p, q in zip(x, y, strict=True)])


def _tau_distance(x: Array, y: Array, places: int) -> float:
    """(1 - tau-b) / 2; where tau-b is not defined, 0 if both are all ties, else 1/2."""
    if x.size > places:
        best = np.argsort(x, kind="stable")[-places:]
        x, y = x[best], y[best]
    concordant = discordant = only_x = only_y = 0
    for i in range(1, x.size):
        p = (x[i] > x[:i]).astype(np.int8) - (x[i] < x[:i])
        q = (y[i] > y[:i]).astype(np.int8) - (y[i] < y[:i])
        product = p * q
        concordant += int(np.count_nonzero(product > 0))
        discordant += int(np.count_nonzero(product < 0))
        only_x += int(np.count_nonzero((p != 0) & (q == 0)))
        only_y += int(np.count_nonzero((p == 0) & (q != 0)))
    ordered = concordant + discordant
    if not ordered and not only_x and not only_y:
        return 0.0
    below = ((ordered + only_x) * (ordered + only_y)) ** 0.5
    return (1 - (concordant - discordant) / below) / 2 if below else 0.5


def _distributions(x: Array, y: Array) -> tuple[Array, Array]:
    probable = classes.are_distributions(x)
    p = np.where(probable[:, None], x, _softmax(x))
    q = np.where(probable[:, None], np.maximum(y, 0), _softmax(y))
    return _to_one(p), _to_one(q)


def _softmax(logits: Array) -> Array:
    powers: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _to_one(weights: Array) -> Array:
    sums = weights.sum(axis=-1, keepdims=True)
    shares: Array = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    return shares


def _total_variation(x: Array, y: Array, rule: OutputRule) -> Array:
    del rule
    p, q = _distributions(x, y)
    # Nothing at all is as far from any distribution as can be.
    return np.where(q.any(axis=-1), np.abs(p - q).sum(axis=-1) / 2, 1.0)


def _jensen_shannon(x: Array, y: Array, rule: OutputRule) -> Array:
    del rule
    p, q = _distributions(x, y)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.where(q.any(axis=-1), divergence, 1.0)


def _relative_entropy(p: Array, q: Array) -> Array:
    """Bits; q is positive where p is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))


def _cosine(x: Array, y: Array, rule: OutputRule) -> Array:
    del rule
    x, y = _to_largest(x), _to_largest(y)
    lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    product = (x * y).sum(axis=-1)
    distance = (1 - np.divide(product, lengths, out=-np.ones_like(product), where=lengths > 0)) / 2
    both_zero = ~(x.any(axis=-1) | y.any(axis=-1))
    same = (x == y).all(axis=-1)  # exactly 0, whatever rounding makes of it
    return np.where(both_zero | same, 0.0, np.clip(distance, 0, 1))


def _to_largest(x: Array) -> Array:
    """Scale vectors by their largest element, so that no square overflows or vanishes."""
    x = x.astype(np.float64)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    scaled: Array = np.divide(x, largest, out=np.zeros_like(x), where=largest > 0)
    return scaled


_ROWS: Final[dict[str, Rows]] = {
    "topk": _topk,
    "rbo": _rbo,
    "kendall": _kendall,
    "total_variation": _total_variation,
    "jensen_shannon": _jensen_shannon,
    "cosine": _cosine,
}
COMPARISONS: Final[dict[str, Compare]] = {name: _rule(name, rows) for name, rows in _ROWS.items()}
KINDS: Final = {
    "topk": "fiuO",
    "rbo": "fiuO",
    "kendall": "fiu",
    "total_variation": "f",
    "jensen_shannon": "f",
    "cosine": "fiu",
}
