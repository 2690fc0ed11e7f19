"""Decisions about what was compared with what, which outlive every pod. Pure.

An experiment is a shadow's name, both sides' versions and the rules. Rules:
- FAIL stands for its experiment, whatever comes later. PASS is judged anew in each round, and
  watched: harm that begins after it is a FAIL, too, and while too few of the latest calls are
  compared it says nothing of now.
- A rollout back to an old pair is the old experiment, and goes on with its evidence.
- Each further experiment about a candidate, with another margin, perhaps, is an attempt of its own
  and may err less (`judge.evidence.attempts`), whether those before were decided or given up. Its
  number never changes.

Counterparts: `service`, which asks; `ledger`, which keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.judge.counts import READER, CellKey, Coverage, Snapshot, Total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.evidence.watch import Watch
from sidecar.judge.latches import Latches, begin_watch, harm
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.slice_watch import harm_in_slices

DIGITS = 16
OURS, THEIRS = "production ", "shadow "  # before a model's name


@dataclass(slots=True)
class Experiment:
    """What is known of one."""

    key: str
    shadow: str
    rules: str
    models: dict[str, str]  # versions of both sides; names may be added, versions never change
    attempt: int
    failed: str = ""  # why, once it has
    passed_unix: float = 0.0  # when it did first; 0: never
    latches: Latches = field(default_factory=Latches)
    is_cut: bool = False  # older evidence of it was let go

    @property
    def decided(self) -> bool:
        """Whether it has ever come to PASS or FAIL."""
        return bool(self.failed or self.passed_unix)

    def is_of(self, shadow: str, rules: str, models: Mapping[str, str]) -> bool:
        """Whether evidence is this experiment's: what both know is the same."""
        agrees = all(self.models.get(k, v) == v for k, v in models.items())
        return (shadow, rules) == (self.shadow, self.rules) and agrees and self._knows(models)

    def is_about(self, shadow: str, models: Mapping[str, str], beside: Container[str] = ()) -> bool:
        """Whether the candidate is the same, whatever its name, the rules and production are.

        Args:
            shadow: its name.
            models: its versions.
            beside: names of the shadows that are judged now.
        """
        theirs = {k: v for k, v in models.items() if k.startswith(THEIRS)}
        agrees = all(self.models.get(k, v) == v for k, v in theirs.items())
        # Of shadows that are judged side by side PASS is corrected for their number.
        is_its = shadow == self.shadow or self.shadow not in beside
        return is_its and agrees and self._knows(theirs)

    def _knows(self, models: Mapping[str, str]) -> bool:
        return any(k.startswith(THEIRS) and k in self.models for k in models)

    def follow(
        self, settings: JudgeSettings, plans: Sequence[Plan], whole: Total
    ) -> tuple[str | None, str | None]:
        """Why a PASS no longer stands, of all calls and of slices; None where there was none."""
        if not self.passed_unix:
            return None, None
        found = harm(self.latches, plans, whole, settings.labels.delay_seconds)
        return found, harm_in_slices(settings, plans, whole, self.latches)

    def passes(self, plans: Sequence[Plan], whole: Total, alpha: float, unix: float) -> None:
        """Note the first PASS, and watch from here on."""
        if self.passed_unix:
            return
        self.passed_unix = unix
        self.latches.decided_unix_ns = int(unix * 1e9)
        begin_watch(self.latches, plans, whole, alpha)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "shadow": self.shadow,
            "rules": self.rules,
            "models": self.models,
            "attempt": self.attempt,
            "failed": self.failed,
            "passed_unix": self.passed_unix,
            "is_cut": self.is_cut,
            "window": self.latches.window,
            "latest": self.latches.latest,
            "controls": self.latches.controls,
            "noisy": self.latches.noisy,
            "watches": {
                name: [watch.to_dict() for watch in watches]
                for name, watches in self.latches.watches.items()
            },
            "slice_watches": [
                [*key, [watch.to_dict() for watch in watches]]
                for key, watches in self.latches.slice_watches.items()
            ],
        }

    @classmethod
    def from_dict(cls, key: str, data: Mapping[str, Any]) -> Experiment:
        """From `to_dict`.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: for anything else.
        """
        window = data.get("window")  # an older version did not look
        latches = Latches(
            decided_unix_ns=int(data["passed_unix"] * 1e9),
            window=None if window is None else Coverage(*window),
            latest=data.get("latest"),
            controls={name: (n, k) for name, (n, k) in data.get("controls", {}).items()},
            noisy=dict(data.get("noisy", {})),
        )
        for name, watches in data["watches"].items():
            latches.watches[name] = [Watch.from_dict(watch) for watch in watches]
        for criterion, slice_, watches in data.get("slice_watches", ()):
            found = [Watch.from_dict(watch) for watch in watches]
            latches.slice_watches[CellKey(criterion, slice_)] = found
        return cls(
            key,
            str(data["shadow"]),
            str(data["rules"]),
            dict(data["models"]),
            int(data["attempt"]),
            str(data["failed"]),
            float(data["passed_unix"]),
            latches,
            bool(data.get("is_cut")),
        )


class Experiments:
    """All there were."""

    def __init__(self, known: Iterable[Experiment] = ()) -> None:
        """Begin with those that a ledger has; see `nameless` for those without versions."""
        self._known = {one.key: one for one in known if is_versioned(one.models)}
        self.beside: Container[str] = ()  # names of the shadows that are judged now
        for one in self._known.values():
            # An older version gave the same number to several that were not decided.
            others = [other.attempt for other in self._others(one)]
            if not one.decided and one.attempt in others:
                one.attempt = 1 + max(others)

    def of(self, shadow: str, snapshots: Sequence[Snapshot]) -> Experiment | None:
        """The experiment that the snapshots are of; None before both sides' versions are known."""
        return self.find(shadow, snapshots[0].rules, versions_of(s.models for s in snapshots))

    def find(self, shadow: str, rules: str, models: dict[str, str]) -> Experiment | None:
        """The experiment of these rules and versions; new if there was none like it."""
        if not is_versioned(models):
            return None
        fitting = [one for one in self._known.values() if one.is_of(shadow, rules, models)]
        if fitting:
            # One that failed first: a name that was not known yet must not make it forgotten.
            found = min(fitting, key=lambda one: (not one.failed, not one.decided, one.key))
            found.models |= models
        else:
            told = [shadow, rules, *(f"{k}={v}" for k, v in sorted(models.items()))]
            key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:DIGITS]
            found = Experiment(key, shadow, rules, models, 0)
            found.attempt = 1 + max((other.attempt for other in self._others(found)), default=0)
            self._known[key] = found
        return found

    def _others(self, one: Experiment) -> list[Experiment]:
        """Those about the same candidate."""
        return [
            other
            for other in self._known.values()
            if other is not one and other.is_about(one.shadow, one.models, self.beside)
        ]

    def __iter__(self) -> Iterator[Experiment]:
        return iter(self._known.values())


def is_versioned(models: Mapping[str, str]) -> bool:
    """Whether both sides have told which version they are; a model's name alone is none."""
    return all(any(k.startswith(side) and k != side for k in models) for side in (OURS, THEIRS))


def versions_of(told: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Both sides' versions, without who read their payloads."""
    models: dict[str, str] = {}
    for one in told:
        models |= {
            k: v for k, v in one.items() if not k.startswith(READER) and k not in {OURS, THEIRS}
        }
    return models
