"""Open Inference Protocol: an input is a tensor, its elements in the raw contents or its own."""

from __future__ import annotations

import numpy as np

from sidecar.compare.payload import BYTES, Array, numbers_from_bytes
from sidecar.compare.readers.open_inference import TYPED_FIELDS, OpenInferenceReader
from sidecar.pb.inference import open_inference_pb2 as pb
from sidecar.replay.changes.base import Change, Changed, Normal, distance, noisy

_FLOATS = {"FP16", "FP32", "FP64"}
_READER = OpenInferenceReader()


def change_infer(change: Change, message: bytes, other: bytes, draws: Normal) -> Changed | None:
    """See `Changer`."""
    request = pb.ModelInferRequest.FromString(message)
    index = next((i for i, t in enumerate(request.inputs) if t.name == change.input), None)
    if index is None:
        return None
    if change.how == "missing":
        return _missing(request, index)
    if change.how == "swap":
        return _swapped(request, index, pb.ModelInferRequest.FromString(other), message, other)
    return _noisy(request, index, change.amount, draws)


def _missing(request: pb.ModelInferRequest, index: int) -> Changed:
    del request.inputs[index]
    if request.raw_input_contents:
        del request.raw_input_contents[index]
    return Changed(request.SerializeToString(), 1.0)


def _swapped(
    request: pb.ModelInferRequest,
    index: int,
    other: pb.ModelInferRequest,
    message: bytes,
    others: bytes,
) -> Changed | None:
    name = request.inputs[index].name
    theirs = next((i for i, t in enumerate(other.inputs) if t.name == name), None)
    if theirs is None or bool(request.raw_input_contents) != bool(other.raw_input_contents):
        return None
    relative = distance(_array(message, name), _array(others, name))
    request.inputs[index].CopyFrom(other.inputs[theirs])
    if request.raw_input_contents:
        request.raw_input_contents[index] = other.raw_input_contents[theirs]
    return Changed(request.SerializeToString(), relative)


def _noisy(
    request: pb.ModelInferRequest, index: int, amount: float, draws: Normal
) -> Changed | None:
    tensor = request.inputs[index]
    if tensor.datatype not in _FLOATS:
        return None
    raw = request.raw_input_contents
    if raw:
        values = numbers_from_bytes(tensor.name, tensor.datatype, raw[index])
        made = noisy(values, amount, draws)
        raw[index] = made.tobytes()
    else:
        field = getattr(tensor.contents, TYPED_FIELDS[tensor.datatype])
        values = np.array(field)
        made = noisy(values, amount, draws)
        del field[:]
        field.extend(made.tolist())
    return Changed(request.SerializeToString(), distance(values, made))


def _array(message: bytes, name: str) -> Array | None:
    outputs = _READER.read_request(message).outputs
    return next((o.array for o in outputs if o.name == name and o.dtype != BYTES), None)
