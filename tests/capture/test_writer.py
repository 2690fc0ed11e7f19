"""What is captured is there, whole, private, within its budget; what is not is counted."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sidecar.capture.budget import OPEN
from sidecar.capture.reader import CapturedError, open_captured
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import AGAIN_SECONDS, Capture
from sidecar.fields import ConfigError
from sidecar.log import Log
from tests.capture.rows import row
from tests.capture.watched import watched

LOG = Log("test")


def _settings(folder: Path, **changes: object) -> CaptureSettings:
    return CaptureSettings.model_validate({"dir": str(folder), "what": "all", **changes})


def _written(folder: Path, count: int, **changes: object) -> Capture:
    capture = Capture(_settings(folder, **changes), "life", LOG)
    for number in range(count):
        assert capture.offer(row(number, differs=number % 2 == 1))
    capture.close()
    return capture


def test_every_row_that_was_taken_is_in_a_whole_file(tmp_path: Path) -> None:
    capture = _written(tmp_path, 2500)
    found = list(open_captured([str(tmp_path)]).rows())
    assert [r["call"] for r in found] == [f"life:{n}:1" for n in range(2500)]
    assert capture.counts.rows == 2500
    assert not list(tmp_path.glob(f"*{OPEN}*"))


def test_a_row_tells_what_the_pair_was(tmp_path: Path) -> None:
    _written(tmp_path, 2)
    found = list(open_captured([str(tmp_path)]).rows())[1]
    assert found["outcome"] == "value"
    assert found["differences"] == [
        {
            "output": "score",
            "outcome": "value",
            "rule": "tolerance",
            "score": 1.0,
            "raw": [{"name": "max_abs", "value": 0.5}],
        }
    ]
    assert found["scores"] == [{"name": "same", "value": 1.0}]
    assert found["slices"] == [{"name": "country", "value": "nl"}]
    assert (found["production_version"], found["shadow_version"]) == ("m:1", "m:2")
    assert (found["production_latency_ms"], found["shadow_latency_ms"]) == (3.0, 4.0)
    assert found["correlation_id"] == "id-1"


def test_chosen_values_have_columns_of_their_own_types(tmp_path: Path) -> None:
    _written(tmp_path, 2)
    found = next(open_captured([str(tmp_path)]).rows())
    assert found["input.age"] == 30
    assert found["production.score"] == [0.25, 0.75]
    assert found["shadow.score"] == [0.5, 0.5]


def test_payloads_and_metadata_are_there_only_if_asked_for_by_name(tmp_path: Path) -> None:
    _written(tmp_path / "plain", 1)
    plain = next(open_captured([str(tmp_path / "plain")]).rows())
    assert plain["request_messages"] is plain["production_messages"] is None
    assert plain["metadata"] == plain["production_headers"] == []
    _written(tmp_path / "asked", 1, payloads=True, metadata=["*"])
    asked = next(open_captured([str(tmp_path / "asked")]).rows())
    assert asked["request_messages"] == [b"request"]
    assert asked["shadow_messages"] == [b"theirs"]
    assert asked["production_headers"] == [{"name": "x-model", "value": "1"}]


def test_secrets_are_masked_and_so_is_what_is_named(tmp_path: Path) -> None:
    mask = ["authorization", "age"]
    _written(tmp_path, 1, metadata=["*"], mask=mask)
    found = next(open_captured([str(tmp_path)]).rows())
    values = {field["name"]: field["value"] for field in found["metadata"]}
    assert values == {"authorization": "\u2022\u2022\u2022", "x-country": "nl"}
    assert found["input.age"] == "\u2022\u2022\u2022"


def test_files_and_their_folder_are_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    _written(folder, 1)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_a_value_of_another_type_is_null_and_counted(tmp_path: Path) -> None:
    capture = Capture(_settings(tmp_path), "life", LOG)
    capture.offer(row(0))
    capture.offer(row(1, outputs={"score": ("text", 0.5)}))
    capture.close()
    found = list(open_captured([str(tmp_path)]).rows())
    assert found[1]["production.score"] is None
    assert capture.counts.misfits == 2


def test_a_full_queue_is_counted_and_never_waits(tmp_path: Path) -> None:
    capture = Capture(_settings(tmp_path, queue_rows=1), "life", LOG)
    began = time.monotonic()
    taken = sum(capture.offer(row(n)) for n in range(10_000))
    assert time.monotonic() - began < 30
    capture.close()
    assert capture.counts.capture_full == 10_000 - taken > 0
    assert capture.counts.rows == taken


def test_the_queue_is_bounded_in_bytes(tmp_path: Path) -> None:
    capture = Capture(_settings(tmp_path, queue_bytes=10_000), "life", LOG)
    assert not capture.offer(row(0, request=(bytes(20_000),)))
    capture.close()


def test_old_files_go_when_the_budget_is_used_up(tmp_path: Path) -> None:
    limits = {"payloads": True, "bytes": 400_000, "file_bytes": 100_000}
    for life in range(8):
        capture = Capture(_settings(tmp_path, **limits), f"life{life}", LOG)
        for number in range(20):
            capture.offer(row(number, request=(os.urandom(4000),)))
        capture.close()
        assert not capture.counts.stopped
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert sum(sizes) <= 400_000
    newest = {r["request_messages"][0] for r in open_captured([str(tmp_path)]).rows()}
    assert len(newest) == 20 * len(sizes)


def test_or_capturing_stops_and_says_so(tmp_path: Path) -> None:
    limits = {"payloads": True, "bytes": 150_000, "file_bytes": 100_000, "full": "stop"}
    told = ""
    for life in range(3):
        capture = Capture(_settings(tmp_path, **limits), f"life{life}", LOG)
        for number in range(20):
            capture.offer(row(number, request=(os.urandom(4000),)))
        capture.close()
        told = capture.counts.stopped
        if told:
            assert capture.counts.failed == 20
            assert not capture.offer(row(0))
            break
    assert "capture.bytes (150,000) are taken" in told


def test_a_folder_that_cannot_be_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"capture.dir: '.*/file/calls'"):
        Capture(_settings(tmp_path / "file" / "calls"), "life", LOG)
    with pytest.raises(ConfigError, match=r"capture.dir: 'nowhere://"):
        Capture(CaptureSettings(dir="nowhere://bucket"), "life", LOG)


def test_a_uri_of_this_machine_is_a_folder(tmp_path: Path) -> None:
    capture = Capture(CaptureSettings(dir=f"file://{tmp_path}/calls"), "life", LOG)
    capture.offer(row(0))
    capture.close()
    assert open_captured([str(tmp_path / "calls")]).count() == 1


WRITER = """
import os, random, signal, sys, time
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import AGAIN_SECONDS, Capture
from sidecar.log import Log
from tests.capture.rows import row
from tests.capture.watched import watched

def write(life, told):
    settings = CaptureSettings(dir=sys.argv[1], what="all", file_bytes=20_000, queue_rows=2_000)
    capture = Capture(settings, life, Log("writer"))
    counts = watched(capture)
    for number in range(1_000_000):
        before = counts.rows, counts.open_rows
        if not capture.offer(row(number)):  # the thread that writes needs its turn
            counts.until(lambda now: (now.rows, now.open_rows) != before)
        if number % 100 == 0:
            os.write(told, b"%d\\n" % capture.counts.rows)

dice = random.Random(int(sys.argv[2]))
promised = 0
for life in range(int(sys.argv[3])):
    reading, told = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        write(f"life{life}", told)
    os.close(told)
    with os.fdopen(reading, "rb") as pipe:
        lines = [b"0"]
        while life % 4 == 0 and lines[-1] == b"0":
            lines.append(pipe.readline().strip())  # every fourth has written a file
        time.sleep(dice.random() * 0.2)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines += pipe.read().split(b"\\n")[:-1]
    promised += max(map(int, lines), default=0)
print(promised)
"""


def test_a_writer_that_is_killed_a_hundred_times_leaves_all_that_it_promised(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "7", "100"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=170, check=True)
    promised = int(done.stdout)
    assert promised > 0
    assert open_captured([str(tmp_path)]).count() >= promised
    left = len(list(tmp_path.glob(f"*{OPEN}")))
    assert left <= 1, "the next writer clears away what a crash has left"
    Capture(_settings(tmp_path), "after", LOG).close()
    assert not list(tmp_path.glob(f"*{OPEN}*"))


CRASHER = """
import os, signal, sys
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import AGAIN_SECONDS, Capture
from sidecar.log import Log
from tests.capture.rows import row

folder, left = sys.argv[1], int(sys.argv[2])

def step(event, args):
    global left
    if event in {"open", "os.rename", "os.remove"} and folder in str(args[0]):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
capture = Capture(CaptureSettings(dir=folder, what="all"), "life", Log("writer"))
capture.offer(row(0))
capture.close()
"""


def test_a_writer_that_is_killed_at_any_step_leaves_a_whole_file_or_what_the_next_clears_away(
    tmp_path: Path,
) -> None:
    ends = []
    for step in range(20):
        folder = tmp_path / str(step)
        folder.mkdir()
        command = [sys.executable, "-c", CRASHER, str(folder), str(step)]
        done = subprocess.run(command, timeout=60, check=False)
        Capture(_settings(folder), "after", LOG).close()
        assert not list(folder.glob(f"*{OPEN}*")), step
        whole = list(folder.glob("*.parquet"))
        ends.append((done.returncode, sum(pq.read_metadata(file).num_rows for file in whole)))
        if not done.returncode:
            break
    assert ends[-1] == (0, 1), "no step is left"
    assert len(ends) > 5, "every step was tried"
    assert {code for code, _ in ends[:-1]} == {-9}


def test_a_disk_that_takes_no_more_ends_capturing_and_leaves_nothing_half_written(
    tmp_path: Path,
) -> None:
    # The kernel refuses to let any file of this process grow: to a writer that is a full disk.
    script = """
import os, resource, sys
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import AGAIN_SECONDS, Capture
from sidecar.log import Log
from tests.capture.rows import row
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
capture = Capture(CaptureSettings(dir=sys.argv[1], payloads=True), "life", Log("writer"))
for number in range(200):
    capture.offer(row(number, request=(os.urandom(4000),)))
capture.close()
assert not capture.offer(row(0))
print(capture.counts.failed, capture.counts.stopped)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "200 [Errno 27] File too large\n"
    assert "capture_stopped" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_disk_that_has_room_again_is_written_to_again_after_a_while(tmp_path: Path) -> None:
    now = [1000.0]
    told = io.StringIO()
    here, away = tmp_path / "calls", tmp_path / "away"
    capture = Capture(_settings(here), "life", Log("t", told), clock=lambda: now[0])
    counts = watched(capture)
    here.rename(away)  # to the writer as good as full
    capture.offer(row(0))
    counts.until(lambda now: bool(now.stopped))
    assert not capture.offer(row(1))
    now[0] += AGAIN_SECONDS
    capture.offer(row(2))
    counts.until(lambda now: now.failed == 2)
    away.rename(here)
    assert not capture.offer(row(3)), "not at every call"
    now[0] += AGAIN_SECONDS
    assert capture.offer(row(4))
    counts.until(lambda now: not now.stopped)
    assert capture.offer(row(5))
    capture.close()
    read = [r["call"] for r in open_captured([str(here)]).rows()]
    assert read == ["life:4:1", "life:5:1"]
    assert (capture.counts.failed, capture.counts.capture_full) == (2, 2)
    events = [json.loads(line)["event"] for line in told.getvalue().splitlines()]
    assert events == ["capture_stopped", "capture_goes_on"], "each said once"


def test_a_row_that_no_column_can_hold_is_left_out_and_the_others_are_written(
    tmp_path: Path,
) -> None:
    capture = Capture(_settings(tmp_path, metadata=["*"]), "life", LOG)
    capture.offer(row(0))
    capture.offer(row(1, metadata=(("x-name", "no text: \udcff"),)))
    huge = row(2).answer._replace(status=1 << 40)
    capture.offer(row(2, answer=huge))
    capture.offer(row(3))
    capture.close()
    assert [r["call"] for r in open_captured([str(tmp_path)]).rows()] == ["life:0:1", "life:3:1"]
    assert (capture.counts.failed, capture.counts.stopped) == (2, "")


def test_what_comes_after_the_end_is_not_taken(tmp_path: Path) -> None:
    capture = _written(tmp_path, 1)
    assert not capture.offer(row(1))
    assert capture.counts.capture_full == 1


def test_what_is_foreign_damaged_or_not_there_is_named_all_at_once(tmp_path: Path) -> None:
    _written(tmp_path, 1)
    good = next(tmp_path.glob("*.parquet"))
    (tmp_path / "damaged.parquet").write_bytes(good.read_bytes()[:-20])
    table = pq.read_table(good)
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "foreign.parquet")
    later = {b"shadow_sidecar.capture_version": b"99"}
    pq.write_table(table.replace_schema_metadata(later), tmp_path / "later.parquet")
    with pytest.raises(CapturedError) as error:
        open_captured([str(tmp_path), str(tmp_path / "none")])
    told = "\n".join(error.value.errors)
    assert len(error.value.errors) == 4
    assert "damaged.parquet: damaged, or no Parquet file" in told
    assert "foreign.parquet: not captured by shadow-sidecar" in told
    assert "later.parquet: capture version 99, and this shadow-sidecar reads up to 2" in told
    assert "none: no such file or folder" in told


def test_an_expression_chooses_among_captured_rows(tmp_path: Path) -> None:
    _written(tmp_path, 10)
    assert open_captured([str(tmp_path)], "outcome == 'value' and `input.age` > 33").count() == 3
    with pytest.raises(CapturedError, match="--where: 'nothing' is no column"):
        open_captured([str(tmp_path)], "nothing > 1")
    with pytest.raises(CapturedError, match="--where"):
        open_captured([str(tmp_path)], "outcome > 1")


def test_whatever_an_input_is_called_its_file_is_read_and_the_columns_are_bounded(
    tmp_path: Path,
) -> None:
    names = ["", "a`b", "a.b", "a\nb", "a\x00b", "A", "a", "x" * 10_000, "\U0001f600", "call"]
    hostile: dict[str, float] = {name: float(n) for n, name in enumerate(names)}
    many: dict[str, float] = {f"n{n}": 1.0 for n in range(1000)}
    capture = Capture(_settings(tmp_path), "life", LOG)
    capture.offer(row(0, inputs=hostile))
    capture.close()
    other = Capture(_settings(tmp_path), "more", LOG)
    other.offer(row(1, inputs=many))
    other.close()
    assert (capture.counts.failed, other.counts.failed) == (0, 0)
    first, second = open_captured([str(tmp_path)]).rows()
    assert {name: first[f"input.{name}"] for name in names} == hostile
    assert first["call"] == "life:0:1", "a typed column is never one of the others"
    assert sum(value is not None for k, value in second.items() if k.startswith("input.n")) <= 256
    assert open_captured([str(tmp_path)], "`input.a.b` == 2").count() == 1
