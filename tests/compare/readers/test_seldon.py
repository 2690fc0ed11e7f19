"""Seldon Core's Predict: one message, four ways to write numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import Observation
from sidecar.compare.comparer import Comparer
from sidecar.compare.payload import UndecodableError
from sidecar.compare.readers.registry import Registry
from sidecar.compare.readers.seldon import MAX_NODES, SeldonReader
from sidecar.compare.result import Outcome
from sidecar.compare.settings import CompareSettings
from sidecar.pb.inference import seldon_pb2 as pb
from sidecar.pb.inference import tensorflow_serving_pb2 as tf

READER = SeldonReader()
METHOD = "/seldon.protos.Model/Predict"


def tensor(*values: float, shape: tuple[int, ...] = (), names: tuple[str, ...] = ()) -> bytes:
    data = pb.DefaultData(names=names, tensor=pb.Tensor(shape=shape, values=values))
    return pb.SeldonMessage(data=data).SerializeToString()


def ndarray(values: list[Any]) -> bytes:
    data = pb.DefaultData()
    data.ndarray.extend(values)
    return pb.SeldonMessage(data=data).SerializeToString()


def read(message: bytes) -> dict[str, tuple[str, Any]]:
    return {o.name: (o.dtype, o.array.tolist()) for o in READER.read_response(message).outputs}


def test_every_field_number_is_the_specifications() -> None:
    """Bytes written by hand from the specification, not by our own generated code."""
    one = b"\0\0\0\0\0\0\xf0\x3f"
    message = (
        b"\x12\x03\x0a\x01p"  # 2 meta, 1 puid
        b"\x1a\x12"  # 3 data
        b"\x0a\x01y"  # 1 names
        b"\x12\x0d"  # 2 tensor
        b"\x0a\x01\x01"  # 1 shape, packed
        b"\x12\x08" + one  # 2 values, packed
    )
    decoded = READER.read_response(message)
    assert decoded.request_id == "p"
    assert read(message) == {"data": ("FP64", [1.0]), "names": ("BYTES", [b"y"])}
    assert read(b"\x22\x01x") == {"binData": ("BYTES", b"x")}
    assert read(b"\x2a\x01x") == {"strData": ("BYTES", b"x")}
    assert READER.read_response(b"\x0a\x07\x08\x05\x1a\x01r\x20\x01").error == "r"


def test_numbers_read_the_same_however_they_are_written() -> None:
    numbers = tf.TensorProto(dtype=tf.DT_DOUBLE, double_val=[1, 2])
    numbers.tensor_shape.dim.extend(
        [tf.TensorShapeProto.Dim(size=1), tf.TensorShapeProto.Dim(size=2)]
    )
    as_tf = pb.SeldonMessage(data=pb.DefaultData(tftensor=numbers)).SerializeToString()
    for message in (tensor(1, 2, shape=(1, 2)), ndarray([[1, 2]]), as_tf):
        assert read(message) == {"data": ("FP64", [[1.0, 2.0]])}


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ([[]], ("FP64", [[]])),
        ([["a", "b"]], ("BYTES", [[b"a", b"b"]])),
        ([[1, "b"]], ("BYTES", b'[[1.0, "b"]]')),
        ([[1], [2, 3]], ("BYTES", b"[[1.0], [2.0, 3.0]]")),
        ([True, None], ("BYTES", b"[true, null]")),
        ([{"b": 1, "a": 2}], ("BYTES", b'[{"a": 2.0, "b": 1.0}]')),
    ],
)
def test_an_ndarray_is_numbers_texts_or_json(values: list[Any], meant: tuple[str, Any]) -> None:
    assert read(ndarray(values)) == {"data": meant}


def test_json_reads_the_same_in_whatever_order_it_was_written() -> None:
    message = pb.SeldonMessage()
    message.jsonData.struct_value.update({"z": [1, None], "a": "x"})
    assert read(message.SerializeToString()) == {
        "jsonData": ("BYTES", b'{"a": "x", "z": [1.0, null]}')
    }


@pytest.mark.parametrize(
    "message",
    [b"\xff", tensor(1, 2, shape=(3,)), tensor(1, shape=(-1,)), tensor(shape=(1 << 30, 1 << 30))],
)
def test_what_cannot_be_read_is_undecodable(message: bytes) -> None:
    with pytest.raises(UndecodableError):
        READER.read_response(message)


def test_a_message_of_very_many_values_is_refused_before_it_is_walked() -> None:
    with pytest.raises(UndecodableError, match="more than 100000"):
        READER.read_response(ndarray([0] * (MAX_NODES + 1)))


@given(st.recursive(st.floats() | st.text() | st.none(), lambda inner: st.lists(inner, max_size=4)))
def test_any_ndarray_is_read(value: Any) -> None:
    (output,) = READER.read_request(ndarray([value])).outputs
    assert output.name == "data"


def test_a_failure_inside_an_ok_answer_is_an_error_and_a_flip_is_a_difference() -> None:
    comparer = Comparer(CompareSettings(), Registry())

    def outcome(production: bytes, shadow: bytes) -> Outcome:
        a, b = (Observation(0, "", (message,), 0, 1) for message in (production, shadow))
        return comparer.examine(METHOD, (), a, b).comparison.outcome

    failed = pb.SeldonMessage(status=pb.Status(status=pb.Status.FAILURE, reason="no model"))
    well = tensor(0.9, 0.1, shape=(1, 2))
    assert outcome(well, failed.SerializeToString()) is Outcome.SHADOW_ERROR
    assert outcome(well, tensor(0.1, 0.9, shape=(1, 2))) is Outcome.VALUE
    assert outcome(well, ndarray([[0.9, 0.1]])) is Outcome.EQUAL
