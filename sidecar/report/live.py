"""The parts and the report of a running observer. Counterpart: `part`, what they are for."""

from __future__ import annotations

from typing import Any

from sidecar.experiment.judging import Judged, Judging
from sidecar.judge.counts import ALL
from sidecar.report.build import build
from sidecar.report.part import Part

SLICE_WORST = 3  # of a slice; of all traffic as many as the judge keeps


def part_of(judging: Judging, judged: Judged, now_ns: int) -> Part:
    """Read what was counted so far; histograms and timeline stay the observer's own."""
    judge, counts = judged.judge, judged.counts
    snapshot = judge.snapshot(now_ns, judged.coverage)
    worst = {key: judge.worst(*key) for key in snapshot.cells}
    return Part(
        source="",
        shadow=judged.name,
        settings=judging.settings,
        control_fraction=judging.control_fraction,
        snapshot=snapshot,
        outcomes={outcome.value: n for outcome, n in counts.outcomes.items() if n},
        skipped={reason.value: n for reason, n in counts.skipped.items() if n},
        production_latency=counts.production_latency,
        shadow_latency=counts.latency,
        timeline=judged.timeline,
        worst={
            key: found if key.slice == ALL else found[:SLICE_WORST]
            for key, found in worst.items()
            if found
        },
        sample={
            key: found
            for key in snapshot.cells
            if key.slice == ALL and (found := judge.sample(*key))
        },
        stands=judge.stands,
        observers=judging.observers,
    )


def report_of(judging: Judging, judged: Judged, now_ns: int) -> dict[str, Any]:
    """The report of a sidecar's own counts, with the verdict that stands."""
    verdict = judged.evaluate(now_ns)
    part = part_of(judging, judged, now_ns)
    return build([part], (now_ns + judging.unix_offset_ns) / 1e9, verdict=verdict)
