"""What pods tell a collector, made by real judges; only name, place and age are put on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from sidecar.collect.told import Told, told_by
from sidecar.judge.counts import SnapshotKey
from sidecar.report.live import part_of
from sidecar.report.part import Part
from sidecar.serve.convert import counts_message
from tests.house import House, told


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
