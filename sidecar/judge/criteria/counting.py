"""What several kinds count alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from sidecar.compare.result import Comparison, Outcome
from sidecar.judge.criteria.shapes import Increments
from sidecar.judge.evidence.splat import splat
from sidecar.judge.pair import JudgedPair, Value

UNREADABLE = frozenset({Outcome.SHADOW_ERROR, Outcome.UNDECODABLE, Outcome.MESSAGE_COUNT})
_NAMES = tuple(str(i) for i in range(256))


def covers(glob: str, name: str) -> bool:
    """Whether an output's name matches, apart from "[i]" for the message of a stream."""
    if glob == "*":
        return True
    _, _, bare = name.rpartition("]") if name.startswith("[") else ("", "", name)
    return fnmatchcase(bare, glob)


def matched_values(outputs: str, pair: JudgedPair) -> list[tuple[str, Value | None, Value | None]]:
    """The outputs with values that match: (name, production's, shadow's)."""
    return [(name, a, b) for name, (a, b) in pair.values.items() if covers(outputs, name)]


def splatted(x: float, edges: Sequence[float]) -> Increments:
    """One score, shared between its neighbours on the edges."""
    return [(_NAMES[i], weight) for i, weight in splat(x, edges)]


def ends_of(edges: Sequence[float], counted: Increments) -> tuple[float, float, float]:
    """Of increments of splat histograms (see `mean`): weight, and sums at their worst and best."""
    n = worst = best = 0.0
    for name, weight in counted:
        if name.isdigit():
            x = edges[int(name)] * weight
            n += weight
            worst += x
            best += x
        elif name[0] == "w" and name[1:].isdigit():
            n += weight
            worst += edges[int(name[1:])] * weight
        elif name[0] == "g" and name[1:].isdigit():
            best += edges[int(name[1:])] * weight
    return n, worst, best


def splat_mean(edges: Sequence[float], counted: Increments) -> float:
    """The score that was shared between its neighbours."""
    return math.fsum(edges[int(n)] * weight for n, weight in counted if n.isdigit())


def score_of(comparison: Comparison, outputs: str, *, mean: bool = False) -> float | None:
    """A comparison's score in [0, 1]; None when no output matches.

    Args:
        comparison: what was found.
        outputs: a glob over their names.
        mean: how far the outputs are apart on average; else whether any differs.
    """
    if comparison.outcome in UNREADABLE:
        return 1.0
    if not comparison.outputs:
        return 0.0 if comparison.agrees else 1.0
    found = [o for o in comparison.outputs if covers(outputs, o.name)]
    if not found:
        return None
    if not mean:
        return 1.0 if any(o.outcome is not Outcome.EQUAL for o in found) else 0.0
    return min(1.0, max(0.0, math.fsum(o.score for o in found) / len(found)))
