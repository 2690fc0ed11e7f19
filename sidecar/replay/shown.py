"""How far a replay is, for people: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_SECONDS = 10.0


class Shown:
    """Shows counts as they grow, on the standard error."""

    def __init__(self, what: str, total: int) -> None:
        """`total` is about how many there will be."""
        self._what = what
        self._total = total
        self._began = time.monotonic()
        self._next = self._began  # the first line comes at once: it says that calls are answered
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:,.0f}/s"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(what, total=total, rate=0.0)

    def __enter__(self) -> Shown:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int) -> None:
        """So many are done."""
        now = time.monotonic()
        rate = done / (now - self._began) if now > self._began else 0.0
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=rate)
        elif now >= self._next:
            self._next = now + LINE_SECONDS
            left = f", {(self._total - done) / rate:,.0f} s left" if rate else ""
            sys.stderr.write(
                f"{self._what}: {done:,} of {self._total:,} ({rate:,.0f} a second{left})\n"
            )
            sys.stderr.flush()
