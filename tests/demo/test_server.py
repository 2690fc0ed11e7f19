"""The demo's server, asked by the demo's client and by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from sidecar.demo.client import METHOD, request_of, send
from sidecar.demo.data import digits
from sidecar.demo.models import production
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.processes import python


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with python("sidecar.demo.server", "--model", "production") as server:
        yield server.wait_ready()["address"]


def _infer(address: str, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    with grpc.insecure_channel(address) as channel:
        call: grpc.UnaryUnaryMultiCallable[oip.ModelInferRequest, oip.ModelInferResponse]
        call = channel.unary_unary(
            METHOD,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        return call(request, timeout=10)


def test_the_client_gets_the_models_own_answers_in_the_images_order(address: str) -> None:
    data = digits()
    images, labels = data.images[:50], data.labels[:50]
    answers = asyncio.run(send(address, images, labels, in_flight=8))
    expected = production().probabilities(images).argmax(axis=1).tolist()
    assert [answer.predicted for answer in answers] == expected
    assert [answer.label for answer in answers] == labels.tolist()
    assert len({answer.trace_id for answer in answers}) == 50


def test_trace_ids_come_from_the_draw_that_is_given(address: str) -> None:
    data = digits()

    def once() -> list[str]:
        coroutine = send(
            address, data.images[:3], data.labels[:3], in_flight=1, draw=random.Random(7)
        )
        return [answer.trace_id for answer in asyncio.run(coroutine)]

    assert once() == once()


def test_a_call_that_fails_is_an_answer_without_a_prediction(address: str) -> None:
    images = np.zeros((2, 7), np.float32)  # seven pixels are no image
    answers = asyncio.run(send(address, images, np.zeros(2, np.int64)))
    assert [answer.predicted for answer in answers] == [None, None]


def test_typed_contents_are_answered_typed(address: str) -> None:
    image = digits().images[0]
    raw = _infer(address, request_of(image, 1))
    request = request_of(image, 1)
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend(image.tolist())
    typed = _infer(address, request)
    assert (typed.model_name, typed.model_version, typed.id) == ("digits", "1", "1")
    assert [output.name for output in typed.outputs] == ["probabilities", "class"]
    assert not typed.raw_output_contents
    np.testing.assert_array_equal(
        np.asarray(typed.outputs[0].contents.fp32_contents, np.float32),
        np.frombuffer(raw.raw_output_contents[0], np.float32),
    )


def test_another_models_name_is_not_found(address: str) -> None:
    request = request_of(digits().images[0], 1)
    request.model_name = "letters"
    with pytest.raises(grpc.RpcError) as failure:
        _infer(address, request)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
