"""Open Inference Protocol, version 2: typed and raw contents read the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.compare.payload import Array, UndecodableError
from sidecar.compare.readers.open_inference import OpenInferenceReader, OpenInferenceStreamReader
from sidecar.pb.inference import open_inference_pb2 as v2
from tests.compare.messages import infer, infer_response, raw_bytes

UNARY = OpenInferenceReader()
STREAM = OpenInferenceStreamReader()

# datatype, field of InferTensorContents, elements, the same as raw contents
TYPED: list[tuple[str, str, list[Any], bytes]] = [
    ("BOOL", "bool_contents", [True, False], b"\x01\x00"),
    ("INT8", "int_contents", [-128, 127], b"\x80\x7f"),
    ("INT16", "int_contents", [-2, 258], b"\xfe\xff\x02\x01"),
    ("INT32", "int_contents", [-2, 1], b"\xfe\xff\xff\xff\x01\x00\x00\x00"),
    ("INT64", "int64_contents", [-(2**63), 1], b"\0\0\0\0\0\0\0\x80\x01\0\0\0\0\0\0\0"),
    ("UINT8", "uint_contents", [0, 255], b"\x00\xff"),
    ("UINT16", "uint_contents", [1, 65535], b"\x01\x00\xff\xff"),
    ("UINT32", "uint_contents", [1, 2**32 - 1], b"\x01\0\0\0\xff\xff\xff\xff"),
    ("UINT64", "uint64_contents", [1, 2**64 - 1], b"\x01\0\0\0\0\0\0\0" + b"\xff" * 8),
    ("FP32", "fp32_contents", [1.5, -0.0], b"\x00\x00\xc0\x3f\x00\x00\x00\x80"),
    ("FP64", "fp64_contents", [1.5, -2.0], b"\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\0\xc0"),
    ("BYTES", "bytes_contents", [b"a\0", b""], b"\x02\0\0\0a\0\0\0\0\0"),
]


def _response(datatype: str, shape: list[int]) -> v2.ModelInferResponse:
    response = v2.ModelInferResponse(model_name="m")
    response.outputs.add(name="y", datatype=datatype, shape=shape)
    return response


def _raw(datatype: str, shape: list[int], raw: bytes) -> bytes:
    response = _response(datatype, shape)
    response.raw_output_contents.append(raw)
    return response.SerializeToString()


def _read(message: bytes) -> Array:
    (output,) = UNARY.read_response(message).outputs
    return output.array


@pytest.mark.parametrize(("datatype", "field", "elements", "raw"), TYPED, ids=[t[0] for t in TYPED])
def test_typed_and_raw_contents_read_the_same(
    datatype: str, field: str, elements: list[Any], raw: bytes
) -> None:
    typed = _response(datatype, [2, 1])
    getattr(typed.outputs[0].contents, field).extend(elements)
    (a,) = UNARY.read_response(typed.SerializeToString()).outputs
    (b,) = UNARY.read_response(_raw(datatype, [2, 1], raw)).outputs
    assert a.dtype == b.dtype == datatype
    assert a.array.dtype == b.array.dtype
    assert a.array.tolist() == b.array.tolist() == [[e] for e in elements]


def test_half_precision_is_raw_only() -> None:
    values = np.array([1.5, -2.0, 65504.0], np.float16)
    assert _read(_raw("FP16", [3], values.tobytes())).tolist() == values.tolist()


def test_bfloat16_is_widened_to_the_float32_that_it_is_a_prefix_of() -> None:
    raw = bytes.fromhex("803f 40c0 807f c07f".replace(" ", ""))
    array = _read(_raw("BF16", [4], raw))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array([1.0, -3.0, np.inf, np.nan], np.float32))


def test_any_byte_but_zero_is_true() -> None:
    assert _read(_raw("BOOL", [3], b"\x00\x01\x02")).tolist() == [False, True, True]


def test_no_elements_and_no_dimensions_are_both_possible() -> None:
    assert _read(_raw("FP32", [0, 7], b"")).shape == (0, 7)
    assert _read(_raw("FP32", [], b"\0\0\x80\x3f")) == np.float32(1)


def test_the_model_and_the_request_are_named() -> None:
    decoded = UNARY.read_response(infer({}, model="digits", version="3", request_id="r-1"))
    assert (decoded.model, decoded.request_id) == ("digits:3", "r-1")
    assert UNARY.read_response(infer({}, model="digits", version="")).model == "digits"


def test_a_requests_inputs_are_read_like_outputs() -> None:
    request = v2.ModelInferRequest(model_name="m", model_version="2", id="i")
    request.inputs.add(name="x", datatype="INT64", shape=[1, 2])
    request.inputs[0].contents.int64_contents.extend([3, 4])
    decoded = UNARY.read_request(request.SerializeToString())
    assert decoded.outputs[0].array.tolist() == [[3, 4]]
    assert (decoded.model, decoded.request_id) == ("m:2", "i")


@pytest.mark.parametrize(
    "message",
    [
        _raw("FP32", [3], b"\0" * 8),  # fewer elements than claimed
        _raw("FP32", [1], b"\0" * 8),  # more
        _raw("FP32", [1], b"\0" * 3),  # not a whole element
        _raw("FP32", [1 << 40, 1 << 20], b""),  # a shape beyond any memory
        _raw("FP32", [0, 1 << 62, 1 << 62], b""),  # no elements, and still no shape numpy can have
        _raw("FP32", [-1], b"\0" * 4),
        _raw("FP32", [1] * 65, b"\0" * 4),
        _raw("FP8", [1], b"\0"),
        _raw("BYTES", [1], b"\x05\0\0\0abc"),
        _raw("BYTES", [1], b"\x05\0"),
        _raw("BYTES", [2], raw_bytes([b"a"])),
        _response("FP16", [1]).SerializeToString(),  # has no typed contents
        _response("FP32", [1]).SerializeToString(),  # no contents at all
        b"\xff",
    ],
)
def test_what_does_not_fit_together_is_undecodable(message: bytes) -> None:
    with pytest.raises(UndecodableError):
        UNARY.read_response(message)


def test_a_typed_integer_beyond_its_datatype_is_undecodable() -> None:
    response = _response("INT8", [1])
    response.outputs[0].contents.int_contents.append(300)
    with pytest.raises(UndecodableError, match="beyond the range of INT8"):
        UNARY.read_response(response.SerializeToString())


def test_raw_contents_come_for_every_output_or_for_none() -> None:
    response = infer_response({"a": np.zeros(1, "<f4"), "b": np.zeros(1, "<f4")})
    del response.raw_output_contents[1]
    with pytest.raises(UndecodableError, match="1 raw contents for 2 tensors"):
        UNARY.read_response(response.SerializeToString())


def test_contents_in_shared_memory_cannot_be_read() -> None:
    response = _response("FP32", [1])
    response.outputs[0].parameters["shared_memory_region"].string_param = "r"
    with pytest.raises(UndecodableError, match="shared memory"):
        UNARY.read_response(response.SerializeToString())


def test_a_stream_is_read_in_tritons_wrapper() -> None:
    bare = infer_response({"y": np.ones(2, "<f4")}, model="m", version="7")
    wrapped = v2.ModelStreamInferResponse(infer_response=bare)
    decoded = STREAM.read_response(wrapped.SerializeToString())
    assert decoded.model == "m:7"
    assert decoded.outputs[0].array.tolist() == [1, 1]


@pytest.mark.parametrize("model", ["", "m", "a-model"])
@pytest.mark.parametrize("version", ["", "1", "2", "v2.0", "20261121T0749", "latest"])
@pytest.mark.parametrize("request_id", ["", "r"])
def test_a_stream_is_read_bare(model: str, version: str, request_id: str) -> None:
    bare = infer({"y": np.ones(2, "<f4")}, model=model, version=version, request_id=request_id)
    decoded = STREAM.read_response(bare)
    assert decoded.outputs[0].array.tolist() == [1, 1]
    assert decoded.error == ""
    assert decoded.request_id == request_id


def test_a_bare_stream_message_without_outputs_is_not_taken_for_the_wrapper() -> None:
    decoded = STREAM.read_response(infer({}, model="m", version="1", request_id=""))
    assert (decoded.model, decoded.error) == ("m:1", "")


def test_an_error_inside_a_stream_is_told() -> None:
    wrapped = v2.ModelStreamInferResponse(error_message="out of memory")
    decoded = STREAM.read_response(wrapped.SerializeToString())
    assert decoded.error == "out of memory"
    assert decoded.outputs == ()


@given(st.data())
def test_a_message_with_bytes_changed_is_read_or_undecodable(data: st.DataObject) -> None:
    message = bytearray(infer({"y": np.ones((2, 2), "<f4"), "z": np.array([b"ab"], object)}))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = STREAM.read_response(bytes(message))
    except UndecodableError:
        return
    assert sum(o.array.size for o in decoded.outputs) <= len(message)
