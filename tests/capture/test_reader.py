"""Captured files are read whatever version wrote them; what cannot be is named with its file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sidecar.capture.reader import CapturedError, open_captured
from sidecar.capture.schema import VERSION, VERSION_KEY, fixed_schema
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import Capture
from sidecar.log import Log
from tests.capture.rows import row

VERSION_1 = Path(__file__).parent / "data" / "version-1.parquet"
"""Written by the first version: 30 calls to two models that differ in every answer."""


def _file(folder: Path, count: int = 3, **changes: Any) -> Path:
    capture = Capture(CaptureSettings(dir=str(folder), payloads=True), "life", Log("test"))
    for number in range(count):
        capture.offer(row(number, **changes))
    capture.close()
    return next(folder.glob("*.parquet"))


@contextlib.contextmanager
def named_only(file: Path) -> Iterator[None]:
    """Hold an error to one line that names the file."""
    try:
        yield
    except CapturedError as error:
        (line,) = error.errors
        if str(file) not in line or "\n" in line:
            raise AssertionError(line) from error
        raise


def test_a_file_of_version_1_is_read_beside_one_of_today(tmp_path: Path) -> None:
    assert pq.read_schema(VERSION_1).metadata[VERSION_KEY] == b"1"
    today = _file(tmp_path)
    assert pq.read_schema(today).metadata[VERSION_KEY] == str(VERSION).encode()
    found = list(open_captured([str(VERSION_1), str(today)]).rows())
    assert len(found) == 33
    old, new = found[0], found[-1]
    assert old.keys() == new.keys()
    assert (old["scores"], new["scores"]) == ([], [{"name": "same", "value": 0.0}])
    assert old["shadow_wait_ms"] is None
    assert old["outcome"] == "value"
    assert old["input.amount"] == 31_337_001
    assert new["input.amount"] is None
    assert open_captured([str(VERSION_1)], "shadow_wait_ms is None").count() == 30


def test_one_large_file_is_not_read_ahead_of_who_asks(tmp_path: Path) -> None:
    """A file with 64 row groups of a MiB: what is held at once is a few of them."""
    whole = pq.read_table(_file(tmp_path, 16, request=(b"x" * (1 << 16),)))
    file = tmp_path / "large.parquet"
    with pq.ParquetWriter(file, whole.schema, compression="none", use_dictionary=False) as sink:
        for _ in range(64):
            sink.write_table(whole)
    before = pa.total_allocated_bytes()
    most = max(
        pa.total_allocated_bytes() - before
        for batch in open_captured([str(file)]).batches()
        if batch.num_rows
    )
    assert most < 8 << 20


def test_a_file_of_today_without_a_column_is_not_as_captured(tmp_path: Path) -> None:
    file = _file(tmp_path)
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["shadow_wait_ms"]), file)
    with pytest.raises(CapturedError, match="not as captured: shadow_wait_ms is missing"):
        open_captured([str(file)])


def test_a_column_of_another_type_is_named_with_its_file(tmp_path: Path) -> None:
    file = _file(tmp_path)
    table = pq.read_table(file)
    place = table.schema.get_field_index("outcome")
    pq.write_table(table.set_column(place, "outcome", pa.array([1, 2, 3])), file)
    with pytest.raises(CapturedError, match=f"{file}: not as captured: outcome is int64, not str"):
        open_captured([str(file)])


def test_an_input_that_was_a_number_and_became_text_is_left_out_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    _file(tmp_path / "a", inputs={"age": 30.0, "size": 1.0})
    _file(tmp_path / "b", inputs={"age": "thirty", "size": 2.0})
    found = open_captured([str(tmp_path / "a"), str(tmp_path / "b")])
    assert found.left_out == {"input.age": "it is double and string in different files"}
    assert [r["input.size"] for r in found.rows()] == [1.0] * 3 + [2.0] * 3
    assert "input.age" not in next(found.rows())
    with pytest.raises(CapturedError, match=r"input.age is left out: it is double and string"):
        open_captured([str(tmp_path / "a"), str(tmp_path / "b")], "`input.age` > 3")


def test_numbers_of_two_widths_are_one_column(tmp_path: Path) -> None:
    _file(tmp_path / "a", inputs={"age": 30.0})
    _file(tmp_path / "b")  # an array of integers
    found = open_captured([str(tmp_path / "a"), str(tmp_path / "b")])
    assert [r["input.age"] for r in found.rows()] == [30.0, 30.0, 30.0, 30.0, 31.0, 32.0]


def test_damage_within_a_file_is_named_when_it_is_met(tmp_path: Path) -> None:
    file = _file(tmp_path, count=50)
    whole = file.read_bytes()
    met = 0
    for place in range(4, len(whole) - 3000, 97):  # the footer stays as it is
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(CapturedError), named_only(file):
            list(open_captured([str(file)]).rows())
            continue
        met += 1
    assert met > 10, "a page's checksum tells"


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -1, -4, -8, -9, -500])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    file = _file(tmp_path)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CapturedError, match="damaged, or no Parquet file"):
        open_captured([str(file)])


def test_text_that_is_none_and_rows_that_are_null_are_named(tmp_path: Path) -> None:
    file = _file(tmp_path)
    table = pq.read_table(file)
    place = table.schema.get_field_index("method")
    raw = pa.array([b"\xff\xfe"] * 3, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(place, "method", raw), file)
    with pytest.raises(CapturedError, match="damaged"):
        list(open_captured([str(file)]).rows())


def test_rows_of_one_call_count_once(tmp_path: Path) -> None:
    capture = Capture(CaptureSettings(dir=str(tmp_path)), "life", Log("test"))
    for number in range(10):
        for shadow in ("a", "b"):
            capture.offer(row(number, shadow=shadow))
    capture.close()
    found = open_captured([str(tmp_path)])
    assert (found.count(), found.calls()) == (20, 10)


def test_every_column_has_a_meaning_in_the_documentation() -> None:
    told = (Path(__file__).parents[2] / "docs" / "capture.md").read_text()
    words = told.replace("`production_*`, `shadow_*`", "")
    for name in fixed_schema().names:
        side, _, rest = name.partition("_")
        assert name in words or (side in {"production", "shadow"} and rest in told), name
