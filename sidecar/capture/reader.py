"""Captured files as record batches, whatever version of ours wrote them.

Rule: what cannot be read is named with its file and what to do, before anything is done with the
rest; nothing is read as a whole, so memory stays flat. Counterpart: `writer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN, SUFFIX
from sidecar.capture.schema import VERSION, VERSION_KEY, fixed_schema
from sidecar.capture.where import WhereError, parse_where

BATCH_ROWS = 1024


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

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order of the files' names, in bounded batches."""
        dataset = ds.dataset(
            list(self.files), schema=self.schema, format="parquet", filesystem=self.filesystem
        )
        scanner = dataset.scanner(
            columns=None if columns is None else list(columns),
            filter=self.where,
            batch_size=BATCH_ROWS,
            batch_readahead=2,
            fragment_readahead=1,
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                yield batch

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows as mappings."""
        for batch in self.batches(columns):
            yield from batch.to_pylist()

    def count(self) -> int:
        """How many rows there are."""
        return sum(batch.num_rows for batch in self.batches(["call"]))


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
            reason = str(error).splitlines()[0][:200]
            errors.append(f"{file}: damaged, or no Parquet file: {reason}; move it away")
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
        raise CapturedError([f"{places[0]}: {str(error).splitlines()[0][:200]}"]) from None
    return _captured(names, schemas, where, filesystem)


def _captured(
    files: Sequence[str], schemas: Sequence[pa.Schema], where: str, filesystem: Any
) -> Captured:
    try:
        schema = pa.unify_schemas([fixed_schema(), *schemas], promote_options="permissive")
    except pa.ArrowException as error:
        raise CapturedError([f"the files' columns do not go together: {error}"]) from None
    expression = None
    if where:
        try:
            expression = parse_where(where, schema.names)
        except WhereError as error:
            raise CapturedError([f"--where: {error}"]) from None
        try:
            ds.dataset(list(files[:1]), schema=schema, filesystem=filesystem).scanner(
                filter=expression
            ).head(0)
        except (pa.ArrowException, NotImplementedError) as error:
            reason = str(error).splitlines()[0][:200]
            raise CapturedError([f"--where: {where!r}: {reason}"]) from None
    return Captured(tuple(files), schema, expression, filesystem)


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
    return schema.remove_metadata()
