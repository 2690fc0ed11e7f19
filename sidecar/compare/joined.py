"""The outputs of a streamed answer that are one text in pieces.

Rule: another chunking of the same text is no difference. Pieces of an output are joined, element by
element, where its rule is about text or says `join`; where it says `join: last`, as for a count of
tokens, the last message tells for all. What cannot be joined, for it is no BYTES or changes
its shape on the way, is compared message by message. Counterpart: `comparer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sidecar.compare.payload import Array, Output, bytes_array
from sidecar.compare.settings import OutputRule

TEXT_RULES: Final = frozenset({"text", "tokens", "edit", "json"})

Message = Mapping[str, Output]
"""One message's outputs by name."""


LAST: Final = "last"


def joins(rule: OutputRule) -> bool:
    """Whether a rule takes an output's pieces for one text."""
    return rule.join is True if rule.join is not None else rule.rule in TEXT_RULES


def joined(
    sides: Sequence[Sequence[Message]], rule_of: Callable[[str], OutputRule]
) -> tuple[list[dict[str, Output]], list[list[Message]]]:
    """Take out of both sides' messages what stands for the whole answer: texts, and last values.

    Args:
        sides: the messages of each.
        rule_of: the rule of an output, by its name.

    Returns:
        For each side these by name, and its messages without them.
    """
    names = {name for side in sides for message in side for name in message}
    texts = {
        name
        for name in names
        if joins(rule_of(name)) and all(_is_text(side, name) for side in sides)
    }
    last = {name for name in names if rule_of(name).join == LAST}
    whole: list[dict[str, Output]] = []
    for side in sides:
        seen = {n for message in side for n in message}
        found = {n: _pieces(side, n)[-1] for n in sorted(last & seen)}
        whole.append(found | {n: _join(side, n) for n in sorted(texts & seen)})
    taken = texts | last
    return whole, [[{n: o for n, o in m.items() if n not in taken} for m in side] for side in sides]


def _pieces(side: Sequence[Message], name: str) -> list[Output]:
    return [message[name] for message in side if name in message]


def _is_text(side: Sequence[Message], name: str) -> bool:
    pieces = _pieces(side, name)
    shapes = {piece.array.shape for piece in pieces}
    return len(shapes) <= 1 and all(piece.array.dtype.kind == "O" for piece in pieces)


def _join(side: Sequence[Message], name: str) -> Output:
    pieces = _pieces(side, name)
    flat: list[Array] = [piece.array.ravel() for piece in pieces]
    elements = [b"".join(parts) for parts in zip(*flat, strict=True)]
    array = bytes_array(elements).reshape(pieces[0].array.shape)
    return replace(pieces[0], array=array)
