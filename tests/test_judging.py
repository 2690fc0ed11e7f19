from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from sidecar.app import Pair
from sidecar.call import CallKey, Observation, SkipReason, Started
from sidecar.compare.comparer import Comparer
from sidecar.compare.registry import Registry
from sidecar.config import Settings
from sidecar.judge.counts import Coverage
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from sidecar.judging import Judging
from sidecar.ledger import Ledger
from sidecar.log import Log
from sidecar.pb.inference import open_inference_pb2 as oip
from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.plan import SpanPlan

INFER = "/inference.GRPCInferenceService/ModelInfer"
MS = 1_000_000
DISAGREEMENT = {"name": "same", "kind": "disagreement", "margin": 0.05, "required": True}


def request(number: int, **inputs: float) -> bytes:
    """One request with an id and inputs of one number each."""
    message = oip.ModelInferRequest(model_name="m", id=f"request-{number}")
    for name, value in inputs.items():
        tensor = message.inputs.add(name=name, datatype="FP64", shape=[1])
        tensor.contents.fp64_contents.append(value)
    return message.SerializeToString()


def answer(score: float, *, version: str = "1", request_id: str = "") -> bytes:
    message = oip.ModelInferResponse(model_name="m", model_version=version, id=request_id)
    message.outputs.add(name="score", datatype="FP64", shape=[1])
    message.raw_output_contents.append(np.float64(score).tobytes())
    return message.SerializeToString()


class House:
    """The parts around the judge, and a clock that the test turns."""

    def __init__(self, judge: dict[str, Any], control: float = 0.0, **shadow: Any) -> None:
        shadows = [{"name": "candidate", "address": "127.0.0.1:1", **shadow}]
        if control:
            row = {"name": "noise", "address": "127.0.0.1:2", "role": "control"}
            shadows.append({**row, "fraction": control})
        given = {"criteria": [DISAGREEMENT], "min_duration_seconds": 0, "min_calls": 1} | judge
        self.settings = Settings.model_validate({"shadows": shadows, "judge": given})
        self.now_ns = 1_000 * MS
        self.ledger = Ledger([(s.name, s.role) for s in self.settings.shadows])
        self.comparer = Comparer(self.settings.compare, Registry())
        self.told = io.StringIO()
        self.judging = Judging(
            self.settings,
            self.ledger,
            self.comparer,
            lambda: self.now_ns,
            Log("test", self.told),
            instance="pod",
            unix_offset_ns=5,
        )
        self.calls = 0

    def call(
        self,
        shadow: Observation,
        *,
        production: Observation | None = None,
        control: Observation | SkipReason = SkipReason.NOT_SAMPLED,
        metadata: tuple[tuple[str, str], ...] = (),
        message: bytes | None = None,
    ) -> None:
        """One call from its header to its judgement."""
        self.calls += 1
        self.now_ns += MS
        number = self.calls
        key = CallKey(1, 2 * number + 1)
        context = TraceContext(number, number, False)
        pair = Pair(
            Started(key, INFER, "model", metadata, "10.0.0.1:9", self.now_ns),
            self.ledger.see(),
            plan=SpanPlan("joined", None, context, {"candidate": context}),
            request=(message or request(number, age=float(number)),),
            production=production or told(1.0),
        )
        answers: dict[str, Observation | SkipReason] = {"candidate": shadow}
        if "noise" in self.ledger.index:
            answers["noise"] = control
        for name, found in answers.items():
            if isinstance(found, SkipReason):
                pair.entry.skip(name, found)
                continue
            assert pair.production is not None
            examined = self.comparer.examine(INFER, pair.request, pair.production, found)
            pair.shadowed[name], pair.compared[name] = found, examined.comparison
            pair.entry.compare(name, examined.comparison, pair.production, found)
            self.judging.keep(pair, name, examined)
        self.judging.judge(pair)

    @property
    def judged(self) -> Any:
        return self.judging.shadows["candidate"]

    def state(self) -> State:
        state: State = self.judged.evaluate(self.now_ns).state
        return state


def told(score: float, latency_ms: int = 2, **given: Any) -> Observation:
    """An answer that came after so many milliseconds."""
    return Observation(0, "", (answer(score, **given),), 0, latency_ms * MS)


FAILED = Observation(14, "gone", (), 0, MS)


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
    assert (verdict.calls, verdict.events["restarts"]) == (1, 1)


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
