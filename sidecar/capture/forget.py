"""The right to be forgotten: files are rewritten without the calls that are named.

Rule: a file is replaced whole, by an atomic rename, or stays as it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN
from sidecar.capture.reader import CapturedError, open_captured


def forget(places: Sequence[str], ids: Sequence[str]) -> tuple[int, int]:
    """Remove every pair of these correlation ids.

    Returns:
        How many pairs are gone, and how many files were rewritten or removed.

    Raises:
        CapturedError: a file cannot be used, or rewritten; files before it are done.
    """
    if any("://" in place for place in places):
        raise CapturedError(["--forget works on folders and files of this machine"])
    gone = files = 0
    for name in open_captured(places).files:
        try:
            removed = _rewrite(Path(name), pa.array(ids))
        except OSError as error:
            raise CapturedError([f"{name}: {error.strerror}"]) from None
        gone += removed
        files += removed > 0
    return gone, files


def _rewrite(file: Path, ids: pa.Array) -> int:
    source = pq.ParquetFile(file)
    part = file.with_name(file.name + OPEN)
    removed = 0
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            with pq.ParquetWriter(sink, source.schema_arrow, compression="zstd") as writer:
                for batch in source.iter_batches():
                    named = pc.fill_null(pc.is_in(batch["correlation_id"], ids), False)
                    removed += pc.sum(named).as_py() or 0
                    writer.write_batch(batch.filter(pc.invert(named)))
            sink.flush()
            os.fsync(sink.fileno())
        if removed:
            part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return removed
