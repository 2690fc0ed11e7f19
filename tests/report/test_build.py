from __future__ import annotations

import io
import itertools
import json

import pytest
from rich.console import Console

from sidecar.judge.report import State
from sidecar.report import table
from sidecar.report.as_json import from_json, to_json
from sidecar.report.build import build, empty_report
from sidecar.report.live import part_of, report_of
from sidecar.report.part import Part
from sidecar.report.report import CallInput, Report
from sidecar.serve.convert import counts_message, part_of_message
from tests.house import FAILED, House, told

JUDGE = {"min_calls": 100, "slices": [{"source": "class:score"}]}
TIGHT = {"criteria": [{"name": "same", "kind": "disagreement", "margin": 0.01, "required": True}]}


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


def test_a_part_is_the_same_on_the_other_side() -> None:
    made = house(150)
    made.call(told(9.0))
    made.call(FAILED)
    own = part_of(made.experiment.state(), made.judged)
    other = part_of_message(counts_message(own), "")
    assert other.snapshot == own.snapshot
    assert other.settings == own.settings
    assert (other.outcomes, other.skipped) == (own.outcomes, own.skipped)
    assert other.shadow_latency.counts == own.shadow_latency.counts
    assert other.timeline.rows() == own.timeline.rows()
    assert other.worst == own.worst
    assert other.sample == own.sample
    assert build([other], 1.0) == build([own], 1.0)


def test_values_make_the_journey_where_they_are_allowed() -> None:
    revealing = {"values": True, "reveal_outputs": ["score"]}
    made = house(0, examples=revealing)
    made.call(told(9.0))
    made.call(FAILED)
    own = part_of(made.experiment.state(), made.judged)
    other = part_of_message(counts_message(own), "")
    assert other.worst == own.worst
    rows = {row.outcome: row for row in build([other], 1.0).worst}
    hidden = (CallInput("age", "\u2022\u2022\u2022"),)
    (output,) = rows["value"].outputs
    assert (output.production, output.shadow) == ("[1]", "[9]")
    assert rows["value"].inputs == hidden
    assert (rows["shadow_error"].outputs, rows["shadow_error"].inputs) == ((), hidden)


def test_pulling_twice_changes_nothing_and_neither_does_the_order() -> None:
    one, other = house(300, "one", **TIGHT), house(300, "other", **TIGHT)
    older = part(one, "a")
    parts = [older, part(one, "b"), part(other, "c")]
    reports = [build(list(order), 1.0) for order in itertools.permutations(parts)]
    assert all(report == reports[0] for report in reports)
    (first, second) = reports[0].sidecars
    assert (first.source, first.calls, second.calls) == ("a, b", 300, 300)
    assert reports[0].verdict.calls == 600
    assert reports[0].latency.production.count == 600
    assert sum(p.compared for p in reports[0].over_time.points) == 600
    assert (build([older], 1.0).exit_code, reports[0].exit_code) == (3, 0)


def test_a_sidecar_with_other_rules_is_named_and_not_counted() -> None:
    one, other = house(200, "one"), house(200, "other", alpha=0.1)
    report = build([part(one, "a"), part(other, "b")], 1.0)
    assert [row.counted for row in report.sidecars].count(True) == 1
    assert report.verdict.left_out == 1
    assert report.verdict.calls == report.latency.shadow.count == 200
    assert "Not counted" in text(report)


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


def test_nobody_to_ask_is_inconclusive() -> None:
    report = empty_report({"10.0.0.9:9096": "UNAVAILABLE"}, 1.0)
    assert report.exit_code == 4
    assert "1 sidecar could not be asked" in table.line(report)
    assert set(to_json(report)) == set(to_json(build([part(house(1))], 1.0)))
    with pytest.raises(ValueError, match="at least one part"):
        build([], 1.0)


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


def test_the_report_is_json_and_the_table_names_what_matters() -> None:
    made = house(200)
    for _ in range(40):
        made.call(told(9.0), production=told(7.0))
    report = report_of(made.experiment.state(), made.judged)
    assert from_json(json.loads(json.dumps(to_json(report)))) == from_json(to_json(report))
    shown = text(report)
    for words in ("FAIL", "score=7", "worse", f"{205:032x}", "9 more like it", "production"):
        assert words in shown
    assert table.line(report).startswith("FAIL candidate: ")
