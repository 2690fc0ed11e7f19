"""Which versions a call is about, and which of several pairs of versions is the current one. Pure.

Rule: evidence about one pair of versions (production's and the shadow's) is never another's, and is
never begun again because another was seen. What an answer does not tell, as an error tells nothing,
is that of the current pair: the one that came up last among those that are still answering. Gate
and headline ask about the current pair. Counterparts: `judge`, one for each pair;
`experiment.judging`, which holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MOST = 128  # characters of a name or a version
GONE_NS = 600 * 10**9  # versions that nobody has answered with for so long, while others did

Named = Mapping[str, str]
"""Versions by the name of a model, for a server may answer for several."""


class Versions(NamedTuple):
    """A version on either side, each in one fixed form: "7", or "digits:7 faces:2"."""

    production: str = ""
    shadow: str = ""


class Known:
    """What is known of one pair of versions."""

    __slots__ = ("named",)

    def __init__(self, production: Named | None = None, shadow: Named | None = None) -> None:
        self.named = (dict(production or {}), dict(shadow or {}))

    @property
    def versions(self) -> Versions:
        """As text."""
        return Versions(*map(_text, self.named))

    def fits(self, told: tuple[Named, Named]) -> bool:
        """Whether nothing that a call told contradicts it."""
        return all(
            side.get(name, version) == version
            for side, more in zip(self.named, told, strict=True)
            for name, version in more.items()
        )

    def has(self, told: tuple[Named, Named]) -> bool:
        """Whether it says already what a call told."""
        return all(
            side.get(name) == version
            for side, more in zip(self.named, told, strict=True)
            for name, version in more.items()
        )

    def extends(self, told: tuple[Named, Named]) -> bool:
        """Whether a call tells a version on a side of which none was known."""
        return any(more and not side for side, more in zip(self.named, told, strict=True))

    def plus(self, told: tuple[Named, Named]) -> Known:
        """The same with what a call told, which wins."""
        (a, b), (c, d) = self.named, told
        return Known({**a, **c}, {**b, **d})

    @classmethod
    def of(cls, versions: Versions) -> Known:
        """From text."""
        return cls(*map(_parsed, versions))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.named == other.named

    __hash__ = None  # type: ignore[assignment]  # it holds dictionaries


def told_by(models: tuple[str, str]) -> tuple[Named, Named]:
    """What the answers of a call tell: each "name:version", or less."""
    return _one(models[0]), _one(models[1])


def current(seen: Iterable[tuple[int, int]]) -> int:
    """Which of several pairs of versions is the current one.

    Args:
        seen: of each, when it came up the last time and when it was last seen, by one clock.

    Returns:
        The index of the one that came up last of those that are still answering; of several, the
        first. There must be one.
    """
    rows = list(seen)
    latest = max(last for _, last in rows)
    here = [i for i, (_, last) in enumerate(rows) if last >= latest - GONE_NS]
    return max(here, key=lambda i: (rows[i][0], -i))


def _one(model: str) -> Named:
    name, colon, version = model.rpartition(":")
    # A name of several models is written with spaces between; and answers may say anything.
    name, version = ("_".join(part[:MOST].split()) for part in (name, version))
    return {name: version} if version and colon else {}


def _text(named: Named) -> str:
    if len(named) == 1:
        ((name, version),) = named.items()
        return f"{name}:{version}" if name else version
    return " ".join(f"{name}:{version}" for name, version in sorted(named.items()))


def _parsed(text: str) -> dict[str, str]:
    found = {}
    for part in text.split():
        name, _, version = part.rpartition(":")
        found[name] = version
    return found
