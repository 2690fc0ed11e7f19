"""How one output of production is laid beside the shadow's, and what score that gives.

Rule: data type, number of dimensions and shape come first, in this order; only then a rule looks
at elements. Every score is in [0, 1], and a batch gives one score, the mean over its rows, because
the unit of observation is the call. The rows of an output are the places of its first axis (one
row when it has no axis; one row too for a single vector of class scores). A rule that an output's
elements do not allow gives way to `auto`, which is tolerance for floats and exact for the rest;
class scores also get `flips` and `flip_share` in the figures. What has no rows to compare (data
type, shape, missing, extra) scores 1. Counterparts: `registry`, which has the rules, one file each;
`settings.OutputRule`, which names one.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from sidecar.compare.payload import Output
from sidecar.compare.result import Outcome, OutputResult
from sidecar.compare.rules.finding import tolerances
from sidecar.compare.rules.registry import RULES
from sidecar.compare.settings import CompareSettings, OutputRule

_AXES_SHOWN: Final = 8
_TYPE_SHOWN: Final = 20
_REMEMBERED: Final = 4096  # looked-up rules; output names come from outside


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
    if a is not b and (a.dtype != b.dtype or a.array.shape != b.array.shape):
        if a.dtype != b.dtype:
            outcome = Outcome.DTYPE
        else:
            outcome = Outcome.RANK if a.array.ndim != b.array.ndim else Outcome.SHAPE
        forms = f"{_form(a)} against {_form(b)}"
        return OutputResult(name, outcome, chosen, 1.0, forms=forms)
    finding = RULES[chosen].compare(a, b, rule)
    if finding.outcome is Outcome.EQUAL:
        return OutputResult(name, finding.outcome, chosen, finding.score, finding.raw)
    return OutputResult(
        name,
        finding.outcome,
        chosen,
        finding.score,
        finding.raw,
        _allowed(chosen, rule),
        _limits(chosen, a.dtype, rule),
    )


def _form(output: Output) -> str:
    """A type and a shape: "FP32 [1, 10]"."""
    shape = output.array.shape
    more = ", ..." if len(shape) > _AXES_SHOWN else ""
    axes = ", ".join(map(str, shape[:_AXES_SHOWN]))
    return f"{output.dtype[:_TYPE_SHOWN]} [{axes}{more}]"


def _limits(chosen: str, dtype: str, rule: OutputRule) -> dict[str, float]:
    """The settings by which a rule found a difference, by name."""
    used = RULES[chosen].settings
    found: dict[str, float] = {}
    if "atol" in used:
        found["atol"], found["rtol"] = tolerances(dtype, rule)
    others = [name for name in ("max_outside", "max_score") if name in used]
    return found | {name: getattr(rule, name) for name in others}


def _allowed(chosen: str, rule: OutputRule) -> float:
    """How far apart a rule lets outputs be: a share of elements, or a distance; else 0."""
    used = RULES[chosen].settings
    if "max_score" in used:
        return rule.max_score
    return rule.max_outside if "max_outside" in used else 0.0


def _chosen(a: Output, rule: OutputRule) -> str:
    """Name the rule that decides: the configured one, if the elements allow it."""
    kind = a.array.dtype.kind
    if rule is DEFAULT:
        return "tolerance" if kind in "fc" else "exact"
    wanted = RULES.get(rule.rule)
    if wanted is not None and kind in wanted.kinds and (a.array.ndim or not wanted.vectors):
        return wanted.name
    return "tolerance" if kind in "fc" else "exact"
