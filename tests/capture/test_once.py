from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sidecar.capture.once import check_once
from sidecar.capture.reader import CapturedError, open_captured
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import Capture
from sidecar.log import Log
from tests.capture.rows import row


def written(folder: Path, numbers: range, life: str = "life", shadow: str = "candidate") -> Path:
    """One captured file."""
    capture = Capture(CaptureSettings(dir=str(folder), what="all"), life, Log("test"))
    for number in numbers:
        assert capture.offer(row(number, call=f"{life}:{number}:1", shadow=shadow))
    capture.close()
    (file,) = folder.glob("*.parquet")
    return file


def test_calls_that_come_once_are_taken_in_whatever_order(tmp_path: Path) -> None:
    late = written(tmp_path / "late", range(50, 90))
    early = written(tmp_path / "early", range(50))
    other_pod = written(tmp_path / "pod", range(90), life="other")
    other_shadow = written(tmp_path / "shadow", range(90), shadow="other")
    check_once(open_captured([str(f) for f in (late, early, other_pod, other_shadow)]))


def test_a_copy_is_named_with_what_it_is_a_copy_of(tmp_path: Path) -> None:
    file = written(tmp_path / "first", range(40))
    copied = shutil.copy(file, tmp_path / "copy.parquet")
    with pytest.raises(CapturedError) as caught:
        check_once(open_captured([str(file), str(copied)]))
    (said,) = caught.value.errors
    assert "40 of its pairs are in" in said
    assert str(file) in said
    assert str(copied) in said


def test_an_overlap_of_one_call_is_found(tmp_path: Path) -> None:
    one, other = written(tmp_path / "1", range(40)), written(tmp_path / "2", range(39, 80))
    with pytest.raises(CapturedError, match="1 of its pairs are in"):
        check_once(open_captured([str(other), str(one)]))


def test_a_file_that_was_put_together_of_copies_is_found(tmp_path: Path) -> None:
    file = written(tmp_path / "1", range(40))
    table = pq.read_table(file)
    with pq.ParquetWriter(tmp_path / "twice.parquet", table.schema) as out:
        out.write_table(table)
        out.write_table(table)
    with pytest.raises(CapturedError, match="40 of its pairs come more than once in it"):
        check_once(open_captured([str(tmp_path / "twice.parquet")]))


def test_a_file_without_statistics_is_read_for_them(tmp_path: Path) -> None:
    file = written(tmp_path / "1", range(40))
    bare = tmp_path / "bare.parquet"
    pq.write_table(pq.read_table(file), bare, write_statistics=False)
    with pytest.raises(CapturedError, match="40 of its pairs are in"):
        check_once(open_captured([str(bare), str(file)]))
