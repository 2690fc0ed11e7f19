"""Work in the background, of which none ends silently.

Rule: what dies is an error that is logged and counted; where the process is nothing without it,
the process is told to end, and whoever supervises it starts another. Counterparts: `run.observer`
and `run.supervise`, which have such work; `log`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from sidecar.log import Log


class Tasks:
    """One process's background work. Make it anywhere, use it within the running event loop."""

    def __init__(self, log: Log, end: Callable[[], object] = lambda: None) -> None:
        """None yet.

        Args:
            log: told of each that dies.
            end: called when one has ended that the process is nothing without.
        """
        self.died = 0  # tasks, threads and callbacks that ended with an error
        self.vital_ended = False
        self._log = log
        self._end = end
        self._running: set[asyncio.Task[Any]] = set()

    def start(
        self, name: str, work: Coroutine[Any, Any, Any], *, vital: bool = False
    ) -> asyncio.Task[Any]:
        """Begin.

        Args:
            name: for the log.
            work: what is to be done.
            vital: the process is to end if this does, whether with an error or without.
        """
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, name, vital))
        return task

    def _ended(self, task: asyncio.Task[Any], name: str, vital: bool) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._died(name, error)
        if vital:
            self.vital_ended = True
            if error is None:
                self._log.error("background_ended", name=name)
            self._end()

    def watch_everything_else(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have this process's threads and the loop's callbacks counted and logged, too."""
        loop.set_exception_handler(self._unhandled)
        threading.excepthook = self._thread_died

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self._died(str(context.get("message", "")), context.get("exception"))

    def _thread_died(self, arguments: threading.ExceptHookArgs) -> None:
        name = "thread" if arguments.thread is None else arguments.thread.name
        self._died(name, arguments.exc_value)

    def _died(self, name: str, error: BaseException | None) -> None:
        self.died += 1
        self._log.error("background_died", name=name, error=repr(error), where=_where(error))

    async def close(self) -> None:
        """Cancel what still runs, and wait for it."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _where(error: BaseException | None) -> str:
    """File and line that raised; a whole traceback is no line of a log."""
    trace = error.__traceback__ if error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
