"""Reads TensorFlow Serving's Predict, Classify and Regress.

Rule: a TensorProto reads the same whether its elements are in tensor_content or in the *_val field
of its type, where the last value stands for all that are missing. Sources: tensorflow's
core/framework/tensor.proto, and tensor.cc for what is filled in. Quantized elements are read as
the integers that they are. Counterpart: `protos/inference/tensorflow_serving.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from sidecar.compare.payload import (
    BYTES,
    MAX_OUTPUTS,
    NUMPY_TYPES,
    Array,
    Decoded,
    Output,
    UndecodableError,
    bytes_array,
    element_count,
    model_name,
    numbers_from_bytes,
    numbers_from_field,
    shaped,
    stack,
    widen_bfloat16,
)
from sidecar.compare.readers.bound import parse
from sidecar.compare.readers.protocol import PayloadProtocol
from sidecar.pb.inference import tensorflow_serving_pb2 as pb

MAX_FILLED: Final = (
    1 << 22
)  # elements that one value may be repeated to: a few bytes may ask for it

# DataType to our datatype and the field that its elements may be in.
TYPES: Final[dict[int, tuple[str, str]]] = {
    pb.DT_FLOAT: ("FP32", "float_val"),
    pb.DT_DOUBLE: ("FP64", "double_val"),
    pb.DT_INT32: ("INT32", "int_val"),
    pb.DT_UINT8: ("UINT8", "int_val"),
    pb.DT_INT16: ("INT16", "int_val"),
    pb.DT_INT8: ("INT8", "int_val"),
    pb.DT_UINT16: ("UINT16", "int_val"),
    pb.DT_STRING: (BYTES, "string_val"),
    pb.DT_COMPLEX64: ("COMPLEX64", "scomplex_val"),
    pb.DT_COMPLEX128: ("COMPLEX128", "dcomplex_val"),
    pb.DT_INT64: ("INT64", "int64_val"),
    pb.DT_BOOL: ("BOOL", "bool_val"),
    pb.DT_QINT8: ("QINT8", "int_val"),
    pb.DT_QUINT8: ("QUINT8", "int_val"),
    pb.DT_QINT16: ("QINT16", "int_val"),
    pb.DT_QUINT16: ("QUINT16", "int_val"),
    pb.DT_QINT32: ("QINT32", "int_val"),
    pb.DT_BFLOAT16: ("BF16", "half_val"),
    pb.DT_HALF: ("FP16", "half_val"),
    pb.DT_UINT32: ("UINT32", "uint32_val"),
    pb.DT_UINT64: ("UINT64", "uint64_val"),
}

_NAME: Final = "TensorFlow Serving"


class PredictReader:
    """Reads Predict."""

    name = "tensorflow_predict"

    def read_response(self, message: bytes) -> Decoded:
        """Read a PredictResponse."""
        response = parse(pb.PredictResponse, message, _NAME)
        return Decoded(_tensors(response.outputs), _model(response.model_spec))

    def read_request(self, message: bytes) -> Decoded:
        """Read a PredictRequest."""
        request = parse(pb.PredictRequest, message, _NAME)
        return Decoded(_tensors(request.inputs), _model(request.model_spec))


class ClassifyReader:
    """Reads Classify: outputs `labels` (BYTES) and `scores` (FP32), both [examples, classes]."""

    name = "tensorflow_classify"

    def read_response(self, message: bytes) -> Decoded:
        """Read a ClassificationResponse."""
        response = parse(pb.ClassificationResponse, message, _NAME)
        examples = [example.classes for example in response.result.classifications]
        labels = [bytes_array(c.label.encode() for c in classes) for classes in examples]
        scores = [np.array([c.score for c in classes], np.float32) for classes in examples]
        outputs = [*stack("labels", BYTES, labels), *stack("scores", "FP32", scores)]
        return Decoded(tuple(outputs), _model(response.model_spec))

    def read_request(self, message: bytes) -> Decoded:
        """Read a ClassificationRequest: one output for each feature of its examples."""
        request = parse(pb.ClassificationRequest, message, _NAME)
        return Decoded(_features(request.input), _model(request.model_spec))


class RegressReader:
    """Reads Regress: one output `values` (FP32), [examples]."""

    name = "tensorflow_regress"

    def read_response(self, message: bytes) -> Decoded:
        """Read a RegressionResponse."""
        response = parse(pb.RegressionResponse, message, _NAME)
        values = np.array([r.value for r in response.result.regressions], np.float32)
        return Decoded((Output("values", "FP32", values),), _model(response.model_spec))

    def read_request(self, message: bytes) -> Decoded:
        """Read a RegressionRequest: one output for each feature of its examples."""
        request = parse(pb.RegressionRequest, message, _NAME)
        return Decoded(_features(request.input), _model(request.model_spec))


def _model(spec: pb.ModelSpec) -> str:
    version = str(spec.version.value) if spec.HasField("version") else spec.version_label
    return model_name(spec.name, version)


def _tensors(tensors: Mapping[str, pb.TensorProto]) -> tuple[Output, ...]:
    if len(tensors) > MAX_OUTPUTS:
        raise UndecodableError(f"{len(tensors)} outputs")
    return tuple(read_tensor(name, tensors[name]) for name in sorted(tensors))


def read_tensor(name: str, tensor: pb.TensorProto) -> Output:
    """Read one TensorProto.

    Raises:
        UndecodableError: as `Reader` says.
    """
    if tensor.dtype not in TYPES:
        raise UndecodableError(f"{name}: data type {tensor.dtype} has no readable elements")
    dtype, field = TYPES[tensor.dtype]
    if tensor.tensor_shape.unknown_rank:
        raise UndecodableError(f"{name}: unknown rank")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = element_count(shape)
    if tensor.tensor_content and dtype == BYTES:
        flat = bytes_array(_strings(name, tensor.tensor_content, count))
    elif tensor.tensor_content:
        flat = numbers_from_bytes(name, dtype, tensor.tensor_content)
    else:
        flat = _filled(name, _values(name, dtype, getattr(tensor, field)), count)
    return Output(name, dtype, shaped(name, flat, shape))


def _values(name: str, dtype: str, values: Iterable[object]) -> Array:
    if dtype == BYTES:
        return bytes_array(values)  # type: ignore[arg-type]  # a repeated field is a sequence
    if dtype in ("FP16", "BF16"):
        bits = numbers_from_field(name, "UINT16", values)
        return widen_bfloat16(bits) if dtype == "BF16" else bits.view(np.float16)
    if dtype.startswith("COMPLEX"):
        halves = np.float64 if dtype == "COMPLEX128" else np.float32
        parts = np.array(values, halves)  # protobuf 6 does not tell the field's own type
        if parts.size % 2:
            raise UndecodableError(f"{name}: a real part without its imaginary part")
        return parts.view(NUMPY_TYPES[dtype])
    return numbers_from_field(name, dtype, values)


def _filled(name: str, values: Array, count: int) -> Array:
    """Repeat the last value, or zero where there is none, up to `count` elements."""
    missing = count - values.size
    if missing <= 0:
        return values
    if count > MAX_FILLED:
        raise UndecodableError(f"{name}: {values.size} elements for a shape of {count}")
    if values.size:
        return np.concatenate([values, np.broadcast_to(values[-1:], missing)])
    if values.dtype == object:
        return bytes_array([b""] * count)
    return np.zeros(count, values.dtype)


def _strings(name: str, content: bytes, count: int) -> Iterable[bytes]:
    """Read strings as TensorFlow packs them: all lengths as varints, then all bytes."""
    lengths: list[int] = []
    position = 0
    while len(lengths) < count:
        length = shift = 0
        while True:
            if position == len(content) or shift > 28:
                raise UndecodableError(f"{name}: broken string lengths")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise UndecodableError(f"{name}: string lengths that do not fill the contents")
    for length in lengths:
        yield content[position : position + length]
        position += length


def _features(source: pb.Input) -> tuple[Output, ...]:
    """Lay the examples' features side by side; a context's features stand for themselves."""
    kind = source.WhichOneof("kind")
    contexts, examples = [], []
    if kind == "example_list":
        examples = list(source.example_list.examples)
    elif kind == "example_list_with_context":
        examples = list(source.example_list_with_context.examples)
        contexts = [source.example_list_with_context.context]
    outputs: list[Output] = []
    for group in (contexts, examples):
        parts: dict[tuple[str, str], list[Array]] = {}
        for example in group:
            for name, feature in example.features.feature.items():
                dtype, array = _feature(feature)
                parts.setdefault((name, dtype), []).append(array)
        for name, dtype in sorted(parts):
            outputs += stack(name, dtype, parts[name, dtype])
    return tuple(outputs)


def _feature(feature: pb.Feature) -> tuple[str, Array]:
    if feature.HasField("bytes_list"):
        return BYTES, bytes_array(feature.bytes_list.value)
    if feature.HasField("float_list"):
        return "FP32", np.array(feature.float_list.value, np.float32)
    return "INT64", np.array(feature.int64_list.value, np.int64)


PROTOCOL: Final[PayloadProtocol] = PayloadProtocol(
    predictions={
        "/tensorflow.serving.PredictionService/Predict": PredictReader(),
        "/tensorflow.serving.PredictionService/Classify": ClassifyReader(),
        "/tensorflow.serving.PredictionService/Regress": RegressReader(),
    },
    not_predictions=(
        "/tensorflow.serving.PredictionService/GetModelMetadata",
        "/tensorflow.serving.ModelService/*",
    ),
)
