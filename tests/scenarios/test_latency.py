"""Latency over real sockets: identical servers are not told apart, a slower one is.

No test here depends on having a free core: beside a control a busy machine is busy for both.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import http_json
from tests.scenarios.latencies import latencies, run
from tests.scenarios.stack import servers, sidecar

NORMAL = {"observer.priority": "normal"}  # the harm is looked for, not the observer's patience
PER_SECOND = 60.0
MOST_TURNS = 40  # of two seconds each, until a slower shadow has failed


def test_two_identical_servers_beside_a_control_do_not_fail() -> None:
    quick = ("model", "--delay-ms", "5")
    with servers(quick, quick, quick) as (production, candidate, control):
        with sidecar(production, settings=latencies(candidate, control) | NORMAL) as it:
            told = run(it, 12, PER_SECOND)
    assert "FAIL" not in told.states.values(), told.verdict
    assert told.verdict["state"] != "FAIL"
    assert told.compared > 100
    assert all(estimate is not None for estimate in told.estimates.values())
    assert all("against the control's" in row["about"] for row in told.verdict["criteria"])


def test_a_shadow_three_times_as_slow_fails_beside_a_control() -> None:
    quick, slow = (("model", "--delay-ms", ms) for ms in ("25", "75"))
    with servers(quick, slow, quick) as (production, candidate, control):
        settings = latencies(candidate, control, coverage_floor=0.0) | NORMAL
        with sidecar(production, settings=settings) as it:
            for _ in range(MOST_TURNS):
                told = run(it, 2, PER_SECOND)
                if told.verdict["state"] == "FAIL":
                    break
    assert told.verdict["state"] == "FAIL", told.verdict
    assert told.verdict["reason"].startswith("p50: p50 latency is +")
    assert "above the margin of +10 %" in told.verdict["reason"]


@pytest.mark.parametrize("beside", [False, True])
def test_a_shadow_whose_deadline_is_shorter_than_its_work_never_passes(beside: bool) -> None:
    """Everybody takes 540 ms, copies are given 500: it was said to be 7.6 % faster, and passed."""
    slow = ("model", "--delay-ms", "540")
    with servers(slow, slow, slow) as (production, candidate, control):
        settings = latencies(
            candidate, control if beside else None, deadline_seconds=0.5, coverage_floor=0.0
        )
        with sidecar(production, settings=settings | NORMAL) as it:
            told = run(it, 12, 30.0)
    assert told.verdict["state"] != "PASS"
    assert "PASS" not in told.states.values(), told.verdict
    assert told.estimates["p50"] is None  # it has no end
    assert told.p50_ms["shadow"] is None
    (p50,) = (row for row in told.verdict["criteria"] if row["name"] == "p50")
    assert "beyond the deadline" in p50["reason"]


def test_a_dead_shadow_has_no_latency() -> None:
    quick = ("model", "--delay-ms", "20")
    with servers(quick) as (production,):
        settings = latencies("127.0.0.1:1", None, coverage_floor=0.0)
        with sidecar(production, settings=settings | NORMAL) as it:
            told = run(it, 3, PER_SECOND)
            metrics = http_json(it.http, "/status")["shadows"]["candidate"]["latency_ms"]
    assert set(told.estimates.values()) == {None}
    assert set(metrics["shadow"].values()) == {None}
    assert told.verdict["state"] != "PASS"


def test_a_required_latency_without_a_control_is_refused_with_what_to_do() -> None:
    criterion = '[{"name": "p95", "kind": "latency_ratio", "margin": 0.2, "required": true}]'
    words = ["run", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]
    words += ["--shadow", "127.0.0.1:2", "--set", f"judge.criteria={criterion}"]
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "p95 (latency_ratio) cannot be required without a control" in done.stderr
    assert "role: control" in done.stderr
    assert "judge.latency: {trust: direct}" in done.stderr
