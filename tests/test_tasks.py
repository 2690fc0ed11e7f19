"""Nothing in the background ends silently."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sidecar.log import Log
from sidecar.tasks import Tasks


async def dies() -> None:
    raise ValueError("of this")


async def ends() -> None:
    return


async def waits() -> None:
    await asyncio.Event().wait()


def run(test: Callable[[Tasks], Awaitable[None]]) -> tuple[Tasks, list[dict[str, Any]], list[str]]:
    """The tasks, what was logged, and whether the process was told to end."""
    told, ended = io.StringIO(), []

    async def main() -> Tasks:
        tasks = Tasks(Log("test", told), lambda: ended.append("ended"))
        await test(tasks)
        await tasks.close()
        return tasks

    tasks = asyncio.run(main())
    return tasks, [json.loads(line) for line in told.getvalue().splitlines()], ended


def test_what_dies_is_an_error_with_name_and_place_and_is_counted() -> None:
    async def test(tasks: Tasks) -> None:
        await asyncio.wait([tasks.start("idler", dies())])

    tasks, (line,), ended = run(test)
    assert (line["level"], line["event"], line["name"]) == ("error", "background_died", "idler")
    assert line["error"] == "ValueError('of this')"
    assert "test_tasks.py:" in line["where"]
    assert (tasks.died, tasks.vital_ended, ended) == (1, False, [])


@pytest.mark.parametrize("work", [dies, ends])
def test_the_process_ends_with_what_it_is_nothing_without(work: Callable[[], Any]) -> None:
    async def test(tasks: Tasks) -> None:
        await asyncio.wait([tasks.start("heart", work(), vital=True)])

    tasks, lines, ended = run(test)
    assert ended == ["ended"]
    assert tasks.vital_ended
    assert len(lines) == 1
    assert lines[0]["level"] == "error"


def test_closing_is_no_death() -> None:
    async def test(tasks: Tasks) -> None:
        tasks.start("heart", waits(), vital=True)
        tasks.start("done", ends())
        await asyncio.sleep(0)

    tasks, lines, ended = run(test)
    assert (tasks.died, lines, ended) == (0, [], [])


def test_callbacks_of_the_loop_and_threads_are_counted_too() -> None:
    before = threading.excepthook

    async def test(tasks: Tasks) -> None:
        loop = asyncio.get_running_loop()
        tasks.watch_everything_else(loop)
        try:
            loop.call_soon(int, "callback")
            thread = threading.Thread(target=int, args=("thread",), name="worker")
            thread.start()
            thread.join()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            threading.excepthook = before

    tasks, lines, ended = run(test)
    assert (tasks.died, ended) == (2, [])
    assert {line["error"].rpartition(" ")[2] for line in lines} == {"'callback'\")", "'thread'\")"}
