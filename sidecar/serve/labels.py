"""Labels from a file: CSV as spreadsheets write it, or Parquet.

Columns: a correlation id and a value; if there is one, `weight` (above 0, at most 1) and `time`
(Unix seconds or ISO 8601). A CSV value that is JSON's number or list is read as such, anything
else is text. Rule: read row by row, so that a file may be larger than memory; every row that is
wrong is named by its number, and does not hide the others. Counterpart: `run.labels`, which sends
them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.judge.labels import Label
from sidecar.serve.convert import label_value

ID, VALUE, WEIGHT, TIME = "correlation_id", "value", "weight", "time"
ROWS_AT_ONCE = 10_000  # of a Parquet file


class LabelFileError(Exception):
    """What is wrong with a file, and where."""


class LabelRow(NamedTuple):
    """One row of a file."""

    number: int  # from 1, the heading not counted
    label: Label | None
    why_not: str = ""  # there is no label in it


def read_labels(path: Path, id_column: str = ID, value_column: str = VALUE) -> Iterator[Label]:
    """Read labels from a `.csv` or `.parquet` file, all of which must be right.

    Raises:
        LabelFileError: as `read_rows`, or a row is wrong; rows before it have been given.
    """
    for row in read_rows(path, id_column, value_column):
        if row.label is None:
            raise LabelFileError(f"{path}: row {row.number}: {row.why_not}")
        yield row.label


def read_rows(path: Path, id_column: str = ID, value_column: str = VALUE) -> Iterator[LabelRow]:
    """Read rows from a `.csv` or `.parquet` file, right or wrong.

    Raises:
        LabelFileError: it cannot be read, or lacks a column; rows before that have been given.
    """
    readers = {".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise LabelFileError(f"{path}: the name must end in {' or '.join(readers)}")
    try:
        for number, row in enumerate(reader(path, id_column, value_column), 1):
            try:
                yield LabelRow(number, _label(row, id_column, value_column))
            except (ValueError, TypeError, OverflowError) as error:
                yield LabelRow(number, None, str(error))
    except OSError as error:
        raise LabelFileError(f"{path}: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabelFileError(f"{path}: not CSV: {error}") from None


def _csv(path: Path, id_column: str, value_column: str) -> Iterator[Mapping[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, strict=True)
        _has(path, rows.fieldnames or (), {id_column, value_column})
        for row in rows:
            yield {**row, value_column: _parsed(row[value_column] or "")}


def _parquet(path: Path, id_column: str, value_column: str) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise LabelFileError(
            f"{path}: reading Parquet needs pyarrow: pip install 'shadow-sidecar[labels]'"
        ) from None
    try:
        file = ParquetFile(path)
        needed = {id_column, value_column}
        _has(path, file.schema_arrow.names, needed)
        known = [n for n in (*needed, WEIGHT, TIME) if n in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=known):
            yield from batch.to_pylist()
    except ArrowInvalid as error:
        raise LabelFileError(f"{path}: not Parquet: {error}") from None


def _has(path: Path, columns: Iterable[str], needed: set[str]) -> None:
    absent = sorted(needed - set(columns))
    if absent:
        raise LabelFileError(
            f"{path}: no column {', '.join(absent)}; there are {', '.join(columns) or 'none'}"
        )


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, list)) else text


def _label(row: Mapping[str, Any], id_column: str, value_column: str) -> Label:
    name = row[id_column]
    if name is None or name == "":
        raise ValueError(f"{id_column} is empty")
    value = row[value_column]
    if value is None or value == "":
        raise ValueError(f"{value_column} is empty")
    weight = row.get(WEIGHT)
    if weight is None or weight == "":
        weight = 1.0
    return Label(
        correlation_id=str(name),
        value=label_value(value),
        weight=float(weight),
        time_ns=_time_ns(row.get(TIME)),
    )


def _time_ns(value: Any) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return int(float(value) * 1e9)
