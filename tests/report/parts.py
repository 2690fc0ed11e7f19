"""Parts of sidecars that saw calls, and a report as text."""

from __future__ import annotations

import io

from rich.console import Console

from sidecar.report import table
from sidecar.report.live import part_of
from sidecar.report.part import Part
from sidecar.report.report import Report
from sidecar.serve.convert import counts_message, part_of_message
from tests.house import House, told

JUDGE = {"min_calls": 100, "slices": [{"source": "class:score"}]}


def house(calls: int, instance: str = "pod", **judge: object) -> House:
    """One whose candidate agrees with production."""
    made = House({**JUDGE, **judge}, instance=instance)
    for number in range(calls):
        made.call(told(float(number % 3)), production=told(float(number % 3)))
    return made


def part(made: House, source: str = "here") -> Part:
    """What it tells, carried over the wire."""
    own = part_of(made.experiment.state(), made.judged)
    return part_of_message(counts_message(own), source)


def text(report: Report) -> str:
    shown = io.StringIO()
    Console(width=200, file=shown).print(table.render(report))
    return shown.getvalue()
