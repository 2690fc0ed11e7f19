"""Rule `argmax`: the share of an output's predictions whose class flips (see `classes`)."""

from __future__ import annotations

from typing import Final

import numpy as np

from sidecar.compare.payload import Output
from sidecar.compare.result import Outcome
from sidecar.compare.rules import classes
from sidecar.compare.rules.finding import Finding, Rule, Tuning, tolerances

_NO_FLIPS: Final = {"flips": 0.0, "flip_share": 0.0}


def _compare(a: Output, b: Output, rule: Tuning) -> Finding:
    if a.array.size == 0:
        return Finding(Outcome.EQUAL, 0.0, dict(_NO_FLIPS))
    flipped = classes.flips(a.array, b.array, *tolerances(a.dtype, rule))
    raw = {"flips": float(np.count_nonzero(flipped)), "flip_share": float(flipped.mean())}
    nonfinite = np.zeros(a.array.shape, np.bool_)
    if a.array.dtype.kind == "f":
        odd = ~(np.isfinite(a.array) & np.isfinite(b.array))
        both_nan = np.isnan(a.array) & np.isnan(b.array)
        nonfinite = odd & ~both_nan & (a.array != b.array)
    bad = nonfinite.any(axis=-1) | flipped
    if not bad.any():
        return Finding(Outcome.EQUAL, 0.0, raw)
    outcome = Outcome.NONFINITE if nonfinite.any() else Outcome.VALUE
    return Finding(outcome, float(bad.mean()), raw)


RULE: Final = Rule("argmax", "fiu", frozenset({"atol", "rtol"}), _compare, vectors=True)
