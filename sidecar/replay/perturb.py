"""A request with one input that is a little wrong: noisy, missing, or another call's.

Rule: everything else in the message stays as it was, and what cannot be changed is None, never a
guess. Requests of the Open Inference Protocol can be changed; others are left out and counted.
Pure: the draws are an argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from google.protobuf.message import DecodeError

from sidecar.compare.payload import BYTES, Array, UndecodableError, numbers_from_bytes
from sidecar.compare.readers.open_inference import TYPED_FIELDS, OpenInferenceReader
from sidecar.pb.inference import open_inference_pb2 as pb

_NOISE = re.compile(r"(?P<name>[^:=]+):noise=(?P<amount>[0-9.eE+-]+)")
_FLOATS = {"FP16", "FP32", "FP64"}
_READER = OpenInferenceReader()


class Normal(Protocol):
    """Where draws come from: numpy's Generator has it."""

    def standard_normal(self, size: int) -> Array:
        """So many draws of the standard normal distribution."""
        ...


class PerturbError(ValueError):
    """A change that cannot be read."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one input of every request."""

    input: str
    how: Literal["noise", "missing", "swap"]
    amount: float = 0.0  # noise: standard deviation, relative to the input's own size

    def __str__(self) -> str:
        return (
            f"{self.input}:noise={self.amount:g}"
            if self.how == "noise"
            else (f"{self.input}=missing" if self.how == "missing" else f"{self.input}:swap")
        )


def parse_change(text: str) -> Change:
    """Read `INPUT:noise=0.01`, `INPUT=missing` or `INPUT:swap`.

    Raises:
        PerturbError: it is none of these.
    """
    if found := _NOISE.fullmatch(text):
        try:
            amount = float(found["amount"])
        except ValueError:
            amount = 0.0
        if 0 < amount < float("inf"):
            return Change(found["name"], "noise", amount)
    for end, how in (("=missing", "missing"), (":swap", "swap")):
        name = text.removesuffix(end)
        if name and name != text and ":" not in name and "=" not in name:
            return Change(name, "missing" if how == "missing" else "swap")
    raise PerturbError(
        f"{text!r}: must be INPUT:noise=0.01 (relative), INPUT=missing or INPUT:swap"
    )


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed request, and how far from the original its input is."""

    message: bytes
    relative: float  # |changed - original| / |original|, Euclidean; 1 where it has no size


def changed(change: Change, message: bytes, other: bytes, draws: Normal) -> Changed | None:
    """Change one request.

    Args:
        change: what to do.
        message: the request.
        other: another call's, which `swap` takes the input from.
        draws: the noise.

    Returns:
        None where the request has no such input, or it cannot be changed in that way.
    """
    try:
        request = pb.ModelInferRequest.FromString(message)
        index = next((i for i, t in enumerate(request.inputs) if t.name == change.input), None)
        if index is None:
            return None
        if change.how == "missing":
            return _missing(request, index)
        if change.how == "swap":
            return _swapped(request, index, pb.ModelInferRequest.FromString(other), message, other)
        return _noisy(request, index, change.amount, draws)
    except (DecodeError, UndecodableError):
        return None


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
    relative = _distance(_array(message, name), _array(others, name))
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
    else:
        values = np.array(getattr(tensor.contents, TYPED_FIELDS[tensor.datatype]))
    noisy = values + draws.standard_normal(values.size) * amount * _scale(values)
    if raw:
        request.raw_input_contents[index] = noisy.astype(values.dtype).tobytes()
    else:
        field = getattr(tensor.contents, TYPED_FIELDS[tensor.datatype])
        del field[:]
        field.extend(noisy.tolist())
    return Changed(request.SerializeToString(), _distance(values, noisy))


def _scale(values: Array) -> float:
    """The size of an input's elements: their root mean square; 1 for zeros."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0


def _array(message: bytes, name: str) -> Array | None:
    outputs = _READER.read_request(message).outputs
    return next((o.array for o in outputs if o.name == name and o.dtype != BYTES), None)


def _distance(a: Array | None, b: Array | None) -> float:
    if a is None or b is None or a.shape != b.shape:
        return 1.0
    one, other = a.astype(np.float64).reshape(-1), b.astype(np.float64).reshape(-1)
    size = float(np.linalg.norm(one))
    return float(np.linalg.norm(other - one)) / size if size else 1.0
