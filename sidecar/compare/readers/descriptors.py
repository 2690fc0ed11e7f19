"""Reads any unary or streaming method whose messages are described by a FileDescriptorSet.

Rule: a message becomes named tensors by the paths of its fields, so that the names do not depend on
the values:

    scalar field                 `a`, no dimensions; present also when it has its default value,
                                 unless the field can tell absence (optional, oneof)
    repeated scalar              `a`, [n]
    message                      `a.b` for each of its leaves, if it is there
    repeated message             `a.b` with a new first axis; `a[i].b` where the leaves are ragged
    map                          as a repeated message with the leaves `key` and `value`, by key
    enum                         BYTES: the value's name, or its number if it has none
    string, bytes                BYTES

Counterpart: `reflection`, which fetches descriptors from a running server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Final

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message

from sidecar.compare.payload import (
    BYTES,
    NUMPY_TYPES,
    Array,
    Decoded,
    Output,
    UndecodableError,
    bytes_array,
    stack,
)
from sidecar.compare.readers.bound import check

MAX_NODES: Final = 100_000  # messages visited in one message: about a second's work

WELL_KNOWN: Final = frozenset(
    f"google/protobuf/{name}.proto"
    for name in ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")
)

_TYPES: Final = {
    FieldDescriptor.CPPTYPE_BOOL: "BOOL",
    FieldDescriptor.CPPTYPE_INT32: "INT32",
    FieldDescriptor.CPPTYPE_INT64: "INT64",
    FieldDescriptor.CPPTYPE_UINT32: "UINT32",
    FieldDescriptor.CPPTYPE_UINT64: "UINT64",
    FieldDescriptor.CPPTYPE_FLOAT: "FP32",
    FieldDescriptor.CPPTYPE_DOUBLE: "FP64",
    FieldDescriptor.CPPTYPE_STRING: BYTES,
    FieldDescriptor.CPPTYPE_ENUM: BYTES,
}


class DescriptorReader:
    """Reads the messages of one method, given their generated classes."""

    name = "descriptors"

    def __init__(self, request: type[Message], response: type[Message]) -> None:
        self.request = request
        self._response = response

    def read_response(self, message: bytes) -> Decoded:
        """Read a response by its descriptor."""
        return _read(self._response, message)

    def read_request(self, message: bytes) -> Decoded:
        """Read a request by its descriptor."""
        return _read(self.request, message)


def readers(serialized: bytes) -> dict[str, DescriptorReader]:
    """Make a reader for every method in a serialized FileDescriptorSet: "/package.Service/Method".

    The descriptors live in a pool of their own. Files may come in any order; those of Google's
    well-known types may be left out.

    Raises:
        ValueError: it is no FileDescriptorSet, or not a complete one.
    """
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(serialized).file
    except DecodeError as error:
        raise ValueError("not a serialized FileDescriptorSet") from error
    return readers_of(files)


def readers_of(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> dict[str, DescriptorReader]:
    """Make a reader for every method of `files`; raises as `readers` does."""
    pool = descriptor_pool.DescriptorPool()
    try:
        added = [pool.FindFileByName(name) for name in _add_all(pool, {f.name: f for f in files})]
        return dict(_methods(added))
    except (TypeError, KeyError) as error:  # what protobuf raises for a broken descriptor
        raise ValueError(f"descriptors that do not fit together: {error}") from error


def _add_all(
    pool: descriptor_pool.DescriptorPool, files: dict[str, descriptor_pb2.FileDescriptorProto]
) -> list[str]:
    """Add every file after those it depends on; a file is added once."""
    added: dict[str, None] = {}
    todo = sorted(files)
    waiting: set[str] = set()
    while todo:
        name = todo[-1]
        if name in added:
            todo.pop()
            continue
        file = files.get(name) or _well_known(name)
        missing = [d for d in file.dependency if d not in added]
        if not missing:
            pool.AddSerializedFile(file.SerializeToString())
            added[todo.pop()] = None
        elif name in waiting:
            raise ValueError(f"descriptors that depend on each other: {name}")
        else:
            waiting.add(name)
            todo += missing
    return list(added)


def _well_known(name: str) -> descriptor_pb2.FileDescriptorProto:
    if name not in WELL_KNOWN:
        raise ValueError(f"a descriptor is missing: {name}")
    import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")  # fills the default pool
    file = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
    return file


def _methods(files: Iterable[FileDescriptor]) -> Iterator[tuple[str, DescriptorReader]]:
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", _reader(method)


def _reader(method: MethodDescriptor) -> DescriptorReader:
    return DescriptorReader(
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
    )


def _read(kind: type[Message], message: bytes) -> Decoded:
    check(kind, message)
    try:
        parsed = kind.FromString(message)
    except DecodeError as error:
        raise UndecodableError(f"not a {kind.DESCRIPTOR.full_name}") from error
    return Decoded(tuple(_Flattening().leaves(parsed)))


class _Flattening:
    """One message's walk, with the count that bounds it."""

    def __init__(self) -> None:
        self._nodes = 0

    def leaves(self, message: Message) -> Iterator[Output]:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise UndecodableError(f"more than {MAX_NODES} messages in one")
        fields: Iterable[Any] = message.DESCRIPTOR.fields  # pure Python's descriptors, or upb's
        for field in fields:
            if field.has_presence and not message.HasField(field.name):
                continue
            yield from self._field(field, getattr(message, field.name))

    def _field(self, field: FieldDescriptor, value: Any) -> Iterator[Output]:
        if field.is_repeated and field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                yield from self._map(field, value)
            else:
                yield from _aligned(field.name, [list(self.leaves(item)) for item in value])
        elif field.message_type is not None:
            for leaf in self.leaves(value):
                yield Output(f"{field.name}.{leaf.name}", leaf.dtype, leaf.array)
        else:
            yield _leaf(field.name, field, value, repeated=field.is_repeated)

    def _map(self, field: FieldDescriptor, value: Any) -> Iterator[Output]:
        entry = field.message_type
        assert entry is not None
        keys = sorted(value)
        yield _leaf(f"{field.name}.key", entry.fields_by_name["key"], keys, repeated=True)
        values = entry.fields_by_name["value"]
        if values.message_type is None:
            found = [value[key] for key in keys]
            yield _leaf(f"{field.name}.value", values, found, repeated=True)
        else:
            entries = [list(self.leaves(value[key])) for key in keys]
            yield from _aligned(f"{field.name}.value", entries)


def _aligned(name: str, items: list[list[Output]]) -> Iterator[Output]:
    """Stack each leaf that all items have in one shape; name the others by their item's index."""
    parts: dict[tuple[str, str], list[tuple[int, Array]]] = {}
    for i, leaves in enumerate(items):
        for leaf in leaves:
            parts.setdefault((leaf.name, leaf.dtype), []).append((i, leaf.array))
    for (path, dtype), found in parts.items():
        arrays = [array for _, array in found]
        if len(found) == len(items) and len({array.shape for array in arrays}) == 1:
            yield from stack(f"{name}.{path}", dtype, arrays)
        else:
            for i, array in found:
                yield Output(f"{name}[{i}].{path}", dtype, array)


def _leaf(name: str, field: FieldDescriptor, value: Any, *, repeated: bool) -> Output:
    dtype = _TYPES[field.cpp_type]
    values = value if repeated else [value]
    if field.enum_type is not None:
        names = field.enum_type.values_by_number
        texts = (names[v].name if v in names else str(v) for v in values)
        array = bytes_array(text.encode() for text in texts)
    elif dtype == BYTES:
        array = bytes_array(v.encode() if isinstance(v, str) else v for v in values)
    else:
        array = np.array(values, NUMPY_TYPES[dtype])
    return Output(name, dtype, array if repeated else array.reshape(()))
