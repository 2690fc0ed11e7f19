"""What is known of a service's pods: the newest counts of each life of an observer. Pure.

Rule: a pod that contradicts what is known, or lacks what it told before (its state was put back, or
copied), is not taken and is named as one that does not answer. Counts of pods that are gone are
kept; where there are too many, those heard of longest ago go, and who had them is told. Hearing the
same twice, or late, changes nothing. Counterparts: `poll`, which asks; `service`, which adds up;
`ledger`, which remembers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sidecar.collect.experiments import is_versioned, versions_of
from sidecar.collect.told import Told
from sidecar.judge.counts import Snapshot, SnapshotKey, alike
from sidecar.judge.held import declared_of
from sidecar.judge.latches import moment
from sidecar.report.copies import copies
from sidecar.report.part import Part

MOST_PARTS = 5_000  # of one shadow
SLACK_NS = 30 * 10**9  # within which a killed pod may have told of what it did not write
NOT_INJECTED = "asked for the sidecar and does not have it"


@dataclass(slots=True)
class Heard:
    """What one round of questions brought."""

    unix: float
    told: list[Told]
    missing: dict[str, str] = field(default_factory=dict)  # address: why it did not answer
    not_injected: dict[str, str] = field(default_factory=dict)  # pod: why, or ""
    took_seconds: float = 0.0


@dataclass(slots=True)
class Lives:
    """Of each shadow, and who told of them last."""

    other_shadows: bool = False  # a pod without a shadow of that name is not missing from it
    most: int = MOST_PARTS
    last: Heard | None = None
    _parts: dict[str, dict[SnapshotKey, Part]] = field(default_factory=dict)
    _seen: dict[tuple[str, SnapshotKey], float] = field(default_factory=dict)

    @property
    def shadows(self) -> list[str]:
        """Their names: those of the pods that are there, or of all that were while there is none.

        Without a pod the last verdict is still worth showing.
        """
        now = {told.part.shadow for told in self.last.told} if self.last else set()
        return sorted(now or self._parts)

    def parts(self, shadow: str) -> list[Part]:
        """All that is kept about one shadow."""
        return list(self._parts.get(shadow, {}).values())

    def remember(self, kept: Iterable[tuple[float, Part]]) -> None:
        """Take in what a ledger has."""
        for seen, part in kept:
            self._take(part, seen)

    def hear(self, heard: Heard) -> tuple[list[Told], list[Part]]:
        """Take in a round; returns the parts that are news, and those that had to go."""
        refused = copies(told.part for told in heard.told)
        good = []
        for told in heard.told:
            if told.part.source in refused:
                continue
            if why := self._contradicts(told.part) or self._behind(told.part):
                refused[told.part.source] = why
            else:
                good.append(told)
        heard = replace(heard, told=good, missing=heard.missing | refused)
        news = [told for told in good if self._take(told.part, heard.unix)]
        self.last = heard
        return news, [part for shadow in self._parts for part in self._cut(shadow)]

    def _contradicts(self, part: Part) -> str | None:
        """Two that name the same rules must have the same ones: else one of them is not true."""
        known = self._parts.get(part.shadow, {}).values()
        other = next((p for p in known if p.snapshot.rules == part.snapshot.rules), None)
        if other is None or declared_of(other.settings) == declared_of(part.settings):
            return None
        return "its criteria are others than its digest of rules says"

    def _behind(self, part: Part) -> str | None:
        """One that lacks what it told before: nobody may drop, or add up, either in silence."""
        now = part.snapshot
        kept = self._parts.get(part.shadow, {}).get(now.key)
        if kept is None:
            return None
        then = kept.snapshot
        lacks = now.sequence < then.sequence or now.began_unix_ns != then.began_unix_ns
        if not lacks and not any(gap.has(then.latest_unix_ns, SLACK_NS) for gap in now.gaps):
            return None
        says = f"; by itself it says {part.stands[0]}: {part.stands[1]}" if part.stands else ""
        return (
            f"lacks what it told until {moment(then.latest_unix_ns)} ({then.calls:,} calls): its "
            f"state was put back from a backup, or could not be written; remove its --state "
            f"directory, so that it counts anew beside what it told{says}"
        )

    def missing(self, shadow: str) -> dict[str, str]:
        """Pods that are there and tell nothing of the shadow, each with the reason."""
        if self.last is None:
            return {}
        missing = dict(self.last.missing)
        having = {t.part.source for t in self.last.told if t.part.shadow == shadow}
        if not self.other_shadows:
            for source in {t.part.source for t in self.last.told} - having:
                missing[source] = f"has no shadow called {shadow!r}"
        for pod, why in self.last.not_injected.items():
            missing[pod] = f"{NOT_INJECTED}: {why}" if why else NOT_INJECTED
        return missing

    def told(self, shadow: str) -> list[Part]:
        """What the pods that are there told of a shadow."""
        return [t.part for t in self.last.told if t.part.shadow == shadow] if self.last else []

    def here(self, shadow: str) -> set[SnapshotKey]:
        """Whose counts those are."""
        return {part.snapshot.key for part in self.told(shadow)}

    def chosen(self, shadow: str) -> tuple[list[Part], list[Snapshot]]:
        """Parts to be shown, and of them the snapshots that are added: the leading one first."""
        kept = self._parts.get(shadow, {})
        here = self.here(shadow)
        counts = {
            key: part.snapshot
            for key, part in kept.items()
            if key in here or not here or is_versioned(versions_of([part.snapshot.models]))
        }
        taken = alike(counts, here)
        keys = {snapshot.key for snapshot in taken} | here
        return [kept[key] for key in kept if key in keys], taken

    def _take(self, part: Part, seen: float) -> bool:
        kept = self._parts.setdefault(part.shadow, {})
        key = part.snapshot.key
        self._seen[part.shadow, key] = max(seen, self._seen.get((part.shadow, key), 0.0))
        if key in kept and part.snapshot.sequence <= kept[key].snapshot.sequence:
            return False
        kept[key] = part
        return True

    def _cut(self, shadow: str) -> list[Part]:
        """Let the oldest go where there are too many."""
        kept = self._parts[shadow]
        excess = len(kept) - self.most
        if excess <= 0:
            return []
        oldest = sorted(kept, key=lambda key: self._seen[shadow, key])[:excess]
        gone = [kept.pop(key) for key in oldest]
        for part in gone:
            del self._seen[shadow, part.snapshot.key]
        return gone
