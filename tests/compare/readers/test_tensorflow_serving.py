"""TensorFlow Serving: elements in any of their places read the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.compare.payload import Reader, UndecodableError
from sidecar.compare.readers.tensorflow_serving import (
    MAX_FILLED,
    ClassifyReader,
    PredictReader,
    RegressReader,
    read_tensor,
)
from sidecar.pb.inference import tensorflow_serving_pb2 as tf
from tests.compare.messages import by_name


def _tensor(dtype: int, shape: list[int], **fields: Any) -> tf.TensorProto:
    tensor = tf.TensorProto(dtype=tf.DataType.Name(dtype), **fields)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


# data type, its field, what the field holds, the elements, numpy's type for tensor_content
PLACES: list[tuple[int, str, list[Any], list[Any], str]] = [
    (tf.DT_FLOAT, "float_val", [1.5, -2], [1.5, -2], "<f4"),
    (tf.DT_DOUBLE, "double_val", [1.5, -2], [1.5, -2], "<f8"),
    (tf.DT_INT32, "int_val", [1, -2], [1, -2], "<i4"),
    (tf.DT_UINT8, "int_val", [1, 255], [1, 255], "<u1"),
    (tf.DT_INT16, "int_val", [1, -2], [1, -2], "<i2"),
    (tf.DT_INT8, "int_val", [1, -2], [1, -2], "<i1"),
    (tf.DT_UINT16, "int_val", [1, 65535], [1, 65535], "<u2"),
    (tf.DT_COMPLEX64, "scomplex_val", [1, 2, 3, -4], [1 + 2j, 3 - 4j], "<c8"),
    (tf.DT_COMPLEX128, "dcomplex_val", [1, 2, 3, -4], [1 + 2j, 3 - 4j], "<c16"),
    (tf.DT_INT64, "int64_val", [1, -(2**63)], [1, -(2**63)], "<i8"),
    (tf.DT_BOOL, "bool_val", [True, False], [True, False], "?"),
    (tf.DT_QINT8, "int_val", [1, -2], [1, -2], "<i1"),
    (tf.DT_QUINT8, "int_val", [1, 255], [1, 255], "<u1"),
    (tf.DT_QINT16, "int_val", [1, -2], [1, -2], "<i2"),
    (tf.DT_QUINT16, "int_val", [1, 65535], [1, 65535], "<u2"),
    (tf.DT_QINT32, "int_val", [1, -2], [1, -2], "<i4"),
    (tf.DT_HALF, "half_val", [0x3E00, 0xC000], [1.5, -2], "<f2"),
    (tf.DT_UINT32, "uint32_val", [1, 2**32 - 1], [1, 2**32 - 1], "<u4"),
    (tf.DT_UINT64, "uint64_val", [1, 2**64 - 1], [1, 2**64 - 1], "<u8"),
]


@pytest.mark.parametrize(
    ("dtype", "field", "values", "elements", "numpy_type"),
    PLACES,
    ids=[tf.DataType.Name(p[0]) for p in PLACES],
)
def test_content_and_values_read_the_same(
    dtype: int, field: str, values: list[Any], elements: list[Any], numpy_type: str
) -> None:
    content = np.array(elements, numpy_type).tobytes()
    a = read_tensor("y", _tensor(dtype, [2, 1], **{field: values}))
    b = read_tensor("y", _tensor(dtype, [2, 1], tensor_content=content))
    assert a.dtype == b.dtype
    assert a.array.dtype == b.array.dtype == np.dtype(numpy_type)
    assert a.array.tolist() == b.array.tolist() == [[e] for e in elements]


def test_bfloat16_is_widened_from_both_places() -> None:
    a = read_tensor("y", _tensor(tf.DT_BFLOAT16, [2], half_val=[0x3F80, 0xC040]))
    b = read_tensor("y", _tensor(tf.DT_BFLOAT16, [2], tensor_content=b"\x80\x3f\x40\xc0"))
    assert a.dtype == b.dtype == "BF16"
    assert a.array.tolist() == b.array.tolist() == [1.0, -3.0]


def test_strings_are_read_from_both_places() -> None:
    long = b"x" * 300
    a = read_tensor("y", _tensor(tf.DT_STRING, [3], string_val=[b"a\0", b"", long]))
    packed = b"\x02\x00\xac\x02" + b"a\0" + long  # lengths first, as varints
    b = read_tensor("y", _tensor(tf.DT_STRING, [3], tensor_content=packed))
    assert a.array.tolist() == b.array.tolist() == [b"a\0", b"", long]


def test_the_last_value_stands_for_all_that_are_missing() -> None:
    tensor = _tensor(tf.DT_FLOAT, [2, 2], float_val=[1, 2])
    assert read_tensor("y", tensor).array.tolist() == [[1, 2], [2, 2]]
    tensor = _tensor(tf.DT_STRING, [2], string_val=[b"a"])
    assert read_tensor("y", tensor).array.tolist() == [b"a", b"a"]


def test_without_any_value_elements_are_zero() -> None:
    assert read_tensor("y", _tensor(tf.DT_INT64, [2])).array.tolist() == [0, 0]
    assert read_tensor("y", _tensor(tf.DT_STRING, [1])).array.tolist() == [b""]
    assert read_tensor("y", _tensor(tf.DT_COMPLEX64, [1])).array.tolist() == [0j]
    assert read_tensor("y", _tensor(tf.DT_FLOAT, [0])).array.shape == (0,)


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor(tf.DT_FLOAT, [1], float_val=[1, 2]),
        _tensor(tf.DT_FLOAT, [3], tensor_content=b"\0" * 8),  # content is never repeated
        _tensor(tf.DT_FLOAT, [-1], float_val=[1]),
        _tensor(tf.DT_FLOAT, [MAX_FILLED + 1], float_val=[1]),
        _tensor(tf.DT_FLOAT, [1 << 40, 1 << 20]),
        _tensor(tf.DT_COMPLEX64, [1], scomplex_val=[1]),
        _tensor(tf.DT_HALF, [1], half_val=[0x10000]),
        _tensor(tf.DT_UINT8, [1], int_val=[-1]),
        _tensor(tf.DT_STRING, [1], tensor_content=b"\x05abc"),
        _tensor(tf.DT_STRING, [1 << 40], tensor_content=b"\x00"),
        _tensor(tf.DT_STRING, [1], tensor_content=b"\xff\xff\xff\xff\xff\xff\x01"),
        _tensor(tf.DT_RESOURCE, []),
        _tensor(tf.DT_INVALID, []),
        tf.TensorProto(dtype=tf.DT_FLOAT, tensor_shape=tf.TensorShapeProto(unknown_rank=True)),
    ],
)
def test_what_does_not_fit_together_is_undecodable(tensor: tf.TensorProto) -> None:
    with pytest.raises(UndecodableError):
        read_tensor("y", tensor)


def _spec(version: int | None = None, label: str = "") -> tf.ModelSpec:
    if version is not None:
        return tf.ModelSpec(name="m", version=tf.Version(value=version))
    return tf.ModelSpec(name="m", version_label=label)


def test_predict_names_its_outputs_and_its_model() -> None:
    response = tf.PredictResponse(model_spec=_spec(7))
    response.outputs["b"].CopyFrom(_tensor(tf.DT_FLOAT, [], float_val=[1]))
    response.outputs["a"].CopyFrom(_tensor(tf.DT_INT64, [1], int64_val=[2]))
    decoded = PredictReader().read_response(response.SerializeToString())
    assert decoded.model == "m:7"
    assert [(o.name, o.dtype, o.array.tolist()) for o in decoded.outputs] == [
        ("a", "INT64", [2]),
        ("b", "FP32", 1.0),
    ]


def test_a_predict_request_is_read_like_an_answer() -> None:
    request = tf.PredictRequest(model_spec=_spec(label="stable"))
    request.inputs["x"].CopyFrom(_tensor(tf.DT_FLOAT, [1], float_val=[3]))
    decoded = PredictReader().read_request(request.SerializeToString())
    assert decoded.model == "m:stable"
    assert by_name(decoded.outputs)["x"].array.tolist() == [3]


def _classification(*examples: dict[str, float]) -> bytes:
    response = tf.ClassificationResponse(model_spec=_spec(1))
    for example in examples:
        classes = response.result.classifications.add().classes
        for label, score in example.items():
            classes.add(label=label, score=score)
    return response.SerializeToString()


def test_classify_gives_labels_and_scores_by_example() -> None:
    message = _classification({"cat": 0.25, "dog": 0.75}, {"cat": 1, "dog": 0})
    outputs = by_name(ClassifyReader().read_response(message).outputs)
    assert outputs["labels"].array.tolist() == [[b"cat", b"dog"], [b"cat", b"dog"]]
    assert outputs["scores"].array.tolist() == [[0.25, 0.75], [1, 0]]


def test_classify_with_another_number_of_classes_for_each_example_names_each_one() -> None:
    outputs = by_name(ClassifyReader().read_response(_classification({"a": 1}, {})).outputs)
    assert sorted(outputs) == ["labels[0]", "labels[1]", "scores[0]", "scores[1]"]


def test_regress_gives_one_value_an_example() -> None:
    response = tf.RegressionResponse(model_spec=_spec(1))
    for value in (1.5, -2):
        response.result.regressions.add(value=value)
    decoded = RegressReader().read_response(response.SerializeToString())
    assert by_name(decoded.outputs)["values"].array.tolist() == [1.5, -2]
    assert decoded.model == "m:1"


@pytest.mark.parametrize("reader", [ClassifyReader(), RegressReader()])
def test_the_features_of_examples_are_read(reader: Reader) -> None:
    request = tf.ClassificationRequest(model_spec=_spec(1))
    listed = request.input.example_list_with_context
    listed.context.features.feature["query"].bytes_list.value.append(b"pizza")
    for age in (30, 40):
        feature = listed.examples.add().features.feature
        feature["age"].int64_list.value.append(age)
        feature["height"].float_list.value.append(1.5)
    outputs = by_name(reader.read_request(request.SerializeToString()).outputs)
    assert outputs["query"].array.tolist() == [[b"pizza"]]
    assert outputs["age"].array.tolist() == [[30], [40]]
    assert outputs["height"].array.tolist() == [[1.5], [1.5]]


@given(st.data())
def test_a_message_with_bytes_changed_is_read_or_undecodable(data: st.DataObject) -> None:
    response = tf.PredictResponse(model_spec=_spec(7))
    response.outputs["b"].CopyFrom(_tensor(tf.DT_FLOAT, [2], float_val=[1]))
    response.outputs["a"].CopyFrom(_tensor(tf.DT_STRING, [2], tensor_content=b"\x01\x01ab"))
    message = bytearray(response.SerializeToString(deterministic=True))
    for _ in range(data.draw(st.integers(1, 3))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = PredictReader().read_response(bytes(message))
    except UndecodableError:
        return
    assert sum(o.array.size for o in decoded.outputs) <= 2 * MAX_FILLED
