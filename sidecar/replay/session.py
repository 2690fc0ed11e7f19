"""One replay from the first call to the last, with its progress on a terminal.

Counterparts: `run.replay`, the command; `replay`, which sends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)

from sidecar.call import SkipReason
from sidecar.capture.reader import Captured
from sidecar.log import Log
from sidecar.replay.book import Book
from sidecar.replay.pace import Pace
from sidecar.replay.recorded import recorded, sharded
from sidecar.replay.replay import Candidate, Progress, Replay
from sidecar.replay.results import Results
from sidecar.report.report import Report
from sidecar.settings.settings import Settings
from sidecar.tee.settings import ShadowSettings

CAPTURED = "captured"


@dataclass(frozen=True, slots=True)
class Found:
    """What there is when a replay ends."""

    progress: Progress
    seconds: float
    reports: list[Report]
    unfinished: bool

    def results(self, *, files: list[str], where: str, against: str, speed: str) -> Results:
        """As it is written to a file."""
        notes: tuple[str, ...] = ()
        if against == CAPTURED:
            notes = (
                "Production's latencies were captured elsewhere and then: the candidate's "
                "are not comparable to them, and no criterion is about latency.",
            )
        return Results(
            files=files,
            where=where,
            against=against,
            speed=speed,
            calls=self.progress.done,
            unfinished=self.unfinished,
            seconds=self.seconds,
            late=self.progress.late,
            status={
                name: {str(code): n for code, n in sorted(codes.items())}
                for name, codes in self.progress.status.items()
            },
            reports=self.reports,
            notes=notes,
        )


class Session:
    """A replay that can be interrupted, and tells what it has found until then."""

    def __init__(
        self,
        settings: Settings,
        captured: Captured,
        against: str,
        pace: Pace,
        limit: int = 0,
        part: tuple[int, int] | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            settings: its shadows are the candidates.
            captured: the calls.
            against: "captured", or production's address.
            pace: when calls are sent.
            limit: at most so many calls; 0 is all.
            part: (I, N): only the I-th of N parts.
        """
        self._settings = settings
        self._captured = captured
        self._against = against
        self._pace = pace
        self._limit = limit
        self._part = part
        self._progress = Progress()
        self._began = time.monotonic()
        self.book = Book(
            settings, time.monotonic_ns, time.time_ns() - time.monotonic_ns(), Log("replay")
        )

    async def run(self, total: int) -> Found:
        """Send every call.

        Args:
            total: about how many there are, for the progress bar.

        Raises:
            CapturedError: a row has no payload.
        """
        candidates = [Candidate(s, time.monotonic_ns) for s in self._settings.shadows]
        production = None
        if self._against != CAPTURED:
            production = Candidate(
                ShadowSettings(
                    name="production",
                    address=self._against,
                    deadline_seconds=candidates[0].settings.deadline_seconds,
                    concurrency=candidates[0].settings.concurrency,
                ),
                time.monotonic_ns,
            )
        replay = Replay(self.book, candidates, production, self._pace)
        self._progress = replay.progress
        calls = recorded(self._captured)
        if self._limit:
            calls = islice(calls, self._limit)
        if self._part is not None:
            calls = sharded(calls, *self._part)
        self._began = time.monotonic()
        try:
            with _bar() as bar:
                task = bar.add_task("Replaying", total=total)
                await replay.run(calls, lambda p: bar.update(task, completed=p.done))
        finally:
            for candidate in [*candidates, *([production] if production else [])]:
                await candidate.close()
        return self.found(unfinished=False)

    def found(self, *, unfinished: bool) -> Found:
        """What there is now."""
        if unfinished:
            self._abandon()
        seconds = time.monotonic() - self._began
        return Found(self._progress, seconds, self.book.reports(), unfinished)

    def _abandon(self) -> None:
        """Calls that were sent and not answered are accounted for too."""
        for _ in range(self._progress.sent - self._progress.done):
            self.book.lose(SkipReason.SHUTDOWN)


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
