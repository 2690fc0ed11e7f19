"""The verdict on several sidecars' parts: what forbids PASS, and what stands."""

from __future__ import annotations

from sidecar.judge.report import State
from sidecar.report.build import build
from sidecar.report.live import report_of
from tests.house import House, told
from tests.report.parts import JUDGE, house, part, text


def test_a_sidecar_that_is_left_out_forbids_pass_and_is_named() -> None:
    """One pod of two was restarted with another alpha: its calls are nobody's."""
    good, other = house(400, "a"), house(400, "b", alpha=0.1)
    both = build([part(other, "10.0.0.2:9096"), part(good, "10.0.0.1:9096")], 1.0)
    alone = build([part(good)], 1.0)
    assert alone.verdict.state is State.PASS
    assert both.verdict.left_out == 1
    assert both.verdict.state is State.INCONCLUSIVE
    assert "left out, for other versions or rules: 10.0.0." in both.verdict.reason


def test_a_missing_sidecar_forbids_pass_and_leaves_fail() -> None:
    good, bad = house(200), House(JUDGE)
    for _ in range(200):
        bad.call(told(9.0))
    missing = {"10.0.0.9:9096": "UNAVAILABLE"}
    assert build([part(good)], 1.0, missing=missing).exit_code == 4
    assert build([part(good)], 1.0, missing=missing, allow_missing=True).exit_code == 0
    assert build([part(bad)], 1.0, missing=missing).exit_code == 1
    assert "10.0.0.9:9096: UNAVAILABLE" in text(build([part(good)], 1.0, missing=missing))


def test_a_pass_that_later_calls_refute_is_a_fail_wherever_it_is_shown() -> None:
    made = house(300)
    assert made.state() == "PASS"
    for _ in range(300):
        made.call(told(9.0))
    report = report_of(made.experiment.state(), made.judged)
    assert report.state == build([part(made)], 1.0).state == made.state() == "FAIL"
    assert "passed at " in report.verdict.reason
    for _ in range(9000):
        made.call(told(0.0))
    assert made.state() == "FAIL"  # which stands
