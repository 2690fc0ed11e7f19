"""Any message that descriptors tell of: an input is a field by its path, `a.b.c`.

Fields below repeated messages and maps have no one value, and are left as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from sidecar.compare.payload import Array
from sidecar.replay.changes.base import Change, Changed, Changer, Normal, distance, noisy

_FLOATS = {FieldDescriptor.CPPTYPE_FLOAT: np.float32, FieldDescriptor.CPPTYPE_DOUBLE: np.float64}


def changer_of(kind: type[Message]) -> Changer:
    """A changer of messages of one class."""

    def change_field(change: Change, message: bytes, other: bytes, draws: Normal) -> Changed | None:
        request = kind.FromString(message)
        found = _find(request, change.input)
        if found is None:
            return None
        holder, field = found
        before = _array(holder, field)
        if change.how == "missing":
            holder.ClearField(field.name)
            return Changed(request.SerializeToString(), 1.0)
        if change.how == "swap":
            theirs = _find(kind.FromString(other), change.input)
            if theirs is None:
                return None
            _copy(field, theirs[0], holder)
            moved = distance(before, _array(holder, field))
            return Changed(request.SerializeToString(), moved)
        if before is None or field.cpp_type not in _FLOATS:
            return None
        made = noisy(before, change.amount, draws)
        if field.is_repeated:
            getattr(holder, field.name)[:] = made.tolist()
        else:
            setattr(holder, field.name, made.reshape(-1)[0].item())
        return Changed(request.SerializeToString(), distance(before, made))

    return change_field


def _find(message: Message, path: str) -> tuple[Any, FieldDescriptor] | None:
    """The message that holds a field that is there, and the field."""
    holder: Any = message
    *above, last = path.split(".")
    for name in above:
        field = holder.DESCRIPTOR.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            return None
        if not holder.HasField(name):
            return None
        holder = getattr(holder, name)
    field = holder.DESCRIPTOR.fields_by_name.get(last)
    if field is None or (field.is_repeated and field.message_type is not None):
        return None
    if field.has_presence and not holder.HasField(last):
        return None
    return holder, field


def _array(holder: Any, field: FieldDescriptor) -> Array | None:
    """A field's numbers; None if it holds none."""
    if field.message_type is not None or field.cpp_type in {
        FieldDescriptor.CPPTYPE_STRING,
        FieldDescriptor.CPPTYPE_ENUM,
    }:
        return None
    value = getattr(holder, field.name)
    return np.array(value if field.is_repeated else [value], _FLOATS.get(field.cpp_type))


def _copy(field: FieldDescriptor, source: Any, target: Any) -> None:
    value = getattr(source, field.name)
    if field.message_type is not None:
        getattr(target, field.name).CopyFrom(value)
    elif field.is_repeated:
        getattr(target, field.name)[:] = value
    else:
        setattr(target, field.name, value)
