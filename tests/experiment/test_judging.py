from __future__ import annotations

import json

import numpy as np
import pytest

from sidecar.call import Observation, SkipReason
from sidecar.judge.counts import Coverage
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from sidecar.report.build import build
from sidecar.report.live import part_of
from sidecar.serve.convert import counts_message, part_of_message
from tests.house import DISAGREEMENT, FAILED, INFER, MS, House, answer, request, told


def test_equal_answers_pass_and_other_answers_fail() -> None:
    equal, other = House({}), House({})
    for _ in range(300):
        equal.call(told(1.0))
        other.call(told(2.0))
    assert (equal.state(), other.state()) == (State.PASS, State.FAIL)
    assert equal.judging.failures == other.judging.failures == 0


def test_a_control_has_no_judge_and_its_noise_is_taken_off() -> None:
    house = House({}, control=1.0)
    rng = np.random.default_rng(1)
    for noisy, controls in rng.random((600, 2)) < 0.3:
        house.call(told(2.0 if noisy else 1.0), control=told(2.0 if controls else 1.0))
    assert list(house.judging.shadows) == ["candidate"]
    assert house.state() is not State.FAIL


def test_coverage_leaves_out_what_the_operator_left_out_and_what_is_in_flight() -> None:
    house = House({})
    house.call(told(1.0))
    house.ledger.see()
    house.ledger.refuse(SkipReason.NOT_SAMPLED)
    house.ledger.refuse(SkipReason.QUEUE_FULL)
    assert house.judged.coverage == Coverage(1, 2)


def test_a_label_finds_its_call_by_the_requests_id_which_the_answer_echoes() -> None:
    accuracy = {
        "name": "right",
        "kind": "accuracy",
        "margin": 0.05,
        "decision": {"threshold": 0.5},
    }
    house = House({"criteria": [accuracy]})
    house.call(told(0.9), production=told(0.1, request_id="from-answer"))
    house.call(told(0.9), production=told(0.1))
    house.call(FAILED, production=told(0.1))
    assert house.judged.judge.wanted(9) == ["from-answer", "request-2", "request-3"]
    for name in ("from-answer", "request-3", "nobody"):
        house.judging.label(Label(name, 0))
    assert house.judged.judge.label_fates == {"joined": 2, "early": 1}


def test_or_by_a_field_of_metadata_or_by_the_trace() -> None:
    for rule, expected in (
        ("metadata:x-id", "mine"),
        ("trace_id", f"{1:032x}"),
        ("request_id", "request-1"),
    ):
        house = House({"labels": {"correlation": rule}})
        house.call(told(2.0), metadata=(("x-id", "mine"),))
        (worst,) = house.judged.judge.worst("same")
        assert worst.note.identity == expected
        assert worst.note.trace_ids == (f"{1:032x}", f"{1:032x}")
        assert worst.note.unix_ns == 1_001 * MS + 5


def test_values_are_read_for_calls_worth_a_look_and_only_where_they_are_allowed() -> None:
    silent, talking = (
        House({"examples": examples, "worst": 1, "sample": 0})
        for examples in ({}, {"values": True, "reveal_inputs": ["age"]})
    )
    for house in (silent, talking):
        house.call(told(2.0))
    (plain,), (shown,) = (h.judged.judge.worst("same") for h in (silent, talking))
    assert (plain.note.values, plain.note.inputs) == ((), ())
    assert shown.note.values == (("\u2022\u2022\u2022",) * 2,)
    assert shown.note.inputs == (("age", "[1]"),)
    # What is shown decides nothing, so such counts can be added.
    rules = {h.judged.judge.snapshot(h.now_ns, Coverage(1, 1)).rules for h in (silent, talking)}
    assert len(rules) == 1


def test_slices_come_from_metadata_method_model_request_and_productions_answer() -> None:
    sources = ("metadata:tier", "method", "model", "field:age", "class:score")
    slices = [{"source": s, "name": s.partition(":")[0]} for s in sources]
    slices[3]["bins"] = [10.0, 20.0]  # type: ignore[assignment]  # pydantic reads it
    house = House({"slices": slices})
    for _ in range(2):
        house.call(told(1.0), metadata=(("tier", "gold"),), message=request(1, age=15.0))
        house.now_ns += 2_000 * MS  # identical requests within a second count once
    cells = house.judged.judge.snapshot(house.now_ns, Coverage(2, 2)).cells
    assert {key.slice for key in cells} == {
        "",
        *(f"{name}=(other)" for name in ("metadata", "method", "model", "field", "class")),
        "metadata=gold",
        f"method={INFER}",
        "model=m",
        "field=10 to 20",
        "class=1",
    }


def test_identical_requests_within_a_second_count_once() -> None:
    house = House({})
    for _ in range(5):
        house.call(told(1.0))
    verdict = house.judged.evaluate(house.now_ns)
    assert (verdict.calls, verdict.events["repeats"]) == (5, 0)
    for _ in range(5):
        house.call(told(1.0), message=request(0))
    verdict = house.judged.evaluate(house.now_ns)
    assert (verdict.calls, verdict.events["repeats"]) == (6, 4)


def test_a_control_that_runs_the_candidates_version_excuses_nothing() -> None:
    latency = {"name": "slow", "kind": "latency_ratio", "margin": 0.1, "quantile": 0.5}
    house = House({"criteria": [DISAGREEMENT, latency]}, control=1.0)
    for _ in range(600):
        harm = told(2.0, 90, version="7")
        house.call(harm, control=harm)
    verdict = house.judged.evaluate(house.now_ns)
    assert verdict.state is State.WATCHING
    assert "600 answers were another version's than production's" in verdict.reason
    assert [c.state for c in verdict.criteria] == [State.WATCHING] * 2


def test_blocks_count_every_call_of_an_input_that_is_asked_for_again_and_again() -> None:
    errors = {"name": "errors", "kind": "shadow_error_rate", "margin": 0.05}
    house = House({"criteria": [errors], "independent_calls": False})
    for i in range(20):
        house.call(FAILED if i % 2 else told(1.0), message=request(0))
    (found,) = house.judged.evaluate(house.now_ns).criteria
    assert (found.n, found.estimate) == (20, 0.5)


def test_versions_come_from_answers_else_their_metadata_else_settings() -> None:
    house = House({"version_metadata": "x-version", "production_version": "7"}, version="8")
    silent = Observation(0, "", (answer(1.0, version=""),), 0, MS)
    house.call(silent, production=silent)
    assert house.judged.evaluate(house.now_ns).models == {"production m": "7", "shadow m": "8"}
    house.call(
        Observation(0, "", silent.messages, 0, MS, headers=(("x-version", "9"),)),
        production=silent,
    )
    verdict = house.judged.evaluate(house.now_ns)
    assert verdict.models == {"production m": "7", "shadow m": "9"}
    assert verdict.calls == 1


def test_a_budget_that_is_used_up_ends_the_shadow_at_the_next_sweep() -> None:
    house = House({"max_calls": 3})
    for _ in range(3):
        house.call(told(1.0))
    assert not house.judging.ended("candidate")
    house.judging.sweep()
    assert house.judging.ended("candidate")
    assert house.judging.all_ended
    assert house.judging.ended("noise")  # a control ends with the last shadow


def test_a_verdict_is_evaluated_at_most_once_a_second_and_its_changes_are_logged() -> None:
    house = House({})
    house.judging.sweep()
    for _ in range(300):
        house.call(told(1.0))
    states = []
    for _ in range(2):
        house.judging.sweep()
        states.append(house.judged.verdict.state)
        house.now_ns += 1_000 * MS
    assert states == [State.WATCHING, State.PASS]
    (line,) = map(json.loads, house.told.getvalue().splitlines())
    assert (line["event"], line["shadow"], line["state"]) == ("verdict", "candidate", "PASS")


def test_evidence_restarts_when_the_controls_fraction_changes() -> None:
    house = House({}, control=0.5)
    house.call(told(1.0))
    house.judging.change(house.settings)
    assert house.judged.evaluate(house.now_ns).calls == 1
    candidate, noise = house.settings.shadows
    more = noise.model_copy(update={"fraction": 0.25})
    house.judging.change(house.settings.model_copy(update={"shadows": (candidate, more)}))
    assert house.judged.evaluate(house.now_ns).calls == 0
    assert house.judging.control_fraction == 0.25


def test_a_call_that_cannot_be_counted_is_told_once_and_ends_nothing() -> None:
    house = House({})

    def broken(_shadow: str, _pair: object) -> None:
        raise ZeroDivisionError

    house.judging.listeners.append(broken)
    for _ in range(3):
        house.call(told(1.0))
    assert house.judging.failures == 3
    assert house.told.getvalue().count("not_judged") == 1


def test_a_control_that_a_new_configuration_leaves_out_changes_nothing_until_a_restart() -> None:
    house = House({}, control=0.5)
    house.call(told(1.0))
    without = house.settings.model_copy(update={"shadows": house.settings.shadows[:1]})
    house.judging.change(without)
    assert house.judging.control_fraction == 0.5
    assert house.judged.evaluate(house.now_ns).calls == 1


def test_of_a_few_calls_a_second_the_distributions_are_told_through_the_whole_loop() -> None:
    """A shadow that is 0.5 higher; calls come each millisecond, and ten a second are looked at."""
    decision = {"name": "flips", "kind": "decision_flips", "margin": 0.1, "outputs": "score"}
    house = House(
        {
            "criteria": [{**decision, "decision": {"threshold": 1.2}}],
            "drift": {"inputs": ["age"], "calls_per_second": 10},
        }
    )
    for _ in range(1000):
        house.call(told(1.5), production=told(1.0))
    judged = house.judging.shadows["candidate"]
    part = part_of_message(counts_message(part_of(house.experiment.state(), judged)), "")
    found = build([part], 0.0).drift
    assert 9 <= found.calls <= 11
    (row,) = found.outputs
    assert row.name == "score"
    assert row.wasserstein == pytest.approx(0.5, rel=0.2), "a bucket is 9 % wide"
    assert found.confusions[0].classes == ("0", "1")
    assert found.confusions[0].counts[0][1] == found.calls
    assert part.distributions.first["age"].n == found.calls
