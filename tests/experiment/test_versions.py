"""Answers of several versions under one name make several rows, and never a restart."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.call import Observation, SkipReason
from sidecar.experiment.judged import MOST_ROWS
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from sidecar.judge.versions import GONE_NS, Known, Versions, current
from sidecar.report.build import build
from sidecar.report.live import parts_of, report_of
from tests.house import FAILED, MS, House, told


def rows(house: House) -> list[tuple[str, str, int]]:
    """Versions and calls of each row, the current one first."""
    found = []
    for row in house.judged.rows:
        verdict = row.evaluate(house.now_ns)
        found.append((*row.known.versions, verdict.calls))
    return found


def serve(house: House, version: str, calls: int = 300, score: float = 1.0) -> None:
    for _ in range(calls):
        house.call(told(score, version=version))


def test_a_fail_of_one_version_stays_that_ones() -> None:
    house = House({})
    serve(house, "7", score=2.0)
    assert house.state() is State.FAIL
    serve(house, "8", 10)
    assert house.state() is State.WATCHING
    assert rows(house) == [("m:1", "m:8", 10), ("m:1", "m:7", 300)]
    serve(house, "8", 300)
    assert house.state() is State.PASS
    assert [row.verdict.state for row in house.judged.rows] == [State.PASS, State.FAIL]


def test_versions_that_answer_by_turns_are_counted_each_by_itself() -> None:
    house = House({})
    for i in range(400):
        house.call(told(2.0 if i % 2 else 1.0, version="8" if i % 2 else "7"))
    assert rows(house) == [("m:1", "m:8", 200), ("m:1", "m:7", 200)]
    assert [row.verdict.state for row in house.judged.rows] == [State.FAIL, State.PASS]


def test_productions_version_makes_a_row_too() -> None:
    house = House({})
    house.call(told(1.0, version="7"), production=told(1.0, version="1"))
    house.call(told(1.0, version="7"), production=told(1.0, version="2"))
    assert rows(house) == [("m:2", "m:7", 1), ("m:1", "m:7", 1)]


def test_going_back_to_an_old_pair_goes_on_where_it_was() -> None:
    house = House({})
    serve(house, "7", 40)
    serve(house, "8", 5)
    serve(house, "7", 40)
    # 8 may only be quiet: it is asked about until it has not answered for ten minutes.
    assert rows(house)[0] == ("m:1", "m:8", 5)
    house.now_ns += GONE_NS + MS
    serve(house, "7", 1)
    assert rows(house) == [("m:1", "m:7", 81), ("m:1", "m:8", 5)]


def test_an_answer_without_a_version_counts_with_the_only_one_that_answers() -> None:
    house = House({})
    serve(house, "7", 5)
    house.call(FAILED)
    serve(house, "8", 5)
    house.now_ns += GONE_NS
    serve(house, "8", 1)
    house.call(FAILED)
    house.call(told(1.0, version=""))
    assert rows(house) == [("m:1", "m:8", 8), ("m:1", "m:7", 6)]


def test_failures_while_two_versions_answer_are_neither_ones_and_lost_for_both() -> None:
    house = House({})
    serve(house, "7", 20)
    serve(house, "8", 20)
    for i in range(1200):
        house.call(FAILED if i % 4 == 0 else told(1.0, version="7" if i % 2 == 0 else "8"))
    assert rows(house) == [("m:1", "m:8", 620), ("m:1", "m:7", 320)]
    for row in house.judged.rows:
        assert row.verdict.state is State.INCONCLUSIVE, row.verdict.reason
        assert row.verdict.lost == {"version_untold": 300}
        assert row.coverage.eligible - row.coverage.compared == 300


def test_calls_before_any_version_was_told_belong_to_the_first_that_is() -> None:
    house = House({})
    house.call(FAILED, production=told(1.0, version=""))
    house.call(told(1.0, version=""), production=told(1.0, version="1"))
    serve(house, "7", 3)
    assert rows(house) == [("m:1", "m:7", 5)]


def verdicts(house: House) -> list[State]:
    """The headline, what gate says, and the page's, at one moment."""
    headline = house.state()
    gate = build(parts_of(house.experiment.state(), house.judged), 1.0).state
    return [headline, gate, report_of(house.experiment.state(), house.judged).state]


def test_a_fail_about_nobody_knows_whom_is_the_versions_that_is_told_next() -> None:
    # It may have been that version, and nobody else says that it was not.
    house = House({})
    for _ in range(300):
        house.call(FAILED, production=told(1.0, version="1"))
    assert verdicts(house) == [State.FAIL] * 3
    serve(house, "7", 600)
    assert rows(house) == [("m:1", "m:7", 900)]
    assert verdicts(house) == [State.FAIL] * 3
    serve(house, "8", 600)
    assert verdicts(house) == [State.PASS] * 3


def test_a_pass_about_nobody_knows_whom_is_not_the_first_versions() -> None:
    house = House({})
    serve(house, "", 300)
    assert house.state() is State.PASS
    serve(house, "7", 3)
    assert rows(house) == [("m:1", "m:7", 3), ("m:1", "", 300)]
    assert verdicts(house) == [State.WATCHING] * 3
    serve(house, "7", 300, score=2.0)
    assert verdicts(house) == [State.FAIL] * 3


def test_what_was_lost_counts_with_every_pair_that_answered_then() -> None:
    house = House({})
    serve(house, "7", 3)
    for _ in range(2):
        house.ledger.refuse(SkipReason.TAP_GAP)
    serve(house, "8", 5)
    house.ledger.refuse(SkipReason.QUEUE_FULL)
    house.judged.account()
    seen = [
        (row.known.versions.shadow, row.coverage[:3], row.epoch.skipped)
        for row in house.judged.rows
    ]
    assert seen == [
        ("m:8", (5, 6, 0), {"queue_full": 1}),
        ("m:7", (3, 6, 0), {"tap_gap": 2, "queue_full": 1}),
    ]


def test_a_label_finds_its_call_in_the_row_of_its_version() -> None:
    accuracy = {"name": "right", "kind": "accuracy", "margin": 0.05, "decision": {"threshold": 0.5}}
    house = House({"criteria": [accuracy]})
    house.call(told(0.9, version="7"), production=told(0.1))
    house.call(told(0.9, version="8"), production=told(0.1))
    house.judging.label(Label("request-1", 0))
    assert [row.judge.label_fates for row in house.judged.rows] == [{}, {"joined": 1}]
    assert house.judged.label_fates == {"joined": 1}


def test_a_version_that_is_a_clock_neither_fills_memory_nor_hides_calls() -> None:
    house = House({})
    for i in range(3 * MOST_ROWS):
        house.call(told(1.0, version=f"at-{i}"))
    assert len(house.judged.every_row) == MOST_ROWS
    assert house.judged.crowded == 2 * MOST_ROWS
    assert [row.judge.calls for row in house.judged.rows] == [1] * MOST_ROWS
    house.judged.evaluate(house.now_ns)
    assert house.judged.verdict.lost == {"version_crowded": 2 * MOST_ROWS}


def test_a_version_that_there_is_no_room_for_does_not_inherit_anothers_pass() -> None:
    house = House({})
    for i in range(MOST_ROWS):
        serve(house, str(i), 300 if i == MOST_ROWS - 1 else 3)
    assert verdicts(house) == [State.PASS] * 3
    serve(house, "one more", 8, score=2.0)
    assert house.judged.row.judge.calls == 300
    assert verdicts(house) == [State.INCONCLUSIVE] * 3
    assert "8 calls told versions beyond the 16" in house.judged.verdict.reason
    house.now_ns += GONE_NS + MS
    serve(house, "15", 1)
    assert house.state() is State.PASS  # nobody has heard of that version for long


def test_without_a_store_a_version_long_gone_makes_room_and_a_fail_does_not() -> None:
    house = House({})
    serve(house, "bad", score=2.0)
    assert house.state() is State.FAIL
    for i in range(2 * MOST_ROWS):
        house.now_ns += 60_000 * MS
        serve(house, str(i), 3)
        house.judging.sweep()
    assert house.judged.crowded == 0
    assert len(house.judged.every_row) == MOST_ROWS
    assert [row.known.versions.shadow for row in house.judged.every_row if row.fails] == ["m:bad"]
    house.now_ns += 60_000 * MS
    serve(house, "bad", 1)
    assert house.state() is State.FAIL


def test_without_a_store_other_rules_after_a_decision_are_another_attempt() -> None:
    house = House({})
    serve(house, "7", score=2.0)
    assert house.state() is State.FAIL
    (shadow,) = house.settings.shadows
    slower = shadow.model_copy(update={"deadline_seconds": 3.0})
    house.judging.change(house.settings.model_copy(update={"shadows": (slower,)}))
    assert house.judged.judge.attempt == 2
    serve(house, "7")
    assert report_of(house.experiment.state(), house.judged).attempt == 2


def test_evidence_under_other_rules_is_its_own_and_waits() -> None:
    house = House({})
    serve(house, "7", 30)
    (shadow,) = house.settings.shadows
    slower = house.settings.model_copy(
        update={"shadows": (shadow.model_copy(update={"deadline_seconds": 9.0}),)}
    )
    house.judging.change(slower)
    assert rows(house) == [("m:1", "m:7", 0)]
    serve(house, "7", 3)
    assert rows(house) == [("m:1", "m:7", 3)]
    house.judging.change(house.settings)
    assert rows(house) == [("m:1", "m:7", 30)]
    serve(house, "7", 1)
    assert rows(house) == [("m:1", "m:7", 31)]


@pytest.mark.parametrize(
    ("production", "shadow", "text"),
    [
        ({}, {}, ("", "")),
        ({"": "7"}, {"m": "8"}, ("7", "m:8")),
        ({"b": "2", "a": "1"}, {"a:b": "3"}, ("a:1 b:2", "a:b:3")),
    ],
)
def test_versions_as_text_and_back(
    production: dict[str, str], shadow: dict[str, str], text: tuple[str, str]
) -> None:
    known = Known(production, shadow)
    assert known.versions == text
    assert Known.of(Versions(*text)) == known


@pytest.mark.parametrize(
    ("seen", "chosen"),
    [
        ([(0, 9)], 0),
        ([(0, 9), (5, 9)], 1),
        ([(5, 9), (5, 9)], 0),
        ([(0, GONE_NS + 10), (5, 9)], 0),
        ([(0, GONE_NS + 9), (5, 9)], 1),
    ],
)
def test_the_current_pair_came_up_last_and_still_answers(
    seen: list[tuple[int, int]], chosen: int
) -> None:
    assert current(seen) == chosen


def test_several_models_behind_one_server_are_one_pair_until_one_changes() -> None:
    house = House({})

    def call(name: str, version: str) -> None:
        house.call(_answer(name, version), production=_answer(name, "1"))

    for name, version in (("a", "7"), ("b", "7"), ("a", "7"), ("b", "7")):
        call(name, version)
    assert rows(house) == [("a:1 b:1", "a:7 b:7", 4)]
    call("a", "8")
    call("b", "7")
    call("a", "7")
    assert rows(house) == [("a:1 b:1", "a:8 b:7", 2), ("a:1 b:1", "a:7 b:7", 5)]


def _answer(name: str, version: str) -> Any:

    from sidecar.pb.inference import open_inference_pb2 as oip

    message = oip.ModelInferResponse(model_name=name, model_version=version)
    return Observation(0, "", (message.SerializeToString(),), 0, MS)


@pytest.mark.parametrize(("seven", "eight"), [(2.0, 1.0), (1.0, 2.0)])
def test_after_a_rollback_report_and_gate_are_about_the_same_versions_as_the_headline(
    seven: float, eight: float
) -> None:
    house = House({})
    serve(house, "7", score=seven)
    house.state()
    serve(house, "8", score=eight)
    house.state()
    for _ in range(13):
        house.now_ns += GONE_NS // 10
        serve(house, "7", 2, score=seven)
    headline = house.judged.evaluate(house.now_ns)
    asked = build(parts_of(house.experiment.state(), house.judged), 1.0)
    page = report_of(house.experiment.state(), house.judged)
    assert headline.models["shadow m"] == "7"
    assert asked.state is headline.state
    for report in (asked, page):
        assert (report.versions[0].shadow, report.versions[0].state) == ("m:7", headline.state)
        assert report.verdict.models == headline.models
    # 8 comes back, and is what is asked about again.
    serve(house, "8", 1, score=eight)
    assert house.judged.row.known.versions.shadow == "m:8"
    assert build(parts_of(house.experiment.state(), house.judged), 1.0).state is house.state()


def test_a_stream_of_another_length_counts_with_the_versions_that_it_tells() -> None:
    house = House({})
    serve(house, "7", 20)
    serve(house, "8", 20)
    message = told(1.0, version="7").messages[0]
    house.call(Observation(0, "", (message, message), 0, 2 * MS))
    assert rows(house) == [("m:1", "m:8", 20), ("m:1", "m:7", 21)]


def test_other_rules_have_a_row_of_their_own_however_many_there_were() -> None:
    house = House({})
    (shadow,) = house.settings.shadows
    for i in range(MOST_ROWS + 4):
        slower = shadow.model_copy(update={"deadline_seconds": 3.0 + i})
        house.judging.change(house.settings.model_copy(update={"shadows": (slower,)}))
        assert rows(house)[0][2] == 0
        serve(house, "7", 2)
        assert rows(house) == [("m:1", "m:7", 2)]


# ---- what is lost beside several versions --------------------------------------------------------


def test_calls_lost_while_a_canary_of_production_answered_are_the_others_too() -> None:
    house = House({})
    for i in range(300):
        version = "2" if i % 50 == 0 else "1"
        house.call(told(1.0, version="7"), production=told(1.0, version=version))
        if i % 2:
            house.ledger.refuse(SkipReason.EXPIRED)
    house.judged.account(house.now_ns)
    house.now_ns += GONE_NS + MS  # the canary has ended
    for _ in range(10):
        house.call(told(1.0, version="7"), production=told(1.0, version="1"))
    assert house.state() is State.INCONCLUSIVE
    verdict = house.judged.evaluate(house.now_ns)
    assert (verdict.models["production m"], verdict.lost) == ("1", {"expired": 150})


def test_what_was_left_out_by_choice_is_counted_once() -> None:
    house = House({})
    house.call(told(1.0, version="7"), production=told(1.0, version="1"))
    house.call(told(1.0, version="7"), production=told(1.0, version="2"))
    house.ledger.refuse(SkipReason.NOT_SAMPLED)
    house.judged.account(house.now_ns)
    assert [row.epoch.skipped.get(SkipReason.NOT_SAMPLED, 0) for row in house.judged.rows] == [1, 0]


@pytest.mark.parametrize("told_by_production", [True, False])
def test_a_shadow_of_one_version_that_fails_beside_two_of_production_fails(
    told_by_production: bool,
) -> None:
    criteria = [{"name": "up", "kind": "shadow_error_rate", "margin": 0.05, "required": True}]
    house = House({"criteria": criteria})
    for i in range(600):
        production = told(1.0, version="12"[i // 2 % 2])
        if i % 2:
            house.call(
                FAILED, production=production if told_by_production else told(1.0, version="")
            )
        else:
            house.call(told(1.0, version="7"), production=production)
    assert house.state() is State.FAIL


def test_an_error_is_its_production_versions_where_that_one_answered() -> None:
    house = House({})
    for version in "12":
        house.call(told(1.0, version="7"), production=told(1.0, version=version))
    for _ in range(20):
        house.call(FAILED, production=told(1.0, version="1"))
    assert rows(house) == [("m:2", "m:7", 1), ("m:1", "m:7", 21)]
