from __future__ import annotations

import itertools
import json

import pytest

from sidecar.report import table
from sidecar.report.as_json import from_json, to_json
from sidecar.report.build import build, empty_report
from sidecar.report.live import part_of, report_of
from sidecar.report.report import CallInput
from sidecar.serve.convert import counts_message, part_of_message
from tests.house import FAILED, told
from tests.report.parts import house, part, text

TIGHT = {"criteria": [{"name": "same", "kind": "disagreement", "margin": 0.01, "required": True}]}


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


def test_nobody_to_ask_is_inconclusive() -> None:
    report = empty_report({"10.0.0.9:9096": "UNAVAILABLE"}, 1.0)
    assert report.exit_code == 4
    assert "1 sidecar could not be asked" in table.line(report)
    assert set(to_json(report)) == set(to_json(build([part(house(1))], 1.0)))
    with pytest.raises(ValueError, match="at least one part"):
        build([], 1.0)


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
