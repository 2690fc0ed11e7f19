"""Captured files as record batches, whatever version of ours wrote them.

Rule: what cannot be read is named with its file and what to do, before anything is done with the
rest; nothing is read as a whole, so memory stays flat. Counterpart: `writer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN, SUFFIX
from sidecar.capture.schema import ADDED, ALL, VERSION, VERSION_KEY, WHAT_KEY, fixed_schema
from sidecar.capture.where import WhereError, parse_where

BATCH_ROWS = 1024
_FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
T = TypeVar("T")


class CapturedError(Exception):
    """Files that cannot be used; `errors` has one line for each thing that is wrong."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Captured:
    """Files that can be read, with the columns of all of them."""

    files: tuple[str, ...]
    schema: pa.Schema
    where: Any = None  # an Arrow expression
    filesystem: Any = None
    left_out: Mapping[str, str] = field(default_factory=dict)  # typed columns, and why
    chosen: tuple[str, ...] = ()  # why pairs are in the files, where not all are: `capture.what`

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order of the files' names, in bounded batches.

        Raises:
            CapturedError: a file turns out to be damaged; those before it were given.
        """
        for file in self.files:
            yield from named(file, self._batches(file, columns))

    def _batches(self, file: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        dataset = ds.dataset([file], schema=self.schema, format=_FORMAT, filesystem=self.filesystem)
        wanted = None if columns is None else list(columns)
        # One row group after the other: a scanner of the whole file reads on ahead of who asks.
        for fragment in dataset.get_fragments():
            for group in fragment.split_by_row_group():
                scanner = group.scanner(
                    schema=self.schema,
                    columns=wanted,
                    filter=self.where,
                    batch_size=BATCH_ROWS,
                    batch_readahead=1,
                    use_threads=False,
                )
                for batch in scanner.to_batches():
                    if batch.num_rows:
                        yield batch

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows as mappings.

        Raises:
            CapturedError: as `batches`, and for text that is none.
        """
        for file in self.files:
            yield from named(file, self._rows(file, columns))

    def _rows(self, file: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        for batch in self._batches(file, columns):
            yield from batch.to_pylist()

    def count(self) -> int:
        """How many rows there are."""
        if self.where is None:
            files = (pq.read_metadata(f, filesystem=self.filesystem) for f in self.files)
            return sum(file.num_rows for file in files)
        return sum(batch.num_rows for batch in self.batches(["call"]))

    def calls(self) -> int:
        """How many calls these are: the rows of one, each of another shadow, follow each other."""
        calls, last = 0, None
        for batch in self.batches(["call"]):
            for call in batch["call"].to_pylist():
                calls += call != last
                last = call
        return calls


def named(file: str, items: Iterator[T]) -> Iterator[T]:
    """The same, with the file's name in what goes wrong while it is read.

    Raises:
        CapturedError: it is damaged, or gone.
    """
    try:
        yield from items
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CapturedError([f"{file}: damaged: {_line(error)}; move it away"]) from None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def open_captured(places: Sequence[str], where: str = "") -> Captured:
    """Find the files, and say everything that is wrong with them at once.

    Args:
        places: folders and files, or one URI of a folder.
        where: an expression over the columns; see `where`. Empty: all rows.

    Raises:
        CapturedError: a place does not exist, a file is damaged or foreign, no file is there, or
            the expression cannot be used.
    """
    if any("://" in place for place in places):
        return _remote(places, where)
    errors: list[str] = []
    files: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            inside = sorted(place.glob(f"*{SUFFIX}"))
            if not inside:
                still = len(list(place.glob(f"*{SUFFIX}{OPEN}")))
                more = f"; {still} still being written" if still else ""
                errors.append(f"{place}: no captured files (*{SUFFIX}){more}")
            files += inside
        elif place.is_file():
            files.append(place)
        else:
            errors.append(f"{place}: no such file or folder")
    schemas = []
    for file in files:
        try:
            schemas.append(_schema(str(file), pq.read_schema(file)))
        except (pa.ArrowException, OSError) as error:
            errors.append(f"{file}: damaged, or no Parquet file: {_line(error)}; move it away")
        except CapturedError as error:
            errors += error.errors
    if errors:
        raise CapturedError(errors)
    return _captured([str(file) for file in files], schemas, where, None)


def _remote(places: Sequence[str], where: str) -> Captured:
    if len(places) > 1:
        raise CapturedError(["give one URI, or folders and files of this machine"])
    try:
        filesystem, path = pafs.FileSystem.from_uri(places[0])
        found = filesystem.get_file_info(pafs.FileSelector(path))
        names = sorted(info.path for info in found if info.path.endswith(SUFFIX))
        if not names:
            raise CapturedError([f"{places[0]}: no captured files (*{SUFFIX})"])
        schemas = [_schema(name, pq.read_schema(name, filesystem=filesystem)) for name in names]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CapturedError([f"{places[0]}: {_line(error)}"]) from None
    return _captured(names, schemas, where, filesystem)


def _captured(
    files: Sequence[str], schemas: Sequence[pa.Schema], where: str, filesystem: Any
) -> Captured:
    told = {(schema.metadata or {}).get(WHAT_KEY, b"").decode() for schema in schemas}
    chosen = tuple(sorted(told - {ALL, ""}))
    schema, left_out = _unified([schema.remove_metadata() for schema in schemas])
    expression = None
    if where:
        try:
            expression = parse_where(where, schema.names)
        except WhereError as error:
            more = [f"{name} is left out: {why}" for name, why in left_out.items() if name in where]
            raise CapturedError([f"--where: {'; '.join([str(error), *more])}"]) from None
        try:
            ds.dataset(pa.Table.from_batches([], schema)).scanner(filter=expression).head(0)
        except (pa.ArrowException, NotImplementedError) as error:
            raise CapturedError([f"--where: {where!r}: {_line(error)}"]) from None
    return Captured(tuple(files), schema, expression, filesystem, left_out, chosen)


def _unified(schemas: Sequence[pa.Schema]) -> tuple[pa.Schema, dict[str, str]]:
    """One schema for all files; typed columns that cannot have one type are left out, with why."""
    fixed = fixed_schema()
    kinds: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for column in schema:
            if column.name not in fixed.names and column.type not in kinds.get(column.name, ()):
                kinds.setdefault(column.name, []).append(column.type)
    typed, left_out = [], {}
    for name, types in kinds.items():
        one = [pa.schema([pa.field(name, kind)]) for kind in types]
        try:
            typed.append(pa.unify_schemas(one, promote_options="permissive").field(0))
        except pa.ArrowException:
            left_out[name] = f"it is {' and '.join(map(str, types))} in different files"
    return pa.schema([*fixed, *typed]), left_out


def _schema(name: str, schema: pa.Schema) -> pa.Schema:
    told = (schema.metadata or {}).get(VERSION_KEY)
    if told is None:
        raise CapturedError(
            [f"{name}: not captured by shadow-sidecar: it names no capture version"]
        )
    if not told.isdigit() or int(told) > VERSION:
        raise CapturedError(
            [
                f"{name}: capture version {told.decode(errors='replace')}, "
                f"and this shadow-sidecar reads up to {VERSION}; use a newer one"
            ]
        )
    added = set(ADDED) if int(told) < VERSION else set()
    wrong = [
        f"{column.name} is {schema.field(column.name).type}, not {column.type}"
        if column.name in schema.names
        else f"{column.name} is missing"
        for column in fixed_schema()
        if column.name not in added
        and (column.name not in schema.names or not _same(schema, column))
    ]
    if len(set(schema.names)) != len(schema.names):
        wrong.append("columns come twice")
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CapturedError([f"{name}: not as captured: {'; '.join(wrong[:3])}{more}"])
    return schema


def _same(schema: pa.Schema, column: pa.Field) -> bool:
    """Whether a file's column is of its type, as far as what it holds goes."""
    kind = schema.field(column.name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind):
        kind = pa.string()
    return bool(kind.equals(column.type))
