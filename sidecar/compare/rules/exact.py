"""Rule `exact`: an element that differs at all differs. The default for what is no float."""

from __future__ import annotations

from typing import Final

import numpy as np

from sidecar.compare.payload import Output
from sidecar.compare.result import Outcome
from sidecar.compare.rules.finding import Finding, Rule, Tuning, row_mean
from sidecar.compare.rules.numbers import FEW_BYTES


def _compare(a: Output, b: Output, rule: Tuning) -> Finding:
    del rule  # exactness has nothing to set
    x, y = a.array, b.array
    if a is b or (x.dtype.kind in "biu" and x.nbytes <= FEW_BYTES and x.tobytes() == y.tobytes()):
        return Finding(Outcome.EQUAL, 0.0, {"outside_share": 0.0})
    differs = np.asarray(x != y, np.bool_)
    outcome = Outcome.VALUE
    if x.dtype.kind in "fc":
        nan_x, nan_y = np.isnan(x), np.isnan(y)
        differs &= ~(nan_x & nan_y)
        if (differs & ~(np.isfinite(x) & np.isfinite(y))).any():
            outcome = Outcome.NONFINITE
    share = float(differs.mean()) if differs.size else 0.0
    if share == 0.0:
        return Finding(Outcome.EQUAL, 0.0, {"outside_share": 0.0})
    return Finding(outcome, row_mean(differs), {"outside_share": share})


RULE: Final = Rule("exact", "fcbiuO", frozenset(), _compare)
