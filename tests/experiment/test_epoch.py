"""What is shown beside a verdict covers the calls that the verdict rests on, and no others."""

from __future__ import annotations

from typing import Any

from sidecar.call import CallKey, Observation, SkipReason
from sidecar.compare.result import Comparison, Outcome
from sidecar.experiment.epoch import METHODS, EpochCounts
from sidecar.judge.pair import JudgedPair
from sidecar.report.as_json import to_json
from sidecar.report.live import report_of
from tests.house import FAILED, MS, House, request, told

LATENCY = {"name": "p50", "kind": "latency_ratio", "quantile": 0.5, "margin": 0.2}
SAME = {"name": "same", "kind": "disagreement", "margin": 0.05, "required": True}


def report(house: House) -> dict[str, Any]:
    return to_json(report_of(house.experiment.state(), house.judged))


def test_another_version_begins_everything_again() -> None:
    house = House({"criteria": [SAME, LATENCY]})
    for _ in range(30):
        house.call(told(2.0, version="1"))
    house.ledger.refuse(SkipReason.SHED)
    before = report(house)
    assert before["outcomes"] == {"value": 30}
    assert before["skipped"] == {"shed": 1}
    for _ in range(20):
        house.call(told(1.0, version="2"))
    house.ledger.refuse(SkipReason.TAP_GAP)
    now = report(house)
    assert now["outcomes"] == {"equal": 20}
    assert now["skipped"] == {"tap_gap": 1}
    assert now["latency"]["shadow"]["count"] == now["latency"]["production"]["count"] == 20
    assert sum(point["compared"] for point in now["over_time"]["points"]) == 20
    assert [(o["agree"], o["differ"]) for o in now["outputs"]] == [(20, 0)]
    assert {c["n"] for c in now["verdict"]["criteria"]} == {20}
    assert now["verdict"]["coverage"] == 20 / 21  # the very first call of the new epoch included


def test_a_repeat_is_neither_evidence_nor_shown() -> None:
    house = House({"repeat_seconds": 60})
    for _ in range(7):
        house.call(told(1.0), message=request(1))
    shown = report(house)
    assert shown["verdict"]["calls"] == 1
    assert shown["outcomes"] == {"equal": 1}
    assert shown["latency"]["shadow"]["count"] == 1


def test_how_fast_a_dead_shadow_fails_is_no_latency() -> None:
    house = House({"criteria": [SAME, LATENCY]})
    for _ in range(10):
        house.call(FAILED)
    late = Observation(4, "deadline exceeded", (), 0, 900 * MS)
    house.call(late)
    shown = report(house)
    assert shown["outcomes"] == {"shadow_error": 11}
    assert shown["latency"]["shadow"]["count"] == 1  # a missed deadline took at least as long
    by_name = {c["name"]: c for c in shown["verdict"]["criteria"]}
    assert by_name["p50"]["n"] == 1
    assert by_name["p50"]["estimate"] is None  # and has no end
    assert shown["latency"]["shadow"]["endless"] == 1
    assert shown["latency"]["shadow"]["p50_ms"] is None
    assert house.ledger.shadows[0].latency.count == 1  # of /status and the metrics likewise


def test_a_new_fraction_of_the_control_begins_coverage_again_too() -> None:
    house = House({}, control=0.5)
    house.call(told(1.0))
    house.ledger.refuse(SkipReason.SHED)
    shadows = tuple(
        s.model_copy(update={"fraction": 0.25}) if s.role == "control" else s
        for s in house.settings.shadows
    )
    house.experiment.change(house.settings.model_copy(update={"shadows": shadows}))
    house.call(told(1.0))
    assert report(house)["verdict"]["coverage"] == 1.0
    assert report(house)["outcomes"] == {"equal": 1}


def test_what_differs_in_every_call_is_named_as_noise_and_what_differs_in_some_is_not() -> None:
    house = House({})
    for number in range(100):
        house.call(told(float(number), request_id=""), production=told(-1.0))
    (row,) = report(house)["outputs"]
    assert (row["name"], row["differ"], row["noise"]) == ("score", 100, True)
    for _ in range(10):
        house.call(told(1.0), production=told(1.0))
    (row,) = report(house)["outputs"]
    assert not row["noise"]


def test_answers_that_were_compared_as_bytes_are_counted_by_method_and_are_no_outputs() -> None:
    counts = EpochCounts(0)
    for number in range(3 * METHODS):
        found = Comparison(Outcome.VALUE, reader="opaque")
        counts.add(JudgedPair(CallKey(1, 1), f"/p.S/M{number}", 0, found), 0)
    assert len(counts.unread) == METHODS + 1
    assert sum(counts.unread.values()) == 3 * METHODS
    assert counts.outputs == {}
