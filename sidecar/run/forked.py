"""An observer that is a fork of this process: most of what it needs is loaded here already.

Rule: it is forked before there is an event loop, a thread or a handler of signals here, so nothing
of ours is half done in it. One that ends is started again by its command, as any process.
Counterpart: `supervise`, which looks after it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

EXIT_BROKEN = 70  # as sysexits.h has it


class Forked:
    """A child; as far as `supervise` looks, an `asyncio.subprocess.Process`."""

    def __init__(self, work: Callable[[int], int]) -> None:
        """Fork; only the parent returns.

        Args:
            work: what the child does; it is given where to write that it is ready, and returns its
                exit code.

        Raises:
            OSError: there is no child, for want of memory or processes for example.
        """
        self.returncode: int | None = None
        self._ended: asyncio.Future[int] | None = None
        self.ready_fd, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self.ready_fd)
            os.close(write_end)
            raise
        if not self.pid:
            os.close(self.ready_fd)
            _work(work, write_end)
        os.close(write_end)

    async def wait(self) -> int:
        """The exit code; for as many as want to know."""
        if self._ended is None:
            loop = asyncio.get_running_loop()
            self._ended = loop.create_future()
            try:
                fd = os.pidfd_open(self.pid)  # readable when it has ended
            except OSError:  # an older kernel, a sandbox, no descriptor left
                Thread(target=self._wait_apart, args=(loop,), daemon=True).start()
            else:
                loop.add_reader(fd, self._reap, fd)
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Send a signal to a child that has not been waited for."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, where no event loop is needed to wait for it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.ready_fd)

    def _reap(self, fd: int) -> None:
        assert self._ended is not None
        self._ended.get_loop().remove_reader(fd)
        os.close(fd)
        _, status = os.waitpid(self.pid, 0)
        self._over(status)

    def _wait_apart(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread, where nothing else tells of the child's end."""
        _, status = os.waitpid(self.pid, 0)
        with suppress(RuntimeError):  # nobody asks any more
            loop.call_soon_threadsafe(self._over, status)

    def _over(self, status: int) -> None:
        assert self._ended is not None
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set_result(self.returncode)


def _work(work: Callable[[int], int], ready_fd: int) -> None:
    """In the child: whatever happens, nothing of the parent's goes on here."""
    code = EXIT_BROKEN
    try:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        code = work(ready_fd)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else EXIT_BROKEN
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # what the parent would tidy up at its end stays
