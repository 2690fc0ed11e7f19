"""A model that is arithmetic: what `tests.servers --kind model` answers.

Rule: each input named X of numbers gives an output X of the same type and shape, twice the input
plus one plus the bias; BYTES are lower-cased; an output "sum" (FP64 [1]) adds up all numbers.
Contents come back as they came: raw for raw, typed for typed. Counterpart: `tests.servers`.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.pb.inference import open_inference_pb2 as oip

TYPES: dict[str, tuple[type[np.generic], str]] = {
    "BOOL": (np.bool_, "bool_contents"),
    "INT8": (np.int8, "int_contents"),
    "INT16": (np.int16, "int_contents"),
    "INT32": (np.int32, "int_contents"),
    "INT64": (np.int64, "int64_contents"),
    "UINT8": (np.uint8, "uint_contents"),
    "UINT16": (np.uint16, "uint_contents"),
    "UINT32": (np.uint32, "uint_contents"),
    "UINT64": (np.uint64, "uint64_contents"),
    "FP16": (np.float16, ""),  # raw only
    "FP32": (np.float32, "fp32_contents"),
    "FP64": (np.float64, "fp64_contents"),
}

METADATA: dict[str, Any] = {
    "platform": "arithmetic",
    "inputs": [oip.ModelMetadataResponse.TensorMetadata(name="x", datatype="FP32", shape=[-1])],
    "outputs": [
        oip.ModelMetadataResponse.TensorMetadata(name="x", datatype="FP32", shape=[-1]),
        oip.ModelMetadataResponse.TensorMetadata(name="sum", datatype="FP64", shape=[1]),
    ],
}


def answer(request: oip.ModelInferRequest, *, bias: float, version: str) -> oip.ModelInferResponse:
    """Answer one request.

    Raises:
        ValueError: a datatype that is not known, or contents that do not fit it.
    """
    response = oip.ModelInferResponse(
        model_name=request.model_name, model_version=version, id=request.id
    )
    raw = bool(request.raw_input_contents)
    total = 0.0
    for i, tensor in enumerate(request.inputs):
        output = response.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
        )
        if tensor.datatype == "BYTES":
            items = _items(request.raw_input_contents[i]) if raw else tensor.contents.bytes_contents
            lower = [item.lower() for item in items]
            if raw:
                response.raw_output_contents.append(_packed(lower))
            else:
                output.contents.bytes_contents.extend(lower)
            continue
        if tensor.datatype not in TYPES:
            raise ValueError(f"{tensor.name}: no arithmetic for {tensor.datatype!r}")
        kind, field = TYPES[tensor.datatype]
        values: NDArray[Any] = (
            np.frombuffer(request.raw_input_contents[i], kind)
            if raw
            else np.asarray(getattr(tensor.contents, field), kind)
        )
        result = values if kind is np.bool_ else (values * 2 + 1 + bias).astype(kind)
        total += float(result.sum(dtype=np.float64))
        if raw:
            response.raw_output_contents.append(result.tobytes())
        else:
            getattr(output.contents, field).extend(result.tolist())
    output = response.outputs.add(name="sum", datatype="FP64", shape=[1])
    if raw:
        response.raw_output_contents.append(struct.pack("<d", total))
    else:
        output.contents.fp64_contents.append(total)
    return response


def _items(raw: bytes) -> list[bytes]:
    """Raw BYTES: each item after its little-endian 32-bit length."""
    items, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        items.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return items


def _packed(items: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)
