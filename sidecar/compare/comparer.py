"""Lays two observations of one call side by side.

Rule: never raises. Status comes first, then texts in pieces (`joined`), then the number of
messages, then outputs by name, in any order; the whole is the worst of its parts. Whole messages
that are byte for byte the same are equal without looking further. Counterparts: `registry` (who
reads), `rules` (how outputs compare), `judge` (what the results add up to).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from sidecar.call import Observation
from sidecar.compare.joined import joined
from sidecar.compare.payload import MAX_OUTPUTS, Decoded, Output, Reader, UndecodableError
from sidecar.compare.readers.registry import Registry
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.compare.rules.outputs import Rules, compare_outputs
from sidecar.compare.rules.registry import IGNORE
from sidecar.compare.settings import CompareSettings
from sidecar.status import status_name

_OK: Final = 0
MAX_NAME: Final = 256  # characters of a name, which goes into spans and counters
MAX_DETAIL: Final = 200
_RANK: Final = {outcome: i for i, outcome in enumerate(Outcome)}


class Examination:
    """A comparison and what was read for it: empty where nothing had to be read, or could be.

    The messages hold payload values. They are for slices and labels, and are not kept.
    """

    __slots__ = ("comparison", "production", "shadow")

    def __init__(
        self,
        comparison: Comparison,
        production: tuple[Decoded, ...] = (),
        shadow: tuple[Decoded, ...] = (),
    ) -> None:
        self.comparison, self.production, self.shadow = comparison, production, shadow


class Comparer:
    """Compares pairs under one configuration."""

    def __init__(self, settings: CompareSettings, registry: Registry) -> None:
        self._rules = Rules(settings)
        self.registry = registry

    def examine(
        self,
        method: str,
        request: tuple[bytes, ...],
        production: Observation,
        shadow: Observation,
    ) -> Examination:
        """Compare what both sides answered to the same request messages, and keep what was read."""
        try:
            return self._examine(method, request, production, shadow)
        except Exception as error:  # a payload must not end the observer; the kind of error tells
            reader = self.registry.reader(method).name
            return Examination(
                Comparison(Outcome.UNDECODABLE, reader=reader, detail=type(error).__name__)
            )

    def read_request(self, method: str, request: tuple[bytes, ...]) -> tuple[Decoded, ...]:
        """Read a request's messages, as far as they can be read; never raises."""
        try:
            return tuple(map(self.registry.reader(method).read_request, request))
        except Exception:
            return ()

    def read_response(self, method: str, response: tuple[bytes, ...]) -> tuple[Decoded, ...]:
        """Read an answer's messages, as far as they can be read; never raises."""
        try:
            return tuple(map(self.registry.reader(method).read_response, response))
        except Exception:
            return ()

    def _examine(
        self,
        method: str,
        request: tuple[bytes, ...],
        production: Observation,
        shadow: Observation,
    ) -> Examination:
        if production.status != _OK or shadow.status != _OK:
            found = _errors(production.status, shadow.status)
            return Examination(found._replace(models=self._told(method, production, shadow)))
        reader = self.registry.reader(method)
        ours, theirs = production.messages, shadow.messages
        read_a, read_b, problems = _read_both(reader, ours, theirs)
        models = (_first_model(read_a), _first_model(read_b))
        if problems:
            found = Comparison(
                Outcome.UNDECODABLE,
                reader=reader.name,
                detail=problems[0][:MAX_DETAIL],
                models=models,
            )
            return Examination(found)
        model = models[0]
        if self._rules.need_model and not model:
            model = _first_model(self.read_request(method, request))
        outcomes: list[Outcome] = []
        outputs: list[OutputResult] = []
        named_a: Sequence[Mapping[str, Output]]
        named_b: Sequence[Mapping[str, Output]]
        named_a, named_b = ([_by_name(one.outputs) for one in side] for side in (read_a, read_b))
        texts: list[dict[str, Output]] = [{}, {}]
        if len(ours) > 1 or len(theirs) > 1:
            texts, (named_a, named_b) = joined(
                (named_a, named_b), lambda name: self._rules.find(method, model, name)
            )
            outputs += self._outputs(method, model, "", *texts)
        if len(ours) == len(theirs):
            for i, (read, other) in enumerate(zip(read_a, read_b, strict=True)):
                if read.error or other.error:
                    outcomes.append(_in_band(read.error, other.error))
                else:
                    prefix = f"[{i}]" if i else ""
                    outputs += self._outputs(method, model, prefix, named_a[i], named_b[i])
        elif any(one.error for one in (*read_a, *read_b)):
            errors = (next((o.error for o in side if o.error), "") for side in (read_a, read_b))
            outcomes.append(_in_band(*errors))
        elif (left := self._left(method, model, (*named_a, *named_b))) or not any(texts):
            detail = f"{len(ours)} messages against {len(theirs)}"
            if any(texts):
                detail += f"; not joined: {', '.join(left[:3])}"[:MAX_DETAIL]
            found = Comparison(
                Outcome.MESSAGE_COUNT, reader=reader.name, detail=detail, models=models
            )
            return Examination(found)
        outcomes += (output.outcome for output in outputs)
        worst = min(outcomes, key=_RANK.__getitem__, default=Outcome.EQUAL)
        found = Comparison(worst, tuple(outputs), reader.name, _tell(worst, outputs), models)
        return Examination(found, tuple(read_a), tuple(read_b))

    def _told(self, method: str, *sides: Observation) -> tuple[str, str]:
        """The models of a pair of which one failed, as far as the other one's answer tells."""
        reader = self.registry.reader(method)
        found = [
            _read(reader, side.messages[0]) if side.status == _OK and side.messages else None
            for side in sides
        ]
        ours, theirs = (_first_model([f] if isinstance(f, Decoded) else ()) for f in found)
        return ours, theirs

    def _left(self, method: str, model: str, messages: Iterable[Mapping[str, Output]]) -> list[str]:
        """The outputs that would have to be laid side by side message by message."""
        names = sorted({name for message in messages for name in message})
        return [name for name in names if self._rules.find(method, model, name).rule != IGNORE]

    def _outputs(
        self,
        method: str,
        model: str,
        prefix: str,
        a: Mapping[str, Output],
        b: Mapping[str, Output],
    ) -> Iterable[OutputResult]:
        theirs = dict(b)
        for name, output in a.items():
            other = theirs.pop(name, None)
            rule = self._rules.find(method, model, name)
            if rule.rule == IGNORE:
                continue
            if other is None:
                yield OutputResult(prefix + name, Outcome.MISSING_OUTPUT, rule.rule, 1.0)
            else:
                yield compare_outputs(prefix + name, output, other, rule)
        for name in theirs:
            rule = self._rules.find(method, model, name)
            if rule.rule != IGNORE:
                yield OutputResult(prefix + name, Outcome.EXTRA_OUTPUT, rule.rule, 1.0)


def _read_both(
    reader: Reader, ours: Sequence[bytes], theirs: Sequence[bytes]
) -> tuple[list[Decoded], list[Decoded], list[str]]:
    """Both sides' messages, and what is wrong with those that cannot be read.

    Messages that are the same byte for byte need not be readable.
    """
    read_a: list[Decoded] = []
    read_b: list[Decoded] = []
    problems: list[str] = []
    for a, b in zip_longest(ours, theirs):
        one = None if a is None else _read(reader, a)
        other = one if a == b else None if b is None else _read(reader, b)
        for side, found, into in (("production", one, read_a), ("shadow", other, read_b)):
            if isinstance(found, Decoded):
                into.append(found)
            elif found is not None and a != b:
                problems.append(f"{side}: {found}")
    return read_a, read_b, problems


def _read(reader: Reader, message: bytes) -> Decoded | UndecodableError:
    try:
        decoded = reader.read_response(message)
    except UndecodableError as error:
        return UndecodableError(str(error))  # the first one's traceback holds what was parsed
    if len(decoded.outputs) > MAX_OUTPUTS:
        return UndecodableError(f"{len(decoded.outputs)} outputs")
    if max((len(output.name) for output in decoded.outputs), default=0) > MAX_NAME:
        return UndecodableError(f"an output's name of more than {MAX_NAME} characters")
    return decoded


def _errors(production: int, shadow: int) -> Comparison:
    if production == _OK:
        return Comparison(Outcome.SHADOW_ERROR, detail=f"shadow's status {status_name(shadow)}")
    if shadow == _OK:
        detail = f"production's status {status_name(production)}"
        return Comparison(Outcome.PRODUCTION_ERROR, detail=detail)
    if production == shadow:
        return Comparison(Outcome.BOTH_ERROR_SAME, detail=f"status {status_name(production)}")
    detail = f"production's status {status_name(production)}, shadow's {status_name(shadow)}"
    return Comparison(Outcome.BOTH_ERROR_OTHER, detail=detail)


def _in_band(production: str, shadow: str) -> Outcome:
    """Errors that came inside messages have no code to tell them apart by."""
    if production and shadow:
        return Outcome.BOTH_ERROR_SAME
    return Outcome.PRODUCTION_ERROR if production else Outcome.SHADOW_ERROR


def _first_model(messages: Iterable[Decoded]) -> str:
    return next((m.model for m in messages if m.model), "")[:MAX_NAME]


def _by_name(outputs: tuple[Output, ...]) -> dict[str, Output]:
    """Index outputs by name; one that comes again is told apart by its count: "name#2"."""
    named: dict[str, Output] = {}
    for output in outputs:
        name, count = output.name, 1
        while name in named:
            count += 1
            name = f"{output.name}#{count}"
        named[name] = output
    return named


def _tell(worst: Outcome, outputs: list[OutputResult]) -> str:
    names = [o.name for o in outputs if o.outcome is worst]
    if worst is Outcome.EQUAL or not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{worst}: {', '.join(names[:3])}{more}"
