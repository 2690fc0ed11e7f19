"""What stands of experiments in which a side tells no version. Pure.

Nobody knows which candidate was there, so evidence goes with its pod. But whoever rolls the pods
until they PASS asks as often, so
- FAIL stands for the shadow's name and the rules, until versions are told, the shadow has another
  name, or every pod that is there tells of a later attempt than those that failed: its experiment
  was reset, or its shadow is at another address;
- each life of an observer that counted a call and is gone was an attempt.

Counterparts: `service`, which asks; `ledger`, which keeps a FAIL as it keeps other experiments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Sequence

from sidecar.collect.experiments import DIGITS, THEIRS, Experiment, is_versioned, versions_of
from sidecar.judge.counts import Snapshot, SnapshotKey

WAY_OUT = (
    "name versions (judge.version_metadata, shadows[].version), or for another candidate another "
    "shadow"
)


class Nameless:
    """Those that failed."""

    def __init__(self, known: Iterable[Experiment] = ()) -> None:
        """Begin with what a ledger has; versioned ones are passed over."""
        self.failed = {one.key: one for one in known if not is_versioned(one.models)}

    def standing(self, shadow: str, taken: Sequence[Snapshot]) -> Experiment | None:
        """The FAIL that stands for what is added up now; the first of several."""
        models = versions_of(s.models for s in taken)
        least = min(max(1, s.attempt) for s in taken)  # 0: who tells it counts none
        fitting = [
            one
            for one in self.failed.values()
            if (one.shadow, one.rules) == (shadow, taken[0].rules)
            and agree(one.models, models)
            and least <= one.attempt
        ]
        return min(fitting, key=lambda one: one.key, default=None)

    def fail(self, shadow: str, taken: Sequence[Snapshot], why: str) -> None:
        """Note a FAIL, with the latest attempt that a pod told of."""
        models = versions_of(s.models for s in taken)
        told = [shadow, taken[0].rules, "", *(f"{k}={v}" for k, v in sorted(models.items()))]
        key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:DIGITS]
        attempt = max(1, *(s.attempt for s in taken))
        self.failed[key] = Experiment(key, shadow, taken[0].rules, models, attempt, why)


def gone(kept: Iterable[Snapshot], taken: Sequence[Snapshot], here: Container[SnapshotKey]) -> int:
    """How many lives about the same candidate, as far as anybody knows, count no more."""
    theirs = _theirs(versions_of(s.models for s in taken))
    keys = {snapshot.key for snapshot in taken}
    return sum(
        s.calls > 0
        and s.key not in keys
        and s.key not in here
        and not is_versioned(models := versions_of([s.models]))
        and agree(_theirs(models), theirs)
        for s in kept
    )


def agree(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether what both tell is the same."""
    return all(other.get(name, version) == version for name, version in one.items())


def _theirs(models: dict[str, str]) -> dict[str, str]:
    return {name: version for name, version in models.items() if name.startswith(THEIRS)}
