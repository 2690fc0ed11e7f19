"""Rows become Arrow columns; chosen inputs and outputs get typed columns of their own.

Rule: what was not asked for by name is not here, and what is masked is masked here, in the process
that read it. A value that does not fit its column's type is null and counted, never an error: the
type of a typed column is that of the first values which the file sees. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sidecar.call import Metadata
from sidecar.capture.row import Row
from sidecar.capture.schema import (
    DIFFERENCES,
    FIELDS,
    INPUT,
    MESSAGES,
    PRODUCTION,
    SCORES,
    SHADOW,
    TIME,
    fixed_schema,
)
from sidecar.capture.settings import CaptureSettings
from sidecar.compare.result import Comparison
from sidecar.judge.pair import Value

MASK = "\u2022\u2022\u2022"
UNFIT: Final = (pa.ArrowException, ValueError, TypeError, OverflowError)
"""What Arrow raises for a value that is not of a column's type."""
MAX_TYPED = 256  # columns of chosen inputs and outputs in one file; the rest is left out, counted


class Columns:
    """Turns rows into record batches of one schema: that of one file."""

    def __init__(self, settings: CaptureSettings, first: Sequence[Row]) -> None:
        """`first` are the rows that the types of chosen inputs and outputs are read from."""
        self._mask = settings.mask
        self._payloads = settings.payloads
        self._fixed = fixed_schema(settings.what)
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
        # Names come from the traffic: the cache is bounded.
        self._shown = lru_cache(maxsize=1024)(
            lambda name: (_any(settings.metadata, name), _any(settings.mask, name))
        )
        self._any_metadata = bool(settings.metadata)

    def batch(self, rows: Sequence[Row]) -> pa.RecordBatch:
        """Make a batch of the rows.

        Raises:
            pyarrow.ArrowException, ValueError, TypeError, OverflowError: a row holds what no
                column can; see `fitting`.
        """
        fixed = self._columns(rows)
        arrays = [fixed[field.name] for field in self._fixed]
        values = [_values(row) for row in rows] if self._typed else []
        for name, kind in self._typed.items():
            column = [found.get(name) for found in values]
            if _any(self._mask, _bare(name)):
                column = [None if value is None else MASK for value in column]
            arrays.append(self._array(column, kind))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def fitting(self, rows: Sequence[Row]) -> list[Row]:
        """Those that columns can hold: what a peer sends may be no text, or too large."""
        found = []
        for row in rows:
            try:
                self.batch([row])
            except UNFIT:
                continue
            found.append(row)
        return found

    def _columns(self, rows: Sequence[Row]) -> dict[str, pa.Array]:
        """The fixed columns, each made at once: a row as a mapping costs three times as much."""
        compared = [row.comparison for row in rows]
        sides = (
            (PRODUCTION, [row.production for row in rows], [c.models[0] for c in compared]),
            (SHADOW, [row.answer for row in rows], [c.models[1] for c in compared]),
        )
        text, number = pa.string(), pa.float64()
        found = {
            "experiment": pa.array([row.experiment for row in rows], text),
            "call": pa.array([row.call for row in rows], text),
            "time": pa.array([row.started_ns // 1000 for row in rows], TIME),
            "request_ms": pa.array([row.request_ns / 1e6 for row in rows], number),
            "timeout_ms": _milliseconds([row.timeout_ns for row in rows]),
            "method": pa.array([row.method for row in rows], text),
            "peer": pa.array([row.peer for row in rows], text),
            "correlation_id": pa.array([row.correlation_id or None for row in rows], text),
            "trace_id": pa.array([row.trace_id or None for row in rows], text),
            "shadow_trace_id": pa.array([row.shadow_trace_id or None for row in rows], text),
            "shadow": pa.array([row.shadow for row in rows], text),
            "role": pa.array([row.role for row in rows], text),
            "outcome": pa.array([c.outcome.value for c in compared], text),
            "agrees": pa.array([c.agrees for c in compared], pa.bool_()),
            "detail": pa.array([c.detail for c in compared], text),
            "reader": pa.array([c.reader for c in compared], text),
            "differences": pa.array([_differences(c) for c in compared], DIFFERENCES),
            "scores": _named([tuple(row.scores.items()) for row in rows], SCORES),
            "slices": _named([row.slices for row in rows], FIELDS),
            "shadow_wait_ms": _milliseconds([row.waited_ns for row in rows]),
            "metadata": self._fields([row.metadata for row in rows]),
            "request_messages": self._messages([row.request for row in rows]),
        }
        for prefix, answers, models in sides:
            side = prefix.replace(".", "_")
            found |= {
                f"{side}status": pa.array([a.status for a in answers], pa.int32()),
                f"{side}detail": pa.array([a.detail for a in answers], text),
                f"{side}latency_ms": pa.array([a.latency_ns / 1e6 for a in answers], number),
                f"{side}version": pa.array([model or None for model in models], text),
                f"{side}headers": self._fields([a.headers for a in answers]),
                f"{side}trailers": self._fields([a.trailers for a in answers]),
                f"{side}messages": self._messages([a.messages for a in answers]),
            }
        return found

    def _messages(self, values: list[tuple[bytes, ...]]) -> pa.Array:
        return pa.array(values if self._payloads else [None] * len(values), MESSAGES)

    def _fields(self, values: list[Metadata]) -> pa.Array:
        if not self._any_metadata:
            return _named([()] * len(values), FIELDS)
        return _named([self._allowed(metadata) for metadata in values], FIELDS)

    def _allowed(self, metadata: Metadata) -> list[tuple[str, str]]:
        found = []
        for name, value in metadata:
            wanted, masked = self._shown(name)
            if wanted:
                found.append((name, MASK if masked else value))
        return found

    def _array(self, values: list[Any], kind: pa.DataType) -> pa.Array:
        try:
            return pa.array(values, kind)
        except UNFIT:
            return pa.array([self._fit(value, kind) for value in values], kind)

    def _fit(self, value: Any, kind: pa.DataType) -> Any:
        try:
            pa.scalar(value, kind)
        except UNFIT:
            self.misfits += 1
            return None
        return value


def _milliseconds(values: Iterable[int | None]) -> pa.Array:
    return pa.array([None if ns is None else ns / 1e6 for ns in values], pa.float64())


def _named(groups: Sequence[Sequence[tuple[str, Any]]], kind: pa.DataType) -> pa.Array:
    """A list of names and values for each row."""
    flat = [pair for group in groups for pair in group]
    inner = kind.value_type
    struct = pa.StructArray.from_arrays(
        [
            pa.array([name for name, _ in flat], inner.field("name").type),
            pa.array([value for _, value in flat], inner.field("value").type),
        ],
        fields=[inner.field("name"), inner.field("value")],
    )
    ends = accumulate(map(len, groups), initial=0)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), struct, type=kind)


def _differences(found: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "output": o.name,
            "outcome": o.outcome.value,
            "rule": o.rule,
            "score": o.score,
            "raw": [{"name": name, "value": value} for name, value in o.raw.items()],
        }
        for o in found.differing
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
