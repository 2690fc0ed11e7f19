"""The file that is being written: whole under its name, or not there.

Rule: the data is on the disk before the file has its name, and the name is on the disk before
anybody is told of its rows. While it is written it is locked, so that no other process takes it for
a crashed writer's. Counterparts: `budget`, which clears away what a crash has left; `writer`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN, ROWS, create, sync_folder
from sidecar.capture.columns import Columns
from sidecar.capture.target import Target

_FEW_VALUES: Final = (
    *("experiment", "method", "peer", "shadow", "role", "outcome", "detail", "reader"),
    *(f"{side}_{name}" for side in ("production", "shadow") for name in ("detail", "version")),
)
"""Columns that are worth a dictionary. Messages are not: their hashes cost more than all else."""


def parquet_writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """How captured files are written: compressed, checked by page, no statistics of payloads."""
    names = [field.name for field in schema]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[name for name in _FEW_VALUES if name in names],
        write_statistics=[name for name in names if not name.endswith("_messages")],
        write_page_checksum=True,
    )


class OpenFile:
    """One file, from its first row until it is whole."""

    def __init__(self, target: Target, name: str, columns: Columns, began: float) -> None:
        """Open it.

        Args:
            target: the folder.
            name: the file's, when it is whole.
            columns: make its batches.
            began: Unix seconds.

        Raises:
            OSError: it cannot be made.
        """
        self.columns = columns
        self.began = began
        self.rows = 0
        self._local: _Local | None = None
        self._sink: Any
        if target.local is None:
            # An object store shows an object when it is whole.
            assert target.files is not None
            self._sink = target.files.open_output_stream(f"{target.path}/{name}")
        else:
            self._local = _Local(target.local, name)
            self._sink = self._local.data
        self._writer = parquet_writer(self._sink, columns.schema)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return int(self._sink.tell())

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(batch)
        self.rows += batch.num_rows
        if self._local is not None:
            self._local.note(self.rows)

    def finish(self) -> None:
        """Make it whole, and show it under its name."""
        self._writer.close()
        if self._local is None:
            self._sink.close()
        else:
            self._local.show()

    def abandon(self) -> None:
        """Leave nothing half written."""
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(Exception):
            self._sink.close()
        if self._local is not None:
            self._local.remove()


class _Local:
    """A file of this machine under its working name, and beside it how many rows it holds."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._whole = folder / name
        self._open = folder / (name + OPEN)
        self._count = folder / (name + OPEN + ROWS)
        self.data = create(self._open)
        self._rows = os.open(self._count, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def note(self, rows: int) -> None:
        """Write down how many rows there are; in place, so that a crash finds one or the other."""
        os.pwrite(self._rows, b"%20d" % rows, 0)

    def show(self) -> None:
        """Give it its name."""
        self.data.flush()
        os.fsync(self.data.fileno())
        os.close(self._rows)
        # Before the rename: a crash in between loses the file, and leaves nothing behind.
        self._count.unlink()
        self._open.rename(self._whole)
        self.data.close()
        sync_folder(self._folder)

    def remove(self) -> None:
        """Take it away."""
        with contextlib.suppress(OSError):
            os.close(self._rows)
        for file in (self._open, self._count):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
