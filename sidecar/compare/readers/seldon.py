"""Reads Seldon Core's Predict: a SeldonMessage in both directions.

Rule: the same numbers read the same from `tensor`, `ndarray` and `tftensor`, apart from their data
type: the first two are FP64, the last says its own. Lists that are ragged, or hold more than one
kind of thing, are one BYTES element of JSON. Sources: Seldon Core's prediction.proto, and its
prediction API's reference for how an ndarray is written.
Counterpart: `protos/inference/seldon.proto`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from google.protobuf.struct_pb2 import ListValue, Value

from sidecar.compare.payload import (
    BYTES,
    Array,
    Decoded,
    Output,
    UndecodableError,
    bytes_array,
    shaped,
)
from sidecar.compare.readers.bound import parse
from sidecar.compare.readers.protocol import PayloadProtocol
from sidecar.compare.readers.tensorflow_serving import read_tensor
from sidecar.pb.inference import seldon_pb2 as pb

MAX_NODES: Final = 100_000  # values of one ndarray or jsonData: each is a message of its own
MAX_ERROR: Final = 200


class SeldonReader:
    """Reads Predict: outputs `data` and `names`, or one called as the message's field."""

    name = "seldon"

    def read_response(self, message: bytes) -> Decoded:
        """Read a SeldonMessage; one whose status is FAILURE is an error."""
        read = parse(pb.SeldonMessage, message, "Seldon Core")
        if read.status.status == pb.Status.FAILURE:
            status = read.status
            why = status.reason or status.info or f"code {status.code}"
            return Decoded((), request_id=read.meta.puid, error=why[:MAX_ERROR])
        return Decoded(tuple(_outputs(read)), request_id=read.meta.puid)

    def read_request(self, message: bytes) -> Decoded:
        """Read a SeldonMessage."""
        read = parse(pb.SeldonMessage, message, "Seldon Core")
        return Decoded(tuple(_outputs(read)), request_id=read.meta.puid)


def _outputs(message: pb.SeldonMessage) -> Iterator[Output]:
    kind = message.WhichOneof("data_oneof")
    if kind == "data":
        data = message.data
        form = data.WhichOneof("data_oneof")
        if form == "tensor":
            yield Output("data", "FP64", _tensor(data.tensor))
        elif form == "ndarray":
            yield _ndarray(data.ndarray)
        elif form == "tftensor":
            yield read_tensor("data", data.tftensor)
        if data.names:
            yield Output("names", BYTES, bytes_array(name.encode() for name in data.names))
    elif kind == "binData":
        yield _one(kind, message.binData)
    elif kind == "strData":
        yield _one(kind, message.strData.encode())
    elif kind == "jsonData":
        yield _one(kind, _json(_plain(message.jsonData, _Budget())))
    elif kind == "customData":
        yield _one(kind, message.customData.SerializeToString(deterministic=True))


def _one(name: str, data: bytes) -> Output:
    return Output(name, BYTES, bytes_array([data]).reshape(()))


def _tensor(tensor: pb.Tensor) -> Array:
    values = np.array(tensor.values, np.float64)
    return shaped("data", values, list(tensor.shape) or [values.size])


def _ndarray(values: ListValue) -> Output:
    plain = _list(values, _Budget())
    shape = _shape(plain)
    leaves = list(_leaves(plain))
    if shape is not None and all(type(leaf) is float for leaf in leaves):
        return Output("data", "FP64", np.array(leaves, np.float64).reshape(shape))
    if shape is not None and all(type(leaf) is str for leaf in leaves):
        return Output("data", BYTES, bytes_array(leaf.encode() for leaf in leaves).reshape(shape))
    return _one("data", _json(plain))


class _Budget:
    """How many values may still be read of a message."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise UndecodableError(f"more than {MAX_NODES} values in one message")


def _list(values: ListValue, budget: _Budget) -> list[Any]:
    budget.spend(len(values.values))
    return [_plain(value, budget) for value in values.values]


def _plain(value: Value, budget: _Budget) -> Any:
    """What JSON would make of it; the depth is bounded by protobuf's own parser."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return _list(value.list_value, budget)
    if kind == "struct_value":
        fields = value.struct_value.fields
        budget.spend(len(fields))
        return {name: _plain(fields[name], budget) for name in fields}
    return None if kind in (None, "null_value") else getattr(value, kind)


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists; None if they are ragged."""
    if not isinstance(value, list):
        return ()
    inner = {_shape(item) for item in value} or {()}
    if len(inner) > 1 or None in inner:
        return None
    only = inner.pop()
    return None if only is None else (len(value), *only)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


_READER: Final = SeldonReader()
PROTOCOL: Final[PayloadProtocol] = PayloadProtocol(
    # A graph's entrance, and a model asked directly.
    predictions={"/seldon.protos.Seldon/Predict": _READER, "/seldon.protos.Model/Predict": _READER},
    not_predictions=("/seldon.protos.*/SendFeedback", "/seldon.protos.*/*Metadata"),
)
