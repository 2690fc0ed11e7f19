"""What a payload reader makes of one message: named tensors.

Rule: a reader either understands the whole message or raises `UndecodableError`; it allocates in
proportion to the bytes it was given, never to what they claim. Counterparts: the readers
(`open_inference`, `tensorflow_serving`, `descriptors`, `opaque`) and `rules`, which compare what
they read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Array: TypeAlias = "npt.NDArray[Any]"

BYTES: Final = "BYTES"
MAX_OUTPUTS: Final = 4096  # of one message
MAX_RANK: Final = 64  # numpy's own bound

# Datatypes in the Open Inference Protocol's words, and those that only TensorFlow has.
# BF16 is not here: numpy has no such type, so its arrays are float32 (see `widen_bfloat16`).
NUMPY_TYPES: Final[dict[str, str]] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "COMPLEX64": "<c8",
    "COMPLEX128": "<c16",
    "QINT8": "<i1",
    "QUINT8": "<u1",
    "QINT16": "<i2",
    "QUINT16": "<u2",
    "QINT32": "<i4",
}


class UndecodableError(Exception):
    """The bytes are not the message that the method calls for; says why, without their values."""


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One named tensor.

    `dtype` is the datatype as the payload names it; two outputs of the same numpy type may have
    different ones (FP32 and BF16). Elements of a BYTES array are Python bytes (numpy object type).
    """

    name: str
    dtype: str
    array: Array


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One message, read. For a request the outputs are its inputs."""

    outputs: tuple[Output, ...]
    model: str = ""  # "name:version", as far as the message names them
    request_id: str = ""
    error: str = ""  # an error told inside a message of a stream whose status is OK


class Reader(Protocol):
    """Reads the messages of one or more methods."""

    name: str

    def read_response(self, message: bytes) -> Decoded:
        """Raises `UndecodableError`, and nothing else."""
        ...

    def read_request(self, message: bytes) -> Decoded:
        """Raises `UndecodableError`, and nothing else."""
        ...


def model_name(name: str, version: str) -> str:
    """Join a model's name and version as `Decoded.model` wants them."""
    return f"{name}:{version}" if version else name


def element_count(shape: Sequence[int]) -> int:
    """Count a shape's elements, without allocating anything.

    Raises:
        UndecodableError: a dimension is negative, or there are too many.
    """
    if len(shape) > MAX_RANK:
        raise UndecodableError(f"a shape of {len(shape)} dimensions")
    if any(size < 0 for size in shape):
        raise UndecodableError("a shape with a negative dimension")
    return math.prod(shape)


def shaped(name: str, flat: Array, shape: Sequence[int]) -> Array:
    """Give a flat array its shape, which must claim exactly as many elements as there are."""
    if element_count(shape) != flat.size:
        raise UndecodableError(f"{name}: {flat.size} elements for a shape of {list(shape)}")
    try:
        return flat.reshape(shape)
    except ValueError as error:  # no elements, and the other dimensions beyond any address space
        raise UndecodableError(f"{name}: impossible shape {list(shape)}") from error


def numbers_from_bytes(name: str, dtype: str, data: bytes) -> Array:
    """Read little-endian elements that follow each other without padding; BYTES excepted."""
    if dtype == "BF16":
        return widen_bfloat16(_from_buffer(name, np.dtype("<u2"), data))
    numpy_type = NUMPY_TYPES.get(dtype)
    if numpy_type is None:
        raise UndecodableError(f"{name}: unknown datatype {dtype[:32]!r}")
    if dtype == "BOOL":  # any byte but 0 is true, and must not make two trues differ
        return _from_buffer(name, np.dtype(np.uint8), data).astype(np.bool_)
    return _from_buffer(name, np.dtype(numpy_type), data)


def _from_buffer(name: str, numpy_type: np.dtype[Any], data: bytes) -> Array:
    if len(data) % numpy_type.itemsize:
        raise UndecodableError(
            f"{name}: {len(data)} bytes are no multiple of {numpy_type.itemsize}"
        )
    return np.frombuffer(data, numpy_type)


def widen_bfloat16(bits: Array) -> Array:
    """Turn bfloat16 bit patterns (uint16) into the float32 values that they are a prefix of."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def numbers_from_field(name: str, dtype: str, values: Any) -> Array:
    """Read a repeated numeric field, which may be wider than the datatype that it carries.

    Raises:
        UndecodableError: an integer is beyond its datatype's range.
    """
    wide = np.array(values)  # protobuf 7 hands its buffer over at once
    target = np.dtype(NUMPY_TYPES[dtype])
    if target.kind in "iu" and wide.dtype.kind not in "iub":
        # Protobuf 6 gives single numbers, and from 2**63 on numpy would make floats of them.
        try:
            wide = np.array(list(values), np.uint64 if target.kind == "u" else np.int64)
        except OverflowError:
            raise UndecodableError(f"{name}: an element is beyond the range of {dtype}") from None
    narrow = wide.astype(target)
    if narrow.dtype.kind in "iu" and narrow.itemsize < wide.itemsize and (narrow != wide).any():
        raise UndecodableError(f"{name}: an element is beyond the range of {dtype}")
    return narrow


def bytes_array(elements: Iterable[bytes]) -> Array:
    """Make a flat BYTES array; never lets numpy guess a fixed width, which would drop NULs."""
    items = list(elements)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def stack(name: str, dtype: str, parts: Sequence[Array]) -> list[Output]:
    """Lay arrays of a repeated thing along a new first axis, or name each one if they are ragged.

    Uniform parts become one output `name` of shape [n, ...]; ragged ones `name[0]`, `name[1]`, ...
    """
    if len({part.shape for part in parts}) <= 1:
        array = np.stack(parts) if parts else np.empty(0, NUMPY_TYPES.get(dtype, object))
        return [Output(name, dtype, array)]
    return [Output(f"{name}[{i}]", dtype, part) for i, part in enumerate(parts)]
