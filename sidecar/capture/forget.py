"""The right to be forgotten: files are rewritten without the calls that are named.

Rule: a file is replaced whole, by an atomic rename, or stays as it was; nothing of a forgotten call
is left in the new one, its statistics and dictionaries included, since all of it is written anew.
What a crashed writer left is taken away too. What is being written now cannot be rewritten: it is
told, so that nobody takes it for forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN, SUFFIX, clean, create, sync_folder
from sidecar.capture.open_file import parquet_writer
from sidecar.capture.reader import CapturedError, named, open_captured

NAMES = ("correlation_id", "trace_id")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done."""

    pairs: int = 0  # that are gone
    files: int = 0  # rewritten, or removed because nothing else was in them
    being_written: int = 0  # files that a writer holds open now, and that may have such pairs


def forget(places: Sequence[str], ids: Sequence[str]) -> Forgotten:
    """Remove every pair of these correlation ids; a call without one goes by its trace id.

    Raises:
        CapturedError: a file cannot be used, or rewritten; files before it are done.
    """
    if any("://" in place for place in places):
        raise CapturedError(["--forget works on folders and files of this machine"])
    folders = [Path(place) for place in places if Path(place).is_dir()]
    pairs = files = 0
    try:
        for folder in folders:
            clean(folder)
        for name in open_captured(places).files:
            removed = _rewrite(Path(name), pa.array(ids, pa.string()))
            pairs += removed
            files += removed > 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CapturedError([f"{where}{error.strerror or error}"]) from None
    still = sum(len(list(folder.glob(f"*{SUFFIX}{OPEN}"))) for folder in folders)
    return Forgotten(pairs, files, still)


def _rewrite(file: Path, ids: pa.Array) -> int:
    part = file.with_name(file.name + OPEN)
    removed = kept = 0
    with pq.ParquetFile(file, page_checksum_verification=True) as source, create(part) as sink:
        try:
            schema = _plain(source.schema_arrow)
            with parquet_writer(sink, schema) as writer:
                for batch in named(str(file), source.iter_batches()):
                    gone = pc.or_(*(pc.is_in(batch[name], ids) for name in NAMES))
                    removed += pc.sum(gone).as_py() or 0
                    left = batch.filter(pc.invert(gone)).cast(schema)
                    kept += left.num_rows
                    writer.write_batch(left)
            sink.flush()
            os.fsync(sink.fileno())
            if removed and kept:
                part.rename(file)
            elif removed:
                file.unlink()
            sync_folder(file.parent)
        finally:
            part.unlink(missing_ok=True)
    return removed


def _plain(schema: pa.Schema) -> pa.Schema:
    """Without dictionaries in memory, which would carry the values of rows that are gone."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, schema.metadata)
