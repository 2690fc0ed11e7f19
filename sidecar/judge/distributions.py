"""How outputs and inputs are distributed, and which decision became which: of a part of the calls.

Rule: the first call that is compared after so long is looked at, a few a second, so that a call
costs next to nothing (one that is looked at 75 us); of an output the first elements, and so many
names. Only counts by bucket are kept, never a value. Inputs are counted for the names that the
configuration gives, in their first day and in the latest hours. For people: nothing is decided by
it. Counterparts: `evidence.sketch`; `experiment.epoch`, which holds one; `report.drift`, which
makes figures of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from sidecar.compare.payload import Decoded
from sidecar.fields import Glob, Section
from sidecar.judge.decision import Decision, decisions
from sidecar.judge.evidence.sketch import Sketch
from sidecar.judge.pair import Value

NAMES = 8  # outputs, and inputs, that are counted; the first that came
MATRICES = 8
CLASSES = 20  # of a decision, on either side
ELEMENTS = 64  # of one output of one call
ROWS = 256
HOUR, DAY = 3_600, 86_400
_SECOND = 1_000_000_000


class DriftSettings(Section):
    """Distributions of values, for people: which, and of how many calls."""

    outputs: tuple[Glob, ...] = ("*",)  # of both sides
    inputs: tuple[Glob, ...] = ()  # of requests, in their first day and in the latest hours
    calls_per_second: Annotated[float, Field(ge=0, le=1000)] = 2.0  # that are looked at; 0: none


class Drawn(NamedTuple):
    """What is counted of one call."""

    outputs: Mapping[str, tuple[Value, Value]] = {}  # production's and the shadow's
    inputs: Mapping[str, Value] = {}
    decided: Sequence[tuple[str, Decision, Value, Value]] = ()  # criterion, rule, both sides


class Distributions:
    """Counts of one pair of versions."""

    __slots__ = ("before", "began", "count", "first", "hour", "latest", "matrices", "outputs")

    def __init__(self) -> None:
        self.count = 0  # calls
        self.outputs: dict[str, tuple[Sketch, Sketch]] = {}
        self.matrices: dict[str, dict[tuple[int, int], int]] = {}  # by criterion
        self.first: dict[str, Sketch] = {}  # inputs of the first day
        self.latest: dict[str, Sketch] = {}  # of this hour, and of the one before
        self.before: dict[str, Sketch] = {}
        self.began = 0  # Unix seconds of the first call, and of the latest hour
        self.hour = 0

    def add(self, drawn: Drawn, unix_ns: int) -> None:
        """Count one call, which arrived then."""
        self.count += 1
        for name, sides in drawn.outputs.items():
            found = self.outputs.get(name)
            if found is None:
                if len(self.outputs) >= NAMES:
                    continue
                found = self.outputs[name] = (Sketch(), Sketch())
            for sketch, value in zip(found, sides, strict=True):
                _count(sketch, value)
        for criterion, rule, ours, theirs in drawn.decided:
            self._decide(criterion, rule, ours, theirs)
        if drawn.inputs:
            self._inputs(drawn.inputs, unix_ns // _SECOND)

    def _decide(self, criterion: str, rule: Decision, ours: Value, theirs: Value) -> None:
        matrix = self.matrices.get(criterion)
        if matrix is None:
            if len(self.matrices) >= MATRICES:
                return
            matrix = self.matrices[criterion] = {}
        for a, b in zip(decisions(rule, ours)[:ROWS], decisions(rule, theirs)[:ROWS], strict=False):
            if isinstance(a, int) and isinstance(b, int):
                key = min(a, CLASSES), min(b, CLASSES)  # the last stands for all beyond it
                matrix[key] = matrix.get(key, 0) + 1

    def _inputs(self, inputs: Mapping[str, Value], at: int) -> None:
        self.began = self.began or at
        hour = at // HOUR
        if hour > self.hour:
            self.before = self.latest if hour == self.hour + 1 else {}
            self.latest, self.hour = {}, hour
        windows = [self.latest] if at >= self.began + DAY else [self.first, self.latest]
        for window in windows:
            for name, value in inputs.items():
                if name in window or len(window) < NAMES:
                    _count(window.setdefault(name, Sketch()), value)

    @property
    def now(self) -> dict[str, Sketch]:
        """Inputs of the latest hours; none before the first day is over."""
        over = self.hour * HOUR - HOUR >= self.began + DAY
        return _added(self.latest, self.before) if over else {}

    def plus(self, other: Distributions) -> Distributions:
        """What two pods counted; of their latest hours the later one's, or both."""
        whole = Distributions()
        whole.count = self.count + other.count
        for name in dict.fromkeys([*self.outputs, *other.outputs]):
            pairs = [d.outputs[name] for d in (self, other) if name in d.outputs]
            a, b = pairs[0]
            for c, d in pairs[1:]:
                a, b = a.plus(c), b.plus(d)
            whole.outputs[name] = (a, b)
        for part in (self, other):
            for criterion, matrix in part.matrices.items():
                into = whole.matrices.setdefault(criterion, {})
                for key, n in matrix.items():
                    into[key] = into.get(key, 0) + n
        whole.first = _added(self.first, other.first)
        whole.began = min((b for b in (self.began, other.began) if b), default=0)
        whole.hour = max(self.hour, other.hour)
        for part in (self, other):
            if part.hour == whole.hour:
                whole.latest = _added(whole.latest, part.latest)
                whole.before = _added(whole.before, part.before)
            elif part.hour == whole.hour - 1:
                whole.before = _added(whole.before, part.latest)
        return whole

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "count": self.count,
            "outputs": {n: [_plain(a), _plain(b)] for n, (a, b) in self.outputs.items()},
            "matrices": {
                name: [[a, b, n] for (a, b), n in sorted(matrix.items())]
                for name, matrix in self.matrices.items()
            },
            **{
                window: {n: _plain(s) for n, s in getattr(self, window).items()}
                for window in ("first", "latest", "before")
            },
            "began": self.began,
            "hour": self.hour,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Distributions:
        """From `to_dict`; of nothing, one without calls.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is no such data.
        """
        found = cls()
        if not data:
            return found
        found.count, found.began, found.hour = (int(data[n]) for n in ("count", "began", "hour"))
        found.outputs = {n: (_read(a), _read(b)) for n, (a, b) in data["outputs"].items()}
        found.matrices = {
            name: {(int(a), int(b)): int(n) for a, b, n in rows}
            for name, rows in data["matrices"].items()
        }
        found.first, found.latest, found.before = (
            {n: _read(s) for n, s in data[window].items()}
            for window in ("first", "latest", "before")
        )
        return found


def drawn_of(
    settings: DriftSettings,
    rules: Sequence[tuple[str, str, Decision]],
    production: Sequence[Decoded],
    shadow: Sequence[Decoded],
    request: Sequence[Decoded] = (),
) -> Drawn:
    """What is counted of one call: of the first message on either side.

    Args:
        settings: what is wanted.
        rules: criteria with a decision: name, a glob over outputs, and the rule.
        production: what it answered.
        shadow: likewise.
        request: read if inputs are wanted.
    """
    ours, theirs = _numbers(production), _numbers(shadow)
    both = {name: (value, theirs[name]) for name, value in ours.items() if name in theirs}
    inputs = _numbers(request)
    return Drawn(
        {n: v for n, v in both.items() if _is_any(n, settings.outputs)},
        {n: v for n, v in inputs.items() if _is_any(n, settings.inputs)},
        [
            (criterion, rule, *both[name])
            for criterion, outputs, rule in rules
            if (name := next((n for n in both if fnmatchcase(n, outputs)), None)) is not None
        ],
    )


def _numbers(messages: Sequence[Decoded]) -> dict[str, Value]:
    outputs = messages[0].outputs if messages else ()
    return {o.name: o.array for o in outputs if o.array.dtype.kind in "biuf" and o.array.size}


def _is_any(name: str, globs: Sequence[str]) -> bool:
    return any(glob == "*" or fnmatchcase(name, glob) for glob in globs)


def _count(sketch: Sketch, value: Value) -> None:
    sketch.add(np.asarray(value).reshape(-1)[:ELEMENTS].astype(np.float64))


def _added(one: Mapping[str, Sketch], other: Mapping[str, Sketch]) -> dict[str, Sketch]:
    whole = dict(one)
    for name, sketch in other.items():
        whole[name] = whole[name].plus(sketch) if name in whole else sketch
    return whole


def _plain(sketch: Sketch) -> list[Any]:
    return [sketch.broken, sorted(sketch.counts.items())]


def _read(plain: Sequence[Any]) -> Sketch:
    broken, counts = plain
    return Sketch({int(place): int(n) for place, n in counts}, int(broken))
