"""Seldon Core's Predict: an input is `data`, or one of its columns by its name.

A column has no way to be missing: it can be noisy, or another call's.
"""

from __future__ import annotations

import numpy as np
from google.protobuf.struct_pb2 import ListValue

from sidecar.compare.payload import Array
from sidecar.compare.readers.seldon import SeldonReader
from sidecar.pb.inference import seldon_pb2 as pb
from sidecar.replay.changes.base import Change, Changed, Normal, distance, noisy
from sidecar.replay.changes.tensorflow import add_noise

DATA = "data"
_READER = SeldonReader()


def change_seldon(change: Change, message: bytes, other: bytes, draws: Normal) -> Changed | None:
    """See `Changer`."""
    request = pb.SeldonMessage.FromString(message)
    data = request.data
    names = list(data.names)
    if request.WhichOneof("data_oneof") != DATA:
        return None
    if change.input == DATA:
        if change.how == "missing":
            request.ClearField("data")
            return Changed(request.SerializeToString(), 1.0)
        if change.how == "swap":
            theirs = pb.SeldonMessage.FromString(other)
            if theirs.WhichOneof("data_oneof") != DATA:
                return None
            request.data.CopyFrom(theirs.data)
            moved = distance(_numbers(message), _numbers(other))
            return Changed(request.SerializeToString(), moved)
        if data.WhichOneof("data_oneof") == "tftensor":
            moved_by = add_noise(data.tftensor, change.amount, draws)
            return None if moved_by is None else Changed(request.SerializeToString(), moved_by)
    elif change.input not in names or change.how == "missing":
        return None
    values = _numbers(message)
    if values is None or data.WhichOneof("data_oneof") == "tftensor":
        return None
    made = values.copy()
    if change.input == DATA:
        made = noisy(values, change.amount, draws)
        before, after = values, made
    else:
        column = names.index(change.input)
        if values.ndim < 1 or values.shape[-1] != len(names):
            return None
        if change.how == "swap":
            theirs_too = _numbers(other)
            if theirs_too is None or theirs_too.shape != values.shape:
                return None
            made[..., column] = theirs_too[..., column]
        else:
            made[..., column] = noisy(values[..., column], change.amount, draws)
        before, after = values[..., column], made[..., column]
    if data.WhichOneof("data_oneof") == "tensor":
        data.tensor.values[:] = made.reshape(-1).tolist()
    else:
        _put(data.ndarray, made.tolist())
    return Changed(request.SerializeToString(), distance(before, after))


def _numbers(message: bytes) -> Array | None:
    """The numbers of `data`; None if it holds something else."""
    outputs = _READER.read_request(message).outputs
    found = next((o.array for o in outputs if o.name == DATA), None)
    return found if found is not None and found.dtype.kind == "f" else None


def _put(into: ListValue, values: list[object]) -> None:
    """Write nested lists of numbers over nested lists of the same form."""
    for place, value in zip(into.values, values, strict=True):
        if isinstance(value, list):
            _put(place.list_value, value)
        else:
            place.number_value = float(np.float64(value))  # type: ignore[arg-type]  # a number, as they all are
