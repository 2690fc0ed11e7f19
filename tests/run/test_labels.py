"""`labels import`: what is wrong is said by row, the rest counts, a corrected file replaces it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner

from sidecar.run.labels import MOST_ROWS_NAMED, labels
from tests.house import House, told
from tests.serve.test_grpc import serving

ACCURACY = {"name": "right", "kind": "accuracy", "margin": 0.1, "decision": {"threshold": 0}}
HEAD = "correlation_id,value,weight\n"


@contextmanager
def _running(calls: int) -> Iterator[str]:
    """An observer that has seen so many calls, asked from another thread."""
    house = House({"criteria": [ACCURACY]})
    for _ in range(calls):
        house.call(told(1.0), production=told(-1.0))
    loop, ready = asyncio.new_event_loop(), threading.Event()
    at: list[str] = []
    over = asyncio.Event()

    async def serve() -> None:
        async with serving(house) as address:
            at.append(address)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(20)
        yield at[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()


def _import(file: Path, address: str, text: str) -> tuple[int, str, str]:
    file.write_text(HEAD + text)
    done = CliRunner().invoke(labels, ["import", str(file), address])
    return done.exit_code, done.stdout, done.stderr


def test_wrong_rows_are_named_and_a_corrected_file_replaces_them(tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    with _running(4) as address:
        wrong = 'request-1,0,\nrequest-2,"[0, 0, cat]",\n,1,\nrequest-3,cat,\nrequest-4,0,7\n'
        code, out, err = _import(file, address, wrong)
        assert code == 2
        assert "3 labels sent" in out
        assert "candidate: 1 joined, 2 unusable" in out
        lines = err.splitlines()
        assert [line.split(": ", 3)[2] for line in lines[:4]] == [
            "row 2",
            "row 3",
            "row 4",
            "row 5",
        ]
        assert "request-2: candidate: accuracy cannot use '[0, 0, cat]' for a call of 1 row" in err
        assert "row 3: correlation_id is empty" in err
        assert "row 4: request-3: candidate: accuracy cannot use 'cat'" in err
        assert "row 5: a label's weight is above 0 and at most 1" in err
        assert "correct 4 rows and import the file again" in err
        code, out, err = _import(
            file, address, "request-1,0,\nrequest-2,0,\nrequest-3,0,\nrequest-4,0,1\n"
        )
        assert (code, err) == (0, "")
        assert "candidate: 3 joined, 1 duplicate" in out


def test_of_many_wrong_rows_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    with _running(1) as address:
        code, _, err = _import(tmp_path / "truth.csv", address, ",1,\n" * 50)
    assert code == 2
    assert err.count(": row ") == MOST_ROWS_NAMED
    assert "30 more rows are wrong" in err
