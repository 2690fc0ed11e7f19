"""What a rule is, what it makes of two outputs of one type and shape, and what rules share.

Rule: a file of this folder declares one `RULE`; `registry` lists them. Counterpart: `outputs`,
which chooses one by the configuration and the output's elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

from sidecar.compare.payload import Array, Output
from sidecar.compare.result import Outcome

# atol, rtol. Halves: 5 and 2.5 units of roundoff, and what sums of them lose near zero. Singles:
# what another kernel, batch size or thread count changes. Doubles: numpy.allclose's own.
TOLERANCES: Final = {
    "FP16": (1e-3, 5e-3),
    "BF16": (1e-2, 2e-2),
    "FP32": (1e-5, 1e-4),
    "FP64": (1e-8, 1e-5),
    "COMPLEX64": (1e-5, 1e-4),
    "COMPLEX128": (1e-8, 1e-5),
}


class Finding(NamedTuple):
    """What a rule found in an output whose type and shape agree; as in `OutputResult`."""

    outcome: Outcome
    score: float
    raw: dict[str, float]


class Tuning(Protocol):
    """What of the configuration a rule may use: `compare.settings.OutputRule`."""

    @property
    def atol(self) -> float | None: ...
    @property
    def rtol(self) -> float | None: ...
    @property
    def max_outside(self) -> float: ...
    @property
    def max_score(self) -> float: ...
    @property
    def k(self) -> int: ...
    @property
    def persistence(self) -> float: ...


Compare: TypeAlias = Callable[[Output, Output, Tuning], Finding]


class Rule(NamedTuple):
    """One way to compare outputs."""

    name: str
    kinds: str  # of elements, in numpy's letters, that it is for; `O` is BYTES
    settings: frozenset[str]  # the keys of `Tuning` that it uses
    compare: Compare
    vectors: bool = False  # it looks along the last axis, so that there must be one


def tolerances(dtype: str, rule: Tuning) -> tuple[float, float]:
    """Give the rule's atol and rtol, or what suits the type where it has none."""
    atol, rtol = TOLERANCES.get(dtype, (0.0, 0.0))
    return (
        atol if rule.atol is None else rule.atol,
        rtol if rule.rtol is None else rule.rtol,
    )


def row_mean(per_element: Array, *, one_row: bool = False) -> float:
    """Reduce flags of elements to the share of rows that have any."""
    if per_element.ndim <= 1:
        if one_row or per_element.ndim == 0:
            return float(per_element.any())
        return float(per_element.mean())
    return float(per_element.reshape(per_element.shape[0], -1).any(axis=1).mean())


def graded(name: str, distance: float, rule: Tuning, **more: float) -> Finding:
    """Turn a call's distance in [0, 1] into a finding: it agrees up to `max_score`.

    The distance itself is always in the figures, under `name`.
    """
    distance = min(max(distance, 0.0), 1.0)
    raw = {name: distance, **more}
    if distance <= rule.max_score:
        return Finding(Outcome.EQUAL, 0.0, raw)
    return Finding(Outcome.VALUE, distance, raw)
