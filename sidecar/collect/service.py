"""What is known of a service, and the report that follows from it. No input or output.

Rule: evidence of pods that are gone counts as long as it agrees with the newest (same rules, same
versions), so a rollout back to an old pair goes on where it was. A pod that is there and does not
add to the sum (no answer, no such shadow, other rules or versions) is named, and forbids PASS; a
FAIL stands for its experiment whatever comes later. Counterparts: `poll`, which hears the pods;
`report.build`, which adds up; `ledger`, which remembers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.judge.counts import READER, Snapshot, SnapshotKey, alike, counts_of
from sidecar.judge.report import State
from sidecar.report.build import build, empty_report
from sidecar.report.part import Part

MOST_PARTS = 5_000  # of one shadow; those heard of longest ago go first
OTHERS = "its evidence is about other rules or model versions than the newest"


@dataclass(slots=True)
class Heard:
    """What one round of questions brought."""

    unix: float
    parts: list[Part]
    missing: dict[str, str]  # address: why it did not answer
    took_seconds: float = 0.0


@dataclass(slots=True)
class Service:
    """Everything that was heard of one service."""

    allow_missing: bool = False
    most_parts: int = MOST_PARTS
    failed: dict[str, str] = field(default_factory=dict)  # experiment: the reason that stands
    last: Heard | None = None
    dropped: dict[str, set[str]] = field(default_factory=dict)  # shadow: experiments cut short
    _parts: dict[str, dict[SnapshotKey, Part]] = field(default_factory=dict)
    _seen: dict[tuple[str, SnapshotKey], float] = field(default_factory=dict)

    @property
    def shadows(self) -> list[str]:
        """Their names: those of the pods that are there, or of all that were while there is none.

        Without a pod the last verdict is still worth showing.
        """
        now = {part.shadow for part in self.last.parts} if self.last else set()
        return sorted(now or self._parts)

    def parts(self, shadow: str) -> list[Part]:
        """All that is kept about one shadow."""
        return list(self._parts.get(shadow, {}).values())

    def remember(self, kept: Iterable[tuple[float, Part]]) -> None:
        """Take in what a ledger has."""
        for seen, part in kept:
            self._take(part, seen)

    def hear(self, heard: Heard) -> tuple[list[Part], list[Part]]:
        """Take in a round; returns the parts that are news, and those that had to go."""
        news = [part for part in heard.parts if self._take(part, heard.unix)]
        self.last = heard
        return news, [part for shadow in self._parts for part in self._cut(shadow)]

    def report(self, shadow: str, unix: float) -> dict[str, Any]:
        """The report of one shadow, as `report.build` has it, and

        service       {experiment, staleness_seconds (None before the first round), answering,
                      silent [address: there, with not one call seen], gone: parts of pods that
                      have left and still count}
        """
        parts = self.parts(shadow)
        missing = self.missing(shadow)
        if not parts:
            found = empty_report(missing, unix)
            return found | {"service": self._about(shadow, "", [], unix)}
        taken = alike(counts_of(part.snapshot for part in parts))
        experiment = experiment_of(shadow, taken)
        found = build(parts, unix, missing=missing, allow_missing=self.allow_missing)
        verdict = found["verdict"]
        if self.last is None and verdict["state"] == State.PASS and not self.allow_missing:
            verdict |= {"state": State.INCONCLUSIVE, "reason": "no pod was asked since the start"}
        if experiment in self.dropped.get(shadow, ()) and verdict["state"] == State.PASS:
            reason = f"older evidence was let go: more than {self.most_parts} lives of observers"
            verdict |= {"state": State.INCONCLUSIVE, "reason": reason}
        if (why := self.failed.get(experiment)) is not None and verdict["state"] != State.FAIL:
            verdict |= {"state": State.FAIL, "reason": f"{why} (stands)"}
        elif verdict["state"] == State.FAIL and experiment:
            self.failed[experiment] = verdict["reason"]
        about = self._about(shadow, experiment, taken, unix)
        if about["silent"]:
            found["notices"] = [*found["notices"], _silence(about["silent"])]
        return found | {"service": about}

    def missing(self, shadow: str) -> dict[str, str]:
        """Pods that are there and not in the sum, by address, each with the reason."""
        if self.last is None:
            return {}
        missing = dict(self.last.missing)
        counted = {
            (s.key, s.sequence)
            for s in alike(counts_of(part.snapshot for part in self.parts(shadow)))
        }
        keys = {key for key, _ in counted}
        having = {part.source: part for part in self.last.parts if part.shadow == shadow}
        for source in {part.source for part in self.last.parts} - having.keys():
            missing[source] = f"has no shadow called {shadow!r}"
        missing |= {
            source: OTHERS for source, part in having.items() if part.snapshot.key not in keys
        }
        return missing

    def _about(
        self, shadow: str, experiment: str, taken: list[Snapshot], unix: float
    ) -> dict[str, Any]:
        last = self.last
        here = [part for part in last.parts if part.shadow == shadow] if last else []
        present = {part.snapshot.key for part in here}
        return {
            "experiment": experiment,
            "staleness_seconds": max(0.0, unix - last.unix) if last else None,
            "answering": len({part.source for part in here}),
            "silent": sorted(part.source for part in here if _saw_nothing(part)),
            "gone": sum(snapshot.key not in present for snapshot in taken),
        }

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
        excess = len(kept) - self.most_parts
        if excess <= 0:
            return []
        oldest = sorted(kept, key=lambda key: self._seen[shadow, key])[:excess]
        gone = [kept.pop(key) for key in oldest]
        for part in gone:
            del self._seen[shadow, part.snapshot.key]
            self.dropped.setdefault(shadow, set()).add(experiment_of(shadow, [part.snapshot]))
        return gone


def experiment_of(shadow: str, snapshots: Iterable[Snapshot]) -> str:
    """A short name of what is compared under which rules; empty before any version is known."""
    models: dict[str, str] = {}
    rules = ""
    for snapshot in snapshots:
        rules = rules or snapshot.rules
        known: Mapping[str, str] = snapshot.models
        models |= {k: v for k, v in known.items() if not k.startswith(READER)}
    if not models:
        return ""
    text = "\n".join([shadow, rules, *(f"{k}={v}" for k, v in sorted(models.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _saw_nothing(part: Part) -> bool:
    return part.snapshot.calls == 0 and part.snapshot.coverage.eligible == 0


def _silence(silent: list[str]) -> str:
    few = ", ".join(silent[:5]) + (f" and {len(silent) - 5} more" if len(silent) > 5 else "")
    return (
        f"no call was seen by {few}: the service may lead past the wire (a numeric targetPort, "
        "clients that dial the model's own port), or send that pod nothing"
    )
