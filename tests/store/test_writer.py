from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.store.decisions import Decided
from sidecar.store.reading import listed, whole
from tests import disk
from tests.store.made import KEY, Opened, row, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_only_what_changed_is_written_and_what_is_gone_goes(folder: Path) -> None:
    one = Opened(folder)
    one.keep(write(row(), {"a": 1, "b": 2}))
    one.keep(write(row(calls=11), {"b": None, "c": 3}, count=2))
    (found,) = listed(folder)
    assert (found.row.calls, whole(found).pieces) == (11, {"a": 1, "c": 3})
    one.keeper.close()


def test_what_the_disk_did_not_take_waits_and_is_written_whole(
    folder: Path, tmp_path: Path
) -> None:
    one = Opened(folder)
    one.keep(write(row(), {"a": 1}))
    with disk.full(64 << 10):
        one.keep(write(row(calls=20), {"a": 2, "b": "x" * (1 << 20)}))
        one.keep(write(row(calls=30), {"c": 3}, count=3))
        state = one.keeper.state
        assert (state.writes, state.failures) == (1, 2)
        assert state.error
        one.keeper.decided(row(calls=30, state="FAIL"), {})  # a few bytes still fit
    one.keep(write(row(calls=40), {"d": 4}, count=4))
    assert (one.keeper.state.writes, one.keeper.state.error) == (2, "")
    (found,) = listed(folder)
    assert found.row.calls == 40
    assert {k: v for k, v in whole(found).pieces.items() if k != "b"} == {"a": 2, "c": 3, "d": 4}
    assert one.told.getvalue().count("state_not_kept") == 1  # told once, not once a second
    assert "state_kept_again" in one.told.getvalue()
    one.keeper.close()


def test_nothing_new_to_write_is_no_success_while_something_waits(folder: Path) -> None:
    """Found on a disk that was full: every other second all seemed well, and a PASS was told."""
    one = Opened(folder)
    one.keep(write(row(), {"a": 1}))
    with disk.full(64 << 10):
        one.keep(write(row(calls=20), {"a": 2, "b": "x" * (1 << 20)}))
        one.keep()
        one.keep()
        state = one.keeper.state
        assert (state.writes, state.failures) == (1, 3)
        assert state.error
    one.keep()
    assert (one.keeper.state.writes, one.keeper.state.error) == (2, "")
    (found,) = listed(folder)
    assert (found.row.calls, whole(found).pieces["a"]) == (20, 2)
    one.keeper.close()


def test_a_file_that_breaks_while_it_is_written_is_set_aside_and_told_everything_again(
    folder: Path,
) -> None:
    one = Opened(folder)
    one.keep(write(row(), {f"p{i}": "x" * 500 for i in range(200)}))
    identity = one.keeper.identity
    one.keeper._writer.evidence._database.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / "evidence-0.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    one.keeper._writer.evidence._database.sql.execute("PRAGMA cache_size=0")
    one.keep(write(row(calls=12), {f"p{i}": "y" for i in range(200)}))
    assert "damaged-" in one.keeper.state.damaged
    assert one.keeper.begins_anew()
    assert not one.keeper.begins_anew()
    one.keep(write(row(calls=12), {"a": 1}))
    one.keeper.close()
    again = Opened(folder)
    assert again.keeper.identity == identity
    kept = again.keeper.load(KEY)
    assert kept is not None
    assert kept.pieces == {"a": 1}


KILLED = """
import sys
from pathlib import Path
from tests import disk
from tests.store.made import KEY, Opened, row, write
one = Opened(Path(sys.argv[1]), patience=5.0)
kept = one.keeper.load(KEY)
for i in range(kept.row.calls + 1 if kept else 1, 100000):
    one.keep(write(row(calls=i), {"a": i, "b": ["x" * 1000, i], f"c{i % 50}": i}, 2 + min(i, 50)))
    print(i, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_that_was_committed(folder: Path) -> None:
    said = 0
    for n in (3, 40, 7, 120, 1):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        for _ in range(n):
            said = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        said = max([said, *map(int, child.stdout.read().splitlines()[:-1])])
        child.wait()
        child.stdout.close()
        one = Opened(folder, patience=5.0)
        kept = one.keeper.load(KEY)
        one.keeper.close()
        assert kept is not None
        i = kept.row.calls
        assert i >= said
        assert (kept.pieces["a"], kept.pieces["b"][1], kept.pieces[f"c{i % 50}"]) == (i, i, i)


def test_a_decision_that_is_written_while_somebody_reads_is_not_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread takes it from those that wait just after the file was read."""
    one = Opened(folder)
    writer = one.keeper._writer
    one.keeper.decided(row(state="FAIL"), {})
    (failed,) = writer.noted()
    writer.decisions.path.unlink()
    writer.unwritten.append(failed)
    read = writer.decisions.read

    def read_and_written() -> list[Decided]:
        found = read()
        writer.unwritten.clear()
        return found

    monkeypatch.setattr(writer.decisions, "read", read_and_written)
    assert writer.noted() == [failed]
    one.keeper.close()
