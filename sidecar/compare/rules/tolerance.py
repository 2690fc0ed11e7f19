"""Rule `tolerance`: elements that are further apart than atol + rtol * |production| differ.

NaN, or an infinity, where the other side has something else differs too. All is equal when no more
than `max_outside` of all elements are outside. The default for floats.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sidecar.compare.payload import Output
from sidecar.compare.result import Outcome
from sidecar.compare.rules import classes, numbers
from sidecar.compare.rules.finding import Finding, Rule, Tuning, row_mean, tolerances

_NO_FLIPS: Final = {"flips": 0.0, "flip_share": 0.0}


def _compare(a: Output, b: Output, rule: Tuning) -> Finding:
    scores = classes.are_class_scores(a.name, a.array)
    if a is b or numbers.same_bits(a.array, b.array):
        return Finding(Outcome.EQUAL, 0.0, numbers.ZERO | _NO_FLIPS if scores else {**numbers.ZERO})
    atol, rtol = tolerances(a.dtype, rule)
    reals_a, reals_b = numbers.as_reals(a.array), numbers.as_reals(b.array)
    if reals_a.dtype.kind == "b":
        reals_a, reals_b = reals_a.view(np.uint8), reals_b.view(np.uint8)
    found = numbers.measure(reals_a, reals_b, a.dtype, atol, rtol)
    raw = found.figures
    if scores:
        flipped = classes.flips(a.array, b.array, atol, rtol)
        raw |= {"flips": float(np.count_nonzero(flipped)), "flip_share": float(flipped.mean())}
    if raw["outside_share"] <= rule.max_outside:
        differs = found.nonfinite
    else:
        differs = found.nonfinite | found.outside
    if not differs.any():
        return Finding(Outcome.EQUAL, 0.0, raw)
    outcome = Outcome.NONFINITE if found.nonfinite.any() else Outcome.VALUE
    per_element = np.asarray(differs.any(axis=-1)) if a.array.dtype.kind == "c" else differs
    one_row = scores and a.array.ndim == 1
    return Finding(outcome, row_mean(per_element, one_row=one_row), raw)


RULE: Final = Rule("tolerance", "fcbiu", frozenset({"atol", "rtol", "max_outside"}), _compare)
