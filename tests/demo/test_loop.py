"""The whole demo, with real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sidecar.demo import loop
from sidecar.demo.data import digits
from sidecar.demo.models import WEAK_CLASS, candidate, production
from sidecar.demo.render import render
from sidecar.demo.summary import Summary
from sidecar.report.page import render_html


@pytest.fixture(scope="module")
def found() -> Iterator[tuple[Summary, loop.Running]]:
    console = Console(file=StringIO(), width=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_TRACES_EXPORTER", "none")
        with loop.running(console) as (stand, model):
            yield loop.drive(console, stand, model), stand


def test_every_call_is_compared(found: tuple[Summary, loop.Running]) -> None:
    summary, _ = found
    assert (summary.calls, summary.compared, summary.failed) == (1000, 1000, 0)
    assert summary.coverage == 1.0


def test_the_sidecar_finds_what_the_models_themselves_say(
    found: tuple[Summary, loop.Running],
) -> None:
    summary, _ = found
    images = digits().images
    ours = production().probabilities(images).argmax(axis=1)
    theirs = candidate().probabilities(images).argmax(axis=1)
    assert summary.agreeing == int((ours == theirs).sum())
    assert sum(row.agreeing for row in summary.classes) == summary.agreeing
    assert sum(flip.calls for flip in summary.flips) == 1000 - summary.agreeing
    assert all(flip.production != flip.candidate for flip in summary.flips)
    assert summary.worst_class.label == WEAK_CLASS


def test_the_verdict_is_that_the_candidate_is_better_but_not_on_one_digit(
    found: tuple[Summary, loop.Running],
) -> None:
    summary, _ = found
    assert summary.report is not None
    verdict = summary.report.verdict
    states = {row.name: row.state for row in verdict.criteria}
    assert (states["accuracy"], states["errors"]) == ("PASS", "PASS")
    flagged = [row.slice for row in verdict.slices if row.flagged and row.required]
    assert flagged == [f"digit={WEAK_CLASS}"]
    assert verdict.state == "FAIL"
    assert verdict.events["joined"] == 1000


def test_terminal_page_gate_and_replay_tell_the_same_of_the_digit_by_its_true_value(
    found: tuple[Summary, loop.Running],
) -> None:
    summary, _ = found
    assert summary.report is not None
    assert summary.again is not None
    rows = [
        replace(next(r for r in report.verdict.slices if r.flagged and r.required), decided_unix=0)
        for report in (summary.report, summary.again.report)
    ]
    assert rows[0] == rows[1], "asked again, it is the same evidence"
    row = rows[0]
    truth = summary.classes[WEAK_CLASS]
    assert (row.slice, row.n) == (f"digit={WEAK_CLASS}", truth.calls - 1)
    lost = truth.production_right - truth.candidate_right
    assert row.estimate is not None
    assert abs(row.estimate * row.n - lost) < 2, "but for the call that the slice was found by"
    figure = f"{100 * row.estimate:.1f} pp"
    shown = StringIO()
    Console(file=shown, width=200).print(render(summary))
    terminal = " ".join(shown.getvalue().split())
    assert f"({figure} lost in {row.n:.0f} calls, by the verdict)" in terminal
    assert f"+{figure} of {row.n:.0f}" in terminal
    assert "no call tells of the next" in terminal, "why each call is evidence here"
    assert f"accuracy in digit={WEAK_CLASS}: accuracy is {figure} lower" in summary.gate
    page = re.sub(r"<[^>]*>", "", render_html(summary.report))
    assert f"{figure} lower" in " ".join(page.split())
    assert summary.again.report.state == summary.report.state == "FAIL"
    assert summary.again.report.verdict.reason == summary.report.verdict.reason


def test_what_is_captured_is_all_that_was_compared_and_the_query_finds_where_they_differ(
    found: tuple[Summary, loop.Running],
) -> None:
    summary, stand = found
    assert summary.again is not None
    assert summary.again.captured == summary.again.calls == 1000
    told = {(flip.production, flip.candidate): flip.calls for flip in summary.flips}
    assert len(summary.again.rows) == 5
    for ours, theirs, calls in summary.again.rows:
        assert told[ours, theirs] == calls
    assert str(stand.calls) in summary.again.query


def test_the_report_has_latencies_of_both_sides_and_a_trace_of_either_kind(
    found: tuple[Summary, loop.Running],
) -> None:
    summary, stand = found
    assert sorted(summary.latency) == ["candidate", "production"]
    assert all(0 < side["p50"] <= side["p99"] for side in summary.latency.values())
    assert len(summary.agreeing_trace) == len(summary.differing_trace) == 32
    assert summary.agreeing_trace != summary.differing_trace
    assert (stand.collector, stand.trace_page) == ("", "")


def test_the_command_prints_the_report_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import typer; from sidecar.run.demo import demo as d; typer.run(d)",
        ],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none", "COLUMNS": "100"},
        text=True,
        capture_output=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    assert "1,000 seen, 1,000 compared" in words
    assert f"on the digit {WEAK_CLASS} it is right" in words
    assert f"Worse on digit {WEAK_CLASS} (accuracy)." in words
    page = (tmp_path / "shadow-report.html").read_text(encoding="utf-8")
    assert "FAIL" in page
    assert f"digit {WEAK_CLASS}" in " ".join(page.replace("<b>", "").replace("</b>", "").split())
