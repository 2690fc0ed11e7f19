from __future__ import annotations

from sidecar.call import SkipReason
from sidecar.report.build import build
from sidecar.report.live import part_of, report_of
from sidecar.report.notices import noise_rules, noisy, of_late_labels, of_sums, rules_text
from sidecar.report.report import OutputRow
from sidecar.wire.records import Kind
from tests.house import House, told


def row(name: str, differ: int, noise: bool) -> OutputRow:
    return OutputRow(name, 600 - differ, differ, {"value": differ}, 1.0, noise)


def test_noise_is_named_with_the_rule_that_ignores_it() -> None:
    outputs = [row("meta.took_us", 600, True), row("label", 6, False)]
    (said,) = of_sums(outputs, {})
    assert "meta.took_us (600 of 600 calls) differs in nearly every call" in said
    assert "shadow-sidecar rules suggest --apply" in said
    assert "label" not in said
    assert noise_rules(outputs) == ["meta.took_us"]
    assert rules_text(["meta.took_us"]) == (
        'compare:\n  rules:\n    - {output: "meta.took_us", rule: ignore}'
    )


def test_both_halves_of_a_timestamp_are_one_rule() -> None:
    halves = [row("meta.at.nanos", 600, True), row("meta.at.seconds", 40, False)]
    assert noise_rules(halves) == ["meta.at.*"]


def test_a_criterion_that_no_output_is_about_is_said_with_the_outputs_that_there_are() -> None:
    house = House(
        {
            "criteria": [
                {"name": "typo", "kind": "disagreement", "outputs": "lable", "margin": 0.1},
                {"name": "well", "kind": "disagreement", "outputs": "*", "margin": 0.1},
            ]
        }
    )
    for _ in range(30):
        house.call(told(1.0))
    (said,) = build([part_of(house.experiment.state(), house.judged)], 1.0).notices
    assert said.startswith("typo is about none of the 30 calls: `outputs: lable` is no output")
    assert said.endswith("there are score")


def test_a_candidate_that_differs_in_everything_is_not_noise() -> None:
    assert noisy([row("label", 600, True), row("score", 600, True)]) == []
    assert of_sums([row("label", 600, True)], {}) == []


def test_answers_compared_as_bytes_are_said_with_the_ways_out() -> None:
    assert "those whose bytes differed" in of_sums([], {}, 7)[0]
    (said,) = of_sums([], {f"/p.S/M{i}": 5 for i in range(5)})
    assert "/p.S/M0, /p.S/M1, /p.S/M2 and 2 more were compared as bytes (25 calls)" in said
    for way in ("compare.descriptors", "--descriptor_set_out", "reflection"):
        assert way in said


def test_a_rate_limit_that_leaves_out_a_large_share_is_said() -> None:
    house = House({})
    for _ in range(90):
        house.call(told(1.0))

    def said() -> list[str]:
        report = build([part_of(house.experiment.state(), house.judged)], 1.0)
        return [notice for notice in report.notices if "shadows[].rate" in notice]

    for _ in range(9):
        house.ledger.refuse(SkipReason.RATE_LIMITED)
    assert said() == []
    house.ledger.refuse(SkipReason.RATE_LIMITED)
    (notice,) = said()
    assert notice.startswith("10 calls (10%) were over shadows[].rate, which keeps the first calls")


def test_traffic_that_cannot_be_read_is_said_with_its_reason() -> None:
    house = House({})
    house.call(told(1.0))
    for number in range(100):
        house.experiment.connections.out_of_sight(
            number, Kind.OPAQUE, f"reason {min(number, 40) // 20}"
        )
    state = house.experiment.state()
    assert state.opaque == {"reason 0": 20, "reason 1": 20, "reason 2": 60}
    notices = build([part_of(state, house.judged)], 1.0).notices
    assert sum("cannot be read (reason " in notice for notice in notices) == 3
    for number in range(100):
        house.experiment.connections.out_of_sight(number, Kind.OPAQUE, f"hostile {number}")
    assert len(house.experiment.state().opaque) <= 9


def test_a_latency_that_decides_without_a_control_is_said_with_what_was_measured() -> None:
    criterion = {"name": "p50", "kind": "latency_ratio", "margin": 0.2, "required": True}
    trusting = {"criteria": [criterion], "latency": {"trust": "direct"}}
    for house, expected in ((House(trusting), 1), (House(trusting, control=1.0), 0)):
        house.call(told(1.0))
        notices = build([part_of(house.experiment.state(), house.judged)], 1.0).notices
        assert sum("a latency decides without a control" in n for n in notices) == expected
        assert sum("identical servers were shown" in n for n in notices) == expected


def test_labels_that_came_too_late_are_counted() -> None:
    assert of_late_labels(0) == []
    (said,) = of_late_labels(7)
    assert said.startswith("7 labels came too late")
    assert of_late_labels(1)[0].startswith("1 label came too late")


def test_a_sidecar_with_nothing_to_say_says_nothing() -> None:
    house = House({})
    house.call(told(1.0))
    assert build([part_of(house.experiment.state(), house.judged)], 1.0).notices == ()


def test_calls_left_out_by_a_pause_are_told_of_where_they_are_many() -> None:
    house = House({})
    for _ in range(91):
        house.call(told(1.0))
    for calls in (10, 1):
        assert report_of(house.experiment.state(), house.judged).notices == ()
        for _ in range(calls):
            house.ledger.refuse(SkipReason.PAUSED)
    (said,) = report_of(house.experiment.state(), house.judged).notices
    assert said.startswith("11 calls (11%) came while shadowing was paused")
