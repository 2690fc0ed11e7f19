"""What the demo tells, from what client, sidecar and truth know."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from sidecar.demo.client import Answer
from sidecar.demo.render import render
from sidecar.demo.summary import Flip, Summary, summarize


def _answers(*pairs: tuple[int, int | None]) -> list[Answer]:
    """Answers from (label, predicted), with trace ids "t0", "t1", ..."""
    return [Answer(i, label, said, f"t{i}", 0.001) for i, (label, said) in enumerate(pairs)]


def _status(seen: int, equal: int, differs: int, **skipped: int) -> dict[str, Any]:
    shadow = {
        "seen": seen,
        "compared": equal + differs,
        "skipped": skipped,
        "outcomes": {"equal": equal, "value": differs},
        "latency_ms": {
            "production": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
            "shadow": {"p50": 1.5, "p95": 2.5, "p99": 3.5},
        },
    }
    return {"shadows": {"candidate": shadow}}


def _summary() -> Summary:
    """Four calls: two agree, one differs and the candidate is wrong, one was not compared."""
    return summarize(
        _answers((8, 8), (8, 8), (3, 3), (3, None)),
        [8, 1, 3, 3],
        _status(seen=4, equal=2, differs=1, queue_full=1),
        [
            {"trace_id": "t1", "agrees": False},
            {"trace_id": "t0", "agrees": True},
            {"trace_id": "t2", "agrees": True},
        ],
        "candidate",
    )


def test_the_figures_are_the_sidecars_own() -> None:
    summary = _summary()
    assert (summary.calls, summary.compared, summary.failed) == (4, 3, 1)
    assert summary.coverage == 0.75
    assert summary.skipped == {"queue_full": 1}
    low, high = summary.interval
    assert low < summary.agreeing / summary.compared == 2 / 3 < high


def test_calls_that_nobody_wanted_compared_do_not_count_against_coverage() -> None:
    status = _status(seen=10, equal=2, differs=0, not_sampled=7, tap_gap=1)
    summary = summarize(_answers((1, 1)), [1], status, [], "candidate")
    assert summary.coverage == 2 / 3


def test_differences_are_joined_with_the_truth_by_trace_id() -> None:
    summary = _summary()
    assert [(row.label, row.calls, row.agreeing) for row in summary.classes] == [
        (3, 1, 1),
        (8, 2, 1),
    ]
    assert summary.worst_class.label == 8
    assert summary.flips == (Flip(production=8, candidate=1, calls=1),)
    assert (summary.agreeing_trace, summary.differing_trace) == ("t0", "t1")


def test_latencies_carry_the_shadows_name_and_are_left_out_when_there_are_none() -> None:
    assert _summary().latency["candidate"] == {"p50": 1.5, "p95": 2.5, "p99": 3.5}
    status = _status(seen=1, equal=0, differs=0, queue_full=1)
    nothing = {"p50": None, "p95": None, "p99": None}
    status["shadows"]["candidate"]["latency_ms"] = {"production": nothing, "shadow": nothing}
    summary = summarize(_answers((1, 1)), [1], status, [], "candidate")
    assert (summary.latency, summary.agreeing, summary.coverage) == ({}, 0, 0.0)
    assert summary.interval == (0.0, 1.0)


def test_the_report_names_the_class_that_got_worse() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(render(_summary()))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "4 seen, 3 compared, 1 failed" in text
    assert "75.0% (skipped: queue_full 1)" in text
    assert "on the digit 8 it is right 50% of the time" in " ".join(text.split())
