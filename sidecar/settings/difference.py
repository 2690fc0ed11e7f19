"""What differs between two configurations, and what of that is live. Pure.

Rule: whatever asks whether a change needs a restart asks here; which keys are live is marked where
they are declared (`fields.LIVE`). Counterparts: `reload`, `Experiment.change`, `/status`,
`SetPolicy`, which all tell what this finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sidecar.fields import Section
from sidecar.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Difference:
    """The keys that differ, by what it takes; whatever is not named is unchanged."""

    live: tuple[str, ...] = ()  # taken over while running
    restart: tuple[str, ...] = ()  # in force after a restart of the sidecar

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.live or self.restart)


def diff(old: Settings, new: Settings) -> Difference:
    """Name every key that differs, as a path: `sample.fraction`, `shadows.candidate.address`.

    Shadows are told apart by name; one that is new or gone is named as such and needs a restart.
    """
    found = list(_differing(old, new, "", live=False))
    return Difference(
        tuple(path for path, live in found if live),
        tuple(path for path, live in found if not live),
    )


def take_live(old: Settings, new: Settings) -> Settings:
    """The old settings with what is live from the new ones: what is in force after a change."""
    wanted = {shadow.name: shadow for shadow in new.shadows}
    shadows = tuple(_lively(s, wanted[s.name]) if s.name in wanted else s for s in old.shadows)
    taken: Settings = _lively(old, new).model_copy(update={"shadows": shadows})
    return taken


def _lively(old: Any, new: Any) -> Any:
    return old.model_copy(update={name: getattr(new, name) for name in type(old).live()})


def _differing(old: Any, new: Any, path: str, *, live: bool) -> Iterator[tuple[str, bool]]:
    if old == new:
        return
    if isinstance(old, Section) and type(old) is type(new):
        marked = type(old).live()
        for key in type(old).model_fields:
            below = f"{path}.{key}" if path else key
            yield from _differing(
                getattr(old, key), getattr(new, key), below, live=live or key in marked
            )
    elif path == "shadows":
        yield from _shadows(old, new)
    else:
        yield path, live


def _shadows(old: Any, new: Any) -> Iterator[tuple[str, bool]]:
    before, after = ({shadow.name: shadow for shadow in side} for side in (old, new))
    for name in before:
        if name not in after:
            yield f"shadows.{name} (removed)", False
        else:
            yield from _differing(before[name], after[name], f"shadows.{name}", live=False)
    yield from ((f"shadows.{name} (added)", False) for name in after if name not in before)
    common = [name for name in before if name in after]
    if common != [name for name in after if name in before]:
        yield "shadows (order)", False
