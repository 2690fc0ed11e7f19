"""Sends captured calls to the candidates, and hands what comes back to the book.

Rule: at most `concurrency` calls of a candidate are under way, so memory stays flat however many
rows there are; a candidate that hangs costs its own deadline. Answers are entered where they are
told, without a task for each call. Counterparts: `candidate`, which asks; `pace`; `book`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from sidecar.call import Observation
from sidecar.replay.book import Book
from sidecar.replay.candidate import Asking, Candidate
from sidecar.replay.done import Done
from sidecar.replay.pace import Pace
from sidecar.replay.recorded import Recorded

DEADLINE_EXCEEDED, UNIMPLEMENTED, UNAVAILABLE = 4, 12, 14
MAX_METHODS = 20  # that are named
GIVE_UP = 100  # calls, of which not one was answered: no model's fault


class SilentError(Exception):
    """A candidate that answers nothing: it hangs, is not there, or does not know the method."""


@dataclass(slots=True)
class Progress:
    """How far a replay is."""

    sent: int = 0
    done: int = 0
    late: int = 0  # sent over a second after they were due: the candidate is slower than the pace
    status: dict[str, dict[int, int]] = field(default_factory=dict)  # by candidate and gRPC code
    lacking: set[str] = field(default_factory=set)  # methods that a candidate does not know


class _One:
    """A call that every candidate is asked, until all have answered."""

    __slots__ = ("answers", "asked", "call", "missing")

    def __init__(self, call: Recorded, missing: int) -> None:
        self.call = call
        self.missing = missing
        self.answers: dict[Candidate, Observation] = {}
        self.asked: list[tuple[Candidate, Asking]] = []


class Replay:
    """One run over captured calls."""

    def __init__(
        self,
        book: Book,
        candidates: list[Candidate],
        production: Candidate | None,
        pace: Pace,
        done: Done | None = None,
    ) -> None:
        """Prepare.

        Args:
            book: told of every call.
            candidates: at least one.
            production: asked again too; None: what it answered then stands.
            pace: when calls are sent.
            done: takes the numbers of the calls that are answered.
        """
        self._done = done if done is not None else Done()
        self._broken: BaseException | None = None
        self._silent = {c.name for c in candidates}  # those that have not answered a call yet
        self.progress = Progress(status={c.name: {} for c in candidates})
        self._book = book
        self._candidates = candidates
        self._production = production
        self._pace = pace
        self._everybody = [*candidates, *([production] if production is not None else [])]
        self._places = max(c.settings.concurrency for c in candidates)
        self._under_way: set[_One] = set()
        self._wake: asyncio.Future[None] | None = None
        self._told: Callable[[Progress], None] = lambda _: None

    async def run(self, calls: Iterator[Recorded], told: Callable[[Progress], None]) -> None:
        """Send every call; returns when all are answered. Cancelling it ends with what there is.

        Raises:
            CapturedError: a file is damaged.
            SilentError: a candidate answers nothing.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._told = told
        try:
            for call in calls:
                self._check(GIVE_UP)
                due = self._pace.due(self.progress.sent, call.started_ns)
                if due is not None:
                    wait = began + due - loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    self.progress.late += wait < -1.0
                await self._fewer_than(self._places)
                self._send(call)
                self.progress.sent += 1
            await self._fewer_than(1)
            self._check(1)
        finally:
            for one in self._under_way:
                for candidate, asking in one.asked:
                    candidate.cancel(asking)
            self._under_way.clear()

    async def _fewer_than(self, most: int) -> None:
        self._check_whole()
        while len(self._under_way) >= most:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
            self._check_whole()

    def _send(self, call: Recorded) -> None:
        one = _One(call, len(self._everybody))
        self._under_way.add(one)
        for candidate in self._everybody:
            one.asked.append(
                (candidate, candidate.begin(call, partial(self._answered, one, candidate)))
            )

    def _answered(self, one: _One, candidate: Candidate, answer: Observation) -> None:
        one.answers[candidate] = answer
        one.missing -= 1
        if one.missing:
            return
        self._under_way.discard(one)
        try:
            self._enter(one)
        except Exception as error:  # told where the calls are sent
            self._broken = self._broken or error
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _check_whole(self) -> None:
        """A call that could not be entered is a defect of ours, and no result stands on it."""
        if self._broken is not None:
            raise self._broken

    def _check(self, least: int) -> None:
        for candidate in self._candidates:
            codes = self.progress.status[candidate.name]
            answered = sum(codes.values())
            if candidate.name in self._silent and answered >= least:
                raise SilentError(_why(candidate, codes, answered))

    def _enter(self, one: _One) -> None:
        call, answers = one.call, one.answers
        named = {c.name: answers[c] for c in self._candidates}
        production = call.production
        if self._production is not None:
            production = answers[self._production]
        for name, answer in named.items():
            codes = self.progress.status[name]
            codes[answer.status] = codes.get(answer.status, 0) + 1
            if answer.status not in {DEADLINE_EXCEEDED, UNIMPLEMENTED, UNAVAILABLE}:
                self._silent.discard(name)
            elif answer.status == UNIMPLEMENTED and len(self.progress.lacking) < MAX_METHODS:
                self.progress.lacking.add(f"{name} lacks {call.method}")
        self._book.enter(call, production, named)
        self._done.add(call.number)
        self.progress.done += 1
        self._told(self.progress)


def _why(candidate: Candidate, codes: dict[int, int], calls: int) -> str:
    """Why a candidate has answered nothing, and what to do."""
    address = candidate.settings.address
    none = f"{candidate.name} at {address}: none of {calls:,} calls was answered: "
    match max(codes, key=lambda code: codes[code]):
        case 12:
            return none + "it does not know their method (UNIMPLEMENTED); is it the right server?"
        case 4:
            return none + (
                f"it hangs, or takes longer than {candidate.settings.deadline_seconds:g} s "
                "(--set shadows.0.deadline_seconds=...)"
            )
    return none + "nobody answers there (UNAVAILABLE); is it up, and does it want TLS?"
