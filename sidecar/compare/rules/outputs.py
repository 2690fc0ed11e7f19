"""How one output of production is laid beside the shadow's, and what score that gives.

Rule: data type, number of dimensions and shape come first, in this order; only then a rule looks
at elements. Every score is in [0, 1], and a batch gives one score, the mean over its rows, because
the unit of observation is the call. The rows of an output are the places of its first axis (one
row when it has no axis; one row too for a single vector of class scores). A row's score is

    tolerance  1 if any element of it is outside atol + rtol * |production|, or is NaN or an
               infinity where the other is not. All is equal when no more than `max_outside` of
               all elements are outside.
    exact      1 if any element differs
    argmax     the share of its predictions whose class flips (see `classes`)

`rules_vectors` has those for rankings, distributions and embeddings, `rules_text` those for text
and JSON. A rule that an output's elements do not allow gives way to `auto`, which is tolerance for
floats and exact for the rest; class scores also get `flips` and `flip_share` in the figures. What
has no rows to compare (data type, shape, missing, extra) scores 1.
Counterpart: `config.OutputRule`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

import numpy as np

from sidecar.compare.payload import Output
from sidecar.compare.result import Outcome, OutputResult
from sidecar.compare.rules import classes, numbers
from sidecar.compare.rules import text as rules_text
from sidecar.compare.rules import vectors as rules_vectors
from sidecar.compare.rules.finding import Compare, Finding, row_mean, tolerances
from sidecar.compare.settings import CompareSettings, OutputRule

_REMEMBERED: Final = 4096  # looked-up rules; output names come from outside

IGNORE: Final = "ignore"


class Rules:
    """The configured rules, looked up by output; the first match wins, else `auto`."""

    def __init__(self, settings: CompareSettings) -> None:
        self._rules = settings.rules
        self._found: dict[tuple[str, str, str], OutputRule] = {}
        self.need_model = any(rule.model != "*" for rule in settings.rules)

    def find(self, method: str, model: str, output: str) -> OutputRule:
        """Find the rule; `model` ("name:version") matches with or without its version."""
        key = (method, model, output)
        rule = self._found.get(key)
        if rule is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            rule = self._found[key] = self._match(*key)
        return rule

    def _match(self, method: str, model: str, output: str) -> OutputRule:
        bare = model.partition(":")[0]
        for rule in self._rules:
            if (
                fnmatchcase(output, rule.output)
                and fnmatchcase(method, rule.method)
                and (fnmatchcase(model, rule.model) or fnmatchcase(bare, rule.model))
            ):
                return rule
        return DEFAULT


DEFAULT: Final = OutputRule()


def compare_outputs(name: str, a: Output, b: Output, rule: OutputRule) -> OutputResult:
    """Compare production's output `a` with the shadow's `b` under a rule other than `ignore`."""
    chosen = _chosen(a, rule)
    for differs, outcome in (
        (a.dtype != b.dtype, Outcome.DTYPE),
        (a.array.ndim != b.array.ndim, Outcome.RANK),
        (a.array.shape != b.array.shape, Outcome.SHAPE),
    ):
        if differs:
            return OutputResult(name, outcome, chosen, 1.0)
    finding = COMPARISONS[chosen](a, b, rule)
    return OutputResult(name, finding.outcome, chosen, finding.score, finding.raw)


def _chosen(a: Output, rule: OutputRule) -> str:
    """Name the rule that decides: the configured one, if the elements allow it."""
    kind = a.array.dtype.kind
    if kind in _KINDS.get(rule.rule, "") and (a.array.ndim or rule.rule not in _VECTORS):
        return rule.rule
    return "tolerance" if kind in "fc" else "exact"


def _tolerance(a: Output, b: Output, rule: OutputRule) -> Finding:
    scores = classes.are_class_scores(a.name, a.array)
    if numbers.same_bits(a.array, b.array):
        return Finding(Outcome.EQUAL, 0.0, {**numbers.ZERO, **(_NO_FLIPS if scores else {})})
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


_NO_FLIPS: Final = {"flips": 0.0, "flip_share": 0.0}


def _exact(a: Output, b: Output, rule: OutputRule) -> Finding:
    del rule  # exactness has nothing to set
    x, y = a.array, b.array
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


def _argmax(a: Output, b: Output, rule: OutputRule) -> Finding:
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


COMPARISONS: Final[dict[str, Compare]] = {
    "tolerance": _tolerance,
    "exact": _exact,
    "argmax": _argmax,
    **rules_vectors.COMPARISONS,
    **rules_text.COMPARISONS,
}

# The kinds of elements, in numpy's letters, that a rule can be for; `O` is BYTES.
_KINDS: Final = {
    "tolerance": "fcbiu",
    "exact": "fcbiuO",
    "argmax": "fiu",
    **rules_vectors.KINDS,
    **dict.fromkeys(rules_text.COMPARISONS, "O"),
}
_VECTORS: Final = frozenset({"argmax", *rules_vectors.KINDS})
"""Rules that look along the last axis, so that there must be one."""
