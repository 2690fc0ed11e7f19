"""What pods tell a collector, made by real judges; only name, place and age are put on."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar.collect.lives import Heard
from sidecar.collect.service import Service
from sidecar.collect.told import Told, told_by
from sidecar.experiment.keeping import Keeping
from sidecar.judge.counts import SnapshotKey
from sidecar.log import Log
from sidecar.report.live import part_of, parts_of
from sidecar.report.part import Part
from sidecar.report.report import Report, ServiceFacts
from sidecar.serve.convert import counts_message
from sidecar.store.keeper import Keeper
from tests.experiment.test_blind import greeting
from tests.experiment.test_keeping import Life
from tests.house import DISAGREEMENT, House, told

NEED: dict[str, Any] = {"min_calls": 150}
SHADOW = "candidate"
STRICTER: dict[str, Any] = {"criteria": [DISAGREEMENT | {"margin": 0.04}]}


def part(
    pod: str,
    calls: int = 0,
    *,
    differing: bool = False,
    version: str = "1",
    began: int = 1,
    **judge: Any,
) -> Part:
    """One pod's counts after so many calls; `began` orders the lives of observers."""
    house = House(judge, instance=pod)
    for _ in range(calls):
        house.call(told(9.0 if differing else 1.0, version=version))
    made = part_of(house.experiment.state(), house.judged)
    snapshot = replace(made.snapshot, key=SnapshotKey(pod, 0), began_unix_ns=began)
    return replace(made, source=f"{pod}:9096", snapshot=snapshot)


def heard_of(part: Part) -> Told:
    """The part as it comes over the wire."""
    return told_by(counts_message(part), part.source, time.time())


def pod(name: str, calls: int = 0, **given: Any) -> Told:
    """What one pod tells."""
    return heard_of(part(name, calls, **given))


class Pod(Life):
    """One pod's life over a state, which another pod may go on with."""

    lives = 0

    def __init__(self, folder: Path, hostname: str = "digits-0", *, later_ns: int = 0) -> None:
        Pod.lives += 1
        self.told = io.StringIO()
        self.keeper = Keeper(folder, Log("test", self.told), patience=0.0)
        self.house = House(
            {"min_calls": 100},
            keeping=Keeping(self.keeper, hostname),
            instance=f"{hostname}-{Pod.lives:012x}",
            unix_offset_ns=5 + later_ns * Pod.lives,
        )
        self.attach(greeting())

    def tells(self, source: str = "10.0.0.7:9096") -> list[Told]:
        """What it answers who asks for its counts."""
        parts = parts_of(self.house.experiment.state(), self.house.judged)
        return [told_by(counts_message(one), source, time.time()) for one in parts]


def heard(
    service: Service, *said: Told, at: float = 1.0, missing: dict[str, str] | None = None
) -> Report:
    """The report of a service after a round in which they told this."""
    service.hear(Heard(at, list(said), missing or {}))
    return service.report(SHADOW, at)


def facts(report: Report) -> ServiceFacts:
    """What it says of the service."""
    assert report.service is not None
    return report.service
