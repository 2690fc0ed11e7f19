"""Calls whose shadow cannot be read count where production's answer tells what they are."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.call import Observation
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.house import ACCURACY, FAILED, MS, House


def says(request_id: str, **outputs: float) -> Observation:
    message = oip.ModelInferResponse(model_name="m", model_version="1", id=request_id)
    for name, value in outputs.items():
        message.outputs.add(name=name, datatype="FP64", shape=[1])
        message.raw_output_contents.append(np.float64(value).tobytes())
    return Observation(0, "", (message.SerializeToString(),), 0, MS)


@pytest.mark.parametrize(("other", "state"), [("boxes", State.PASS), ("score", State.FAIL)])
@pytest.mark.parametrize("labels", ["sample", "disagreements"])
def test_a_call_of_other_outputs_is_none_of_those_that_wait_for_a_label(
    other: str, state: State, labels: str
) -> None:
    house = House({"min_calls": 100, "criteria": [ACCURACY | {"labels": labels}]})
    garbled = Observation(0, "", (b"\xff",), 0, MS)
    for i in range(600):
        house.call(says(f"r{i}", score=0.9), production=says(f"r{i}", score=0.9))
        house.call(garbled, production=says(f"o{i}", **{other: 0.9}))
        for one in (f"r{i}", f"o{i}"):
            house.experiment.label(Label(one, 1))
    found = house.judged.evaluate(house.now_ns)
    assert found.state is state, found.reason


@pytest.mark.parametrize("bad", [FAILED, Observation(0, "", (b"\xff",), 0, MS)])
def test_a_call_that_the_shadow_fails_is_named_by_the_id_of_productions_answer(
    bad: Observation,
) -> None:
    """As with servers that give an id to who sent none: else only good calls had a label."""
    house = House({"min_calls": 100, "criteria": [ACCURACY | {"labels": "sample"}]})
    for i in range(600):
        good = says(f"r{i}", score=0.9)
        house.call(bad if i % 3 == 0 else good, production=good)
        assert house.experiment.label(Label(f"r{i}", 1)) == ""
    found = house.judged.evaluate(house.now_ns)
    assert found.events["joined"] == 600
    assert found.state is State.FAIL, found.reason
