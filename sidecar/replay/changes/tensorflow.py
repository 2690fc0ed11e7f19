"""TensorFlow Serving's Predict: an input is a tensor of the request's map."""

from __future__ import annotations

from typing import Final

from sidecar.compare.readers.tensorflow_serving import read_tensor
from sidecar.pb.inference import tensorflow_serving_pb2 as pb
from sidecar.replay.changes.base import Change, Changed, Normal, distance, noisy

_FLOATS: Final = {pb.DT_FLOAT: "float_val", pb.DT_DOUBLE: "double_val"}


def change_predict(change: Change, message: bytes, other: bytes, draws: Normal) -> Changed | None:
    """See `Changer`."""
    request = pb.PredictRequest.FromString(message)
    name = change.input
    if name not in request.inputs:
        return None
    if change.how == "missing":
        del request.inputs[name]
        return Changed(request.SerializeToString(), 1.0)
    tensor = request.inputs[name]
    if change.how == "swap":
        theirs = pb.PredictRequest.FromString(other)
        if name not in theirs.inputs:
            return None
        relative = tensor_distance(tensor, theirs.inputs[name])
        tensor.CopyFrom(theirs.inputs[name])
        return Changed(request.SerializeToString(), relative)
    relative_noise = add_noise(tensor, change.amount, draws)
    return None if relative_noise is None else Changed(request.SerializeToString(), relative_noise)


def add_noise(tensor: pb.TensorProto, amount: float, draws: Normal) -> float | None:
    """Make a tensor noisy in place; how far it moved, None when it has no floating numbers."""
    if tensor.dtype not in _FLOATS:
        return None
    values = read_tensor("", tensor).array
    made = noisy(values, amount, draws)
    if tensor.tensor_content:
        tensor.tensor_content = made.tobytes()
    else:
        field = getattr(tensor, _FLOATS[tensor.dtype])
        del field[:]
        field.extend(made.reshape(-1).tolist())
    return distance(values, made)


def tensor_distance(one: pb.TensorProto, other: pb.TensorProto) -> float:
    """How far apart two tensors are."""
    return distance(read_tensor("", one).array, read_tensor("", other).array)
