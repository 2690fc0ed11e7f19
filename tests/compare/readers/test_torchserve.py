"""TorchServe's Predictions: bytes that a handler made, and an error within a stream."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.compare.comparer import Comparer
from sidecar.compare.payload import MAX_OUTPUTS, UndecodableError
from sidecar.compare.readers.registry import Registry
from sidecar.compare.readers.torchserve import MAX_ERROR, TorchServeReader
from sidecar.compare.result import Outcome
from sidecar.compare.settings import CompareSettings
from sidecar.pb.inference import torchserve_pb2 as pb
from tests.compare.messages import answer

READER = TorchServeReader()
SERVICE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService"
METHODS = [f"{SERVICE}/{m}" for m in ("Predictions", "StreamPredictions", "StreamPredictions2")]


def prediction(data: bytes, code: int = 0, message: str = "") -> bytes:
    status = pb.Status(code=code, message=message)
    return pb.PredictionResponse(prediction=data, status=status).SerializeToString()


def read(message: bytes) -> dict[str, tuple[str, Any]]:
    return {o.name: (o.dtype, o.array.tolist()) for o in READER.read_response(message).outputs}


def test_every_field_number_of_an_answer_is_the_specifications() -> None:
    """Bytes written by hand from the specification, not by our own generated code."""
    message = (
        b"\x0a\x04[.9]"  # 1 prediction
        b"\x12\x02s1"  # 2 sequenceId
    )
    assert read(message) == {"prediction": ("BYTES", b"[.9]")}
    assert READER.read_response(message).request_id == "s1"
    failed = b"\x1a\x07\x08\x0d\x12\x03bad"  # 3 status: google.rpc.Status, 1 code, 2 message
    assert READER.read_response(failed).error == "bad"
    assert READER.read_response(failed).outputs == ()


def test_every_field_number_of_a_request_is_the_specifications() -> None:
    request = READER.read_request(
        b"\x0a\x01m"  # 1 model_name
        b"\x12\x031.0"  # 2 model_version
        b"\x1a\x09\x0a\x04data\x12\x01x"  # 3 input: 1 key, 2 value
        b"\x22\x02s1"  # 4 sequenceId
    )
    assert (request.model, request.request_id) == ("m:1.0", "s1")
    assert [(o.name, o.array.tolist()) for o in request.outputs] == [("data", b"x")]


def test_an_answer_without_bytes_is_an_empty_element() -> None:
    assert read(b"") == {"prediction": ("BYTES", b"")}


def test_an_error_says_its_code_where_it_has_no_words_and_is_cut() -> None:
    assert READER.read_response(prediction(b"", 5)).error == "code 5"
    assert READER.read_response(prediction(b"", 5, "x" * 999)).error == "x" * MAX_ERROR


def test_more_inputs_than_are_compared_are_not_read() -> None:
    request = pb.PredictionsRequest(input={str(i): b"" for i in range(MAX_OUTPUTS + 1)})
    with pytest.raises(UndecodableError, match="4097 inputs"):
        READER.read_request(request.SerializeToString())


@pytest.mark.parametrize("method", METHODS)
def test_json_is_compared_by_what_it_says_and_an_error_within_a_stream_is_one(method: str) -> None:
    rules = [{"output": "prediction", "rule": "json", "atol": 0.01}]
    comparer = Comparer(CompareSettings.model_validate({"rules": rules}), Registry())
    ours = prediction(b'{"cat": 0.9, "dog": 0.1}')

    def outcome(theirs: bytes) -> Outcome:
        return comparer.examine(method, (), answer(ours), answer(theirs)).comparison.outcome

    assert outcome(prediction(b'{"dog":0.1, "cat":0.9}')) is Outcome.EQUAL
    assert outcome(prediction(b'{"cat": 0.1, "dog": 0.9}')) is Outcome.VALUE
    assert outcome(prediction(b"", 13, "no worker")) is Outcome.SHADOW_ERROR
    assert outcome(b"\xff") is Outcome.UNDECODABLE
