from __future__ import annotations

import numpy as np
import pytest

from sidecar.compare.readers.open_inference import OpenInferenceReader
from sidecar.demo.baseline import Constant, constant
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.processes import Process, python


def baseline(*outputs: str) -> Process:
    words = [word for output in outputs for word in ("--output", output)]
    return python("sidecar", "baseline", "--listen", "127.0.0.1:0", *words)


def asked(address: str, rows: int, *, raw: bool) -> oip.ModelInferResponse:
    import grpc

    request = oip.ModelInferRequest(model_name="any", id="7")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[rows, 2])
    if raw:
        request.raw_input_contents.append(np.zeros((rows, 2), np.float32).tobytes())
    else:
        tensor.contents.fp32_contents.extend([0.0] * rows * 2)
    with grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        answer: oip.ModelInferResponse = infer(request, timeout=20, wait_for_ready=True)
    return answer


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("class=0", Constant("class", "INT64", (0,))),
        ("score=0.5", Constant("score", "FP64", (0.5,))),
        ("items=[3, 1, 2]", Constant("items", "INT64", (3, 1, 2))),
        ("scores=[1, 0.5]", Constant("scores", "FP64", (1, 0.5))),
        ("label=cat", Constant("label", "BYTES", ("cat",))),
        ('label="0"', Constant("label", "BYTES", ("0",))),
    ],
)
def test_an_output_is_a_constant_or_a_fixed_list(text: str, read: Constant) -> None:
    assert constant(text) == read


@pytest.mark.parametrize("text", ["", "class", "=1", "class=", "x=[]", "x=[1, null]", 'x={"a": 1}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as|at least one value|of one kind"):
        constant(text)


def test_it_answers_the_same_for_every_row_raw_or_typed_as_it_was_asked() -> None:
    with baseline("class=4", "items=[3,1]", "label=cat") as process:
        address = process.wait_ready()["address"]
        answers = [asked(address, 3, raw=raw) for raw in (True, False)]
    for answer in answers:
        assert (answer.model_version, answer.id) == ("baseline", "7")
        read = OpenInferenceReader().read_response(answer.SerializeToString())
        found = {output.name: output.array.tolist() for output in read.outputs}
        assert found == {"class": [4] * 3, "items": [[3, 1]] * 3, "label": [b"cat"] * 3}
    assert [bool(answer.raw_output_contents) for answer in answers] == [True, False]


def test_what_is_wrong_on_its_command_line_ends_it_with_2() -> None:
    with baseline("class") as process:
        assert process.wait() == 2
