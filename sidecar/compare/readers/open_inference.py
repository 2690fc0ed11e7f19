"""Reads the Open Inference Protocol, version 2: ModelInfer and ModelStreamInfer.

Rule: typed and raw contents of the same tensor read the same. Response parameters and ids are
not outputs. Specification: github.com/kserve/open-inference-protocol, and for BYTES in raw
contents Triton's binary tensor extension (each element after its length, 4 bytes little-endian).
Counterpart: `protos/inference/open_inference.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from sidecar.compare.payload import (
    BYTES,
    MAX_OUTPUTS,
    Array,
    Decoded,
    Output,
    UndecodableError,
    bytes_array,
    model_name,
    numbers_from_bytes,
    numbers_from_field,
    shaped,
)
from sidecar.compare.readers.bound import check, parse
from sidecar.compare.readers.protocol import PayloadProtocol
from sidecar.pb.inference import open_inference_pb2 as pb

SHARED_MEMORY: Final = "shared_memory_region"  # a parameter: the contents are somewhere else

# Datatype to its field in InferTensorContents. FP16 and BF16 have none.
TYPED_FIELDS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


_NAME: Final = "the Open Inference Protocol"


class _Tensor(Protocol):
    """InferInputTensor and InferOutputTensor alike."""

    name: str
    datatype: str

    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def parameters(self) -> Any: ...
    @property
    def contents(self) -> Message: ...


class OpenInferenceReader:
    """Reads ModelInfer."""

    name = "open_inference"

    def read_response(self, message: bytes) -> Decoded:
        """Read a ModelInferResponse."""
        return _response(parse(pb.ModelInferResponse, message, _NAME))

    def read_request(self, message: bytes) -> Decoded:
        """Read a ModelInferRequest."""
        request = parse(pb.ModelInferRequest, message, _NAME)
        return Decoded(
            _tensors(request.inputs, request.raw_input_contents),
            model=model_name(request.model_name, request.model_version),
            request_id=request.id,
        )


class OpenInferenceStreamReader(OpenInferenceReader):
    """Reads ModelStreamInfer, in Triton's wrapper or bare as MLServer sends it."""

    name = "open_inference_stream"

    def read_response(self, message: bytes) -> Decoded:
        """Read one message of the stream.

        The two shapes share a method and are told apart by the bytes. Fields 3 to 6 exist in the
        bare message only, and a bare message without them has its model's version, a short text,
        where the wrapper has a message; printable text of less than 34 bytes never parses as one.
        """
        check(pb.ModelInferResponse, message)
        check(pb.ModelStreamInferResponse, message)
        try:
            wrapper = pb.ModelStreamInferResponse.FromString(message)
        except DecodeError:
            return super().read_response(message)
        unknown = UnknownFieldSet(wrapper)
        if any(3 <= unknown[i].field_number <= 6 for i in range(len(unknown))):
            return super().read_response(message)
        decoded = _response(wrapper.infer_response)
        if not wrapper.error_message:
            return decoded
        return Decoded((), decoded.model, decoded.request_id, error=wrapper.error_message)


def _response(response: pb.ModelInferResponse) -> Decoded:
    return Decoded(
        _tensors(response.outputs, response.raw_output_contents),
        model=model_name(response.model_name, response.model_version),
        request_id=response.id,
    )


def _tensors(tensors: Sequence[_Tensor], raw: Sequence[bytes]) -> tuple[Output, ...]:
    if len(tensors) > MAX_OUTPUTS:
        raise UndecodableError(f"{len(tensors)} outputs")
    if raw and len(raw) != len(tensors):
        raise UndecodableError(f"{len(raw)} raw contents for {len(tensors)} tensors")
    return tuple(_tensor(t, raw[i] if raw else None) for i, t in enumerate(tensors))


def _tensor(tensor: _Tensor, raw: bytes | None) -> Output:
    name, datatype = tensor.name, tensor.datatype
    if SHARED_MEMORY in tensor.parameters:
        raise UndecodableError(f"{name}: its contents are in shared memory")
    if raw is None:
        flat = _typed(name, datatype, tensor.contents)
    elif datatype == BYTES:
        flat = bytes_array(_elements(name, raw))
    else:
        flat = numbers_from_bytes(name, datatype, raw)
    return Output(name, datatype, shaped(name, flat, tensor.shape))


def _typed(name: str, datatype: str, contents: Message) -> Array:
    field = TYPED_FIELDS.get(datatype)
    if field is None:
        raise UndecodableError(f"{name}: no typed contents for datatype {datatype[:32]!r}")
    values = getattr(contents, field)
    if datatype == BYTES:
        return bytes_array(values)
    return numbers_from_field(name, datatype, values)


def _elements(name: str, raw: bytes) -> Iterable[bytes]:
    position, end = 0, len(raw)
    while position < end:
        start = position + 4
        position = start + int.from_bytes(raw[position:start], "little")
        if start > end or position > end:
            raise UndecodableError(f"{name}: a BYTES element reaches beyond the contents")
        yield raw[start:position]


PROTOCOL: Final[PayloadProtocol] = PayloadProtocol(
    predictions={
        "/inference.GRPCInferenceService/ModelInfer": OpenInferenceReader(),
        "/inference.GRPCInferenceService/ModelStreamInfer": OpenInferenceStreamReader(),
    },
    not_predictions=(
        "/inference.GRPCInferenceService/Server*",
        "/inference.GRPCInferenceService/ModelReady",
        "/inference.GRPCInferenceService/ModelMetadata",
        "/inference.GRPCInferenceService/ModelConfig",
        "/inference.GRPCInferenceService/ModelStatistics",
        "/inference.GRPCInferenceService/Repository*",
        "/inference.GRPCInferenceService/*SharedMemory*",
        "/inference.GRPCInferenceService/TraceSetting",
        "/inference.GRPCInferenceService/LogSettings",
    ),
)
