"""Rows become Arrow columns; chosen inputs and outputs get typed columns of their own.

Rule: what was not asked for by name is not here, and what is masked is masked here, in the process
that read it. A value that does not fit its column's type is null and counted, never an error: the
type of a typed column is that of the first values which the file sees. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa

from sidecar.call import Metadata
from sidecar.capture.row import Row
from sidecar.capture.schema import INPUT, PRODUCTION, SHADOW, fixed_schema
from sidecar.capture.settings import CaptureSettings
from sidecar.compare.result import Comparison
from sidecar.judge.pair import Value

MASK = "\u2022\u2022\u2022"
MAX_TYPED = 256  # columns of chosen inputs and outputs in one file; the rest is left out, counted


class Columns:
    """Turns rows into record batches of one schema: that of one file."""

    def __init__(self, settings: CaptureSettings, first: Sequence[Row]) -> None:
        """`first` are the rows that the types of chosen inputs and outputs are read from."""
        self._settings = settings
        self._fixed = fixed_schema()
        typed = _types(first)
        # What is masked is text, whatever it was.
        typed = {
            name: pa.string() if _any(settings.mask, _bare(name)) else kind
            for name, kind in typed.items()
        }
        self.left_out = max(0, len(typed) - MAX_TYPED)
        self._typed = dict(sorted(typed.items())[:MAX_TYPED])
        self.schema = pa.schema(
            [*self._fixed, *(pa.field(name, kind) for name, kind in self._typed.items())],
            metadata=self._fixed.metadata,
        )
        self.misfits = 0  # values that did not fit their column

    def batch(self, rows: Sequence[Row]) -> pa.RecordBatch:
        """Make a batch of the rows."""
        wanted, mask = self._settings.metadata, self._settings.mask
        payloads = self._settings.payloads
        plain: list[dict[str, Any]] = [_plain(row, wanted, mask, payloads) for row in rows]
        arrays = [pa.array([one[field.name] for one in plain], field.type) for field in self._fixed]
        values = [_values(row) for row in rows]
        for name, kind in self._typed.items():
            column = [found.get(name) for found in values]
            if _any(mask, _bare(name)):
                column = [None if value is None else MASK for value in column]
            arrays.append(self._array(column, kind))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, values: list[Any], kind: pa.DataType) -> pa.Array:
        try:
            return pa.array(values, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return pa.array([self._fit(value, kind) for value in values], kind)

    def _fit(self, value: Any, kind: pa.DataType) -> Any:
        try:
            pa.scalar(value, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            self.misfits += 1
            return None
        return value


def _plain(row: Row, wanted: Iterable[str], mask: Iterable[str], payloads: bool) -> dict[str, Any]:
    found, ours, theirs = row.comparison, row.production, row.answer
    return {
        "experiment": row.experiment,
        "call": row.call,
        "time": row.started_ns // 1000,
        "request_ms": row.request_ns / 1e6,
        "timeout_ms": None if row.timeout_ns is None else row.timeout_ns / 1e6,
        "method": row.method,
        "peer": row.peer,
        "correlation_id": row.correlation_id or None,
        "trace_id": row.trace_id or None,
        "shadow_trace_id": row.shadow_trace_id or None,
        "shadow": row.shadow,
        "role": row.role,
        "outcome": found.outcome.value,
        "agrees": found.agrees,
        "detail": found.detail,
        "reader": found.reader,
        "differences": _differences(found),
        "scores": _pairs(row.scores.items()),
        "slices": _pairs(row.slices),
        "production_status": ours.status,
        "production_detail": ours.detail,
        "production_latency_ms": ours.latency_ns / 1e6,
        "production_version": found.models[0] or None,
        "production_headers": _fields(ours.headers, wanted, mask),
        "production_trailers": _fields(ours.trailers, wanted, mask),
        "production_messages": list(ours.messages) if payloads else None,
        "shadow_status": theirs.status,
        "shadow_detail": theirs.detail,
        "shadow_latency_ms": theirs.latency_ns / 1e6,
        "shadow_version": found.models[1] or None,
        "shadow_headers": _fields(theirs.headers, wanted, mask),
        "shadow_trailers": _fields(theirs.trailers, wanted, mask),
        "shadow_messages": list(theirs.messages) if payloads else None,
        "metadata": _fields(row.metadata, wanted, mask),
        "request_messages": list(row.request) if payloads else None,
    }


def _differences(found: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "output": o.name,
            "outcome": o.outcome.value,
            "rule": o.rule,
            "score": o.score,
            "raw": _pairs(o.raw.items()),
        }
        for o in found.differing
    ]


def _pairs(items: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in items]


def _fields(metadata: Metadata, wanted: Iterable[str], mask: Iterable[str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": MASK if _any(mask, name) else value}
        for name, value in metadata
        if _any(wanted, name)
    ]


def _any(globs: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _bare(column: str) -> str:
    return column.partition(".")[2]


def _values(row: Row) -> dict[str, Any]:
    """The chosen values of a row by their column's name, as Arrow takes them."""
    found = {INPUT + name: _native(value) for name, value in row.inputs.items()}
    for name, (ours, theirs) in row.outputs.items():
        found[PRODUCTION + name] = _native(ours)
        found[SHADOW + name] = _native(theirs)
    return {name: value for name, value in found.items() if value is not None}


def _native(value: Value | None) -> Any:
    """A scalar, or a flat list of scalars; BYTES that are text become text."""
    if value is None or isinstance(value, (float, str)):
        return value
    array = np.asarray(value)
    if array.dtype == np.float16 or array.dtype.kind == "c":
        array = array.astype(np.float32) if array.dtype.kind != "c" else array.astype(str)
    flat = [_text(item) for item in array.reshape(-1).tolist()]
    return flat[0] if array.size == 1 and array.ndim <= 1 else flat


def _text(item: Any) -> Any:
    if not isinstance(item, bytes):
        return item
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item.hex()


def _types(rows: Iterable[Row]) -> Mapping[str, pa.DataType]:
    """A type for each chosen value that the rows have: number, text, truth, or a list of these."""
    found: dict[str, pa.DataType] = {}
    for row in rows:
        for name, value in _values(row).items():
            kind = _kind(value)
            if kind is not None:
                found[name] = _wider(found.get(name), kind)
    return found


def _kind(value: Any) -> pa.DataType | None:
    if isinstance(value, list):
        inner = next((k for k in map(_kind, value) if k is not None), None)
        return None if inner is None else pa.list_(inner)
    match value:
        case bool():
            return pa.bool_()
        case int():
            return pa.int64() if -(1 << 63) <= value < 1 << 63 else pa.uint64()
        case float():
            return pa.float64()
        case str():
            return pa.string()
    return None


def _wider(one: pa.DataType | None, other: pa.DataType) -> pa.DataType:
    """The type for both, as far as there is one; else the first."""
    if one is None or one == other:
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    return one
