"""Asking again and again, and pods that disagree: neither makes a PASS."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.evidence.mixtures import threshold
from sidecar.judge.report import State
from sidecar.report.build import build
from sidecar.report.live import part_of
from sidecar.report.part import Part
from tests.house import House, told
from tests.judge.pairs import required

STREAMS = 300
ATTEMPTS = 20
CALLS, LOOK = 800, 40
ALPHA = 0.05


def passes(attempts: bool) -> float:
    """The share of streams exactly at the margin that pass in any of their attempts."""
    plan = required("disagreement", 0.05).plan()

    @cache
    def log_pass(n: int, k: int) -> float:
        return plan.measure({"n": float(n), "k": float(k)}).log_pass

    rng = np.random.default_rng(11)
    found = 0
    for _ in range(STREAMS):
        k = rng.binomial(LOOK, 0.05, (ATTEMPTS, CALLS // LOOK)).cumsum(axis=1)
        for attempt in range(1, ATTEMPTS + 1):
            alpha = alpha_of_attempt(ALPHA, attempt) if attempts else ALPHA
            limit = threshold(alpha / 2)
            if any(
                log_pass((i + 1) * LOOK, n) >= limit for i, n in enumerate(k[attempt - 1].tolist())
            ):
                found += 1
                break
    return found / STREAMS


def test_a_run_at_the_margin_that_is_begun_again_twenty_times_keeps_alpha() -> None:
    error = 2 * (ALPHA / 2 * (1 - ALPHA / 2) / STREAMS) ** 0.5
    assert passes(attempts=True) <= ALPHA / 2 + error
    assert passes(attempts=False) > 2 * ALPHA  # what it would be if nobody counted them


def pod(name: str, score: float, margin: float = 0.05) -> Part:
    row = {"name": "same", "kind": "disagreement", "margin": margin, "required": True}
    house = House({"criteria": [row]}, instance=name)
    for _ in range(400):
        house.call(told(score))
    house.state()
    return replace(part_of(house.experiment.state(), house.judged), source=name)


def test_nine_pods_that_failed_and_a_fresh_one_make_no_pass() -> None:
    failed = [pod(f"pod-{i}", 2.0) for i in range(9)]
    for fresh in (pod("fresh", 1.0), pod("fresh", 1.0, margin=0.9)):
        later = replace(fresh.snapshot, began_unix_ns=10**18)
        report = build([*failed, replace(fresh, snapshot=later)], 1.0)
        assert report.state is not State.PASS, report.verdict.reason
        assert "pod-0" in report.verdict.reason or report.state is State.FAIL


def test_a_pod_that_failed_by_itself_forbids_the_sums_pass_and_is_named() -> None:
    good = [pod(f"pod-{i}", 1.0) for i in range(9)]
    bad = replace(pod("odd", 1.0), stands=(State.FAIL, "same: too many"))
    assert build(good, 1.0).state is State.PASS
    report = build([*good, bad], 1.0)
    assert report.state is State.INCONCLUSIVE
    assert "by its own calls it failed at odd" in report.verdict.reason
