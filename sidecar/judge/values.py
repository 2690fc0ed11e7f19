"""From what a comparison read to the few values that decisions, labels and slices are about.

Rule: only outputs that some criterion or slice names are taken, so that nothing else of a payload
reaches the judge. Counterparts: `compare.comparer`, which read them, and `pair.JudgedPair.values`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from sidecar.compare.payload import Decoded
from sidecar.judge.decision import Decision
from sidecar.judge.pair import Value, Values
from sidecar.judge.settings import JudgeSettings

_CLASS = "class:"
_FIELD = "field:"


def wanted_outputs(settings: JudgeSettings) -> tuple[str, ...]:
    """Globs of the outputs whose values the judge needs; none when it needs none."""
    globs = [g for c in settings.criteria if c.needs_values and (g := c.reads_outputs)]
    globs += [s.source.removeprefix(_CLASS) for s in settings.slices if s.source.startswith(_CLASS)]
    return tuple(dict.fromkeys(globs))


def decisions_of(settings: JudgeSettings) -> list[tuple[str, str, Decision]]:
    """Criteria with a decision that has one answer a row: name, outputs, and the rule."""
    found = []
    for criterion in settings.criteria:
        rule = getattr(criterion, "decision", None)
        if isinstance(rule, Decision) and rule.top_k is None:
            found.append((criterion.name, criterion.reads_outputs, rule))
    return found


def needs_request(settings: JudgeSettings) -> bool:
    """Whether a slice asks for a field of the request."""
    return any(s.source.startswith(_FIELD) for s in settings.slices)


def values_of(
    wanted: Sequence[str], production: Sequence[Decoded], shadow: Sequence[Decoded]
) -> Values:
    """Both sides' values by output name; None where a side has no such output.

    Args:
        wanted: globs, from `wanted_outputs`.
        production: its messages; outputs of the second and later ones get "[i]" before the name.
        shadow: likewise.
    """
    if not wanted:
        return {}
    ours, theirs = _by_name(wanted, production), _by_name(wanted, shadow)
    return {name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs}}


def fields_of(request: Sequence[Decoded]) -> Mapping[str, Value]:
    """The request's inputs by name; of a stream, those of its first message."""
    return {field.name: field.array for field in request[0].outputs} if request else {}


def _by_name(wanted: Sequence[str], messages: Sequence[Decoded]) -> dict[str, Value]:
    return {
        f"[{i}]{output.name}" if i else output.name: output.array
        for i, message in enumerate(messages)
        for output in message.outputs
        if any(glob == "*" or fnmatchcase(output.name, glob) for glob in wanted)
    }
