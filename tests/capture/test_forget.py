"""A call that is forgotten is in no byte of the files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sidecar.capture.budget import OPEN, create
from sidecar.capture.forget import forget
from sidecar.capture.reader import CapturedError, open_captured
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import Capture
from sidecar.log import Log
from tests.capture.rows import row

FIRST, LAST = "aaa-person", "zzz-person"  # least and greatest: both would be in the statistics


def _folder(folder: Path) -> Path:
    capture = Capture(CaptureSettings(dir=str(folder), payloads=True), "life", Log("test"))
    for number in range(20):
        assert capture.offer(row(number))
    for name in (FIRST, LAST):
        secret = (f"secret of {name}".encode(),)
        capture.offer(row(30, correlation_id=name, peer=name, request=secret))
    capture.close()
    return folder


def test_nothing_of_a_forgotten_call_is_left_in_data_statistics_or_dictionaries(
    tmp_path: Path,
) -> None:
    file = next(_folder(tmp_path).iterdir())
    before = file.read_bytes()
    assert FIRST.encode() in before, "statistics and dictionaries tell it, uncompressed"
    assert LAST.encode() in before
    found = forget([str(tmp_path)], [FIRST, LAST])
    assert (found.pairs, found.files, found.being_written) == (2, 1, 0)
    after = file.read_bytes()
    assert b"person" not in after
    read = pq.ParquetFile(file, read_dictionary=["correlation_id", "peer"])
    assert "person" not in repr(read.read().to_pydict())
    for column in ("correlation_id", "peer"):
        assert "person" not in str(read.read([column])[column].combine_chunks().dictionary)
    for group in range(read.metadata.num_row_groups):
        for place in range(read.metadata.num_columns):
            chunk = read.metadata.row_group(group).column(place)
            assert "person" not in str(chunk.statistics)
            if "messages" in chunk.path_in_schema:
                assert chunk.statistics is None, "a payload is in no statistics, ever"
    assert open_captured([str(tmp_path)]).count() == 20
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_another_program_wrote_with_a_dictionary_in_memory_is_forgotten_too(
    tmp_path: Path,
) -> None:
    file = next(_folder(tmp_path).iterdir())
    table = pq.read_table(file)
    place = table.schema.get_field_index("correlation_id")
    column = table["correlation_id"].dictionary_encode()
    pq.write_table(table.set_column(place, "correlation_id", column), file)
    assert forget([str(file)], [LAST]).pairs == 1
    assert LAST.encode() not in file.read_bytes()


def test_a_call_without_an_id_of_its_own_goes_by_its_trace(tmp_path: Path) -> None:
    capture = Capture(CaptureSettings(dir=str(tmp_path)), "life", Log("test"))
    for number in range(3):
        capture.offer(row(number, correlation_id="", trace_id=f"trace-{number}"))
    capture.close()
    assert forget([str(tmp_path)], ["trace-1"]).pairs == 1
    left = [r["trace_id"] for r in open_captured([str(tmp_path)]).rows()]
    assert left == ["trace-0", "trace-2"]


def test_a_file_with_nothing_left_is_removed(tmp_path: Path) -> None:
    _folder(tmp_path)
    names = [FIRST, LAST, *(f"id-{n}" for n in range(20))]
    assert forget([str(tmp_path)], names).pairs == 22
    assert not list(tmp_path.iterdir())


def test_a_crashed_writers_file_goes_and_one_that_is_written_now_is_told(tmp_path: Path) -> None:
    _folder(tmp_path)
    crashed = tmp_path / f"shadow-x.parquet{OPEN}"
    crashed.write_bytes(FIRST.encode())
    with create(tmp_path / f"shadow-y.parquet{OPEN}"):
        assert forget([str(tmp_path)], [FIRST]).being_written == 1
    assert not crashed.exists()


def test_one_that_is_being_rewritten_stays_as_it_is(tmp_path: Path) -> None:
    file = next(_folder(tmp_path).iterdir())
    before = file.read_bytes()
    with create(file.with_name(file.name + OPEN)):
        with pytest.raises(CapturedError, match="File exists"):
            forget([str(file)], [FIRST])
    assert file.read_bytes() == before


def test_damage_that_is_met_on_the_way_leaves_the_file_and_no_other(tmp_path: Path) -> None:
    file = next(_folder(tmp_path).iterdir())
    damaged = bytearray(file.read_bytes())
    damaged[40] ^= 0x55
    file.write_bytes(damaged)
    with pytest.raises(CapturedError, match="damaged"):
        forget([str(file)], [FIRST])
    assert file.read_bytes() == bytes(damaged)
    assert list(tmp_path.iterdir()) == [file]
