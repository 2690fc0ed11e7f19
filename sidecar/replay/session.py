"""One replay from the first call to the last, or to where it is interrupted, or goes on.

Rule: what is written down counts only calls whose answers came, so that a replay that goes on asks
every other one; what is shown of an interrupted one counts the rest of those sent as lost.
Counterparts: `run.replay`, the command; `replay`, which sends; `done`.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from sidecar.call import SkipReason
from sidecar.capture.reader import Captured
from sidecar.judge.labels import Label
from sidecar.log import Log
from sidecar.replay.book import Book
from sidecar.replay.candidate import Candidate
from sidecar.replay.done import Done
from sidecar.replay.judged import added_up
from sidecar.replay.pace import Pace
from sidecar.replay.recorded import Recorded, began_ns, recorded, sharded
from sidecar.replay.replay import Progress, Replay
from sidecar.replay.results import Asked, Results, ResultsError
from sidecar.replay.shown import Shown
from sidecar.settings.settings import Settings
from sidecar.tee.settings import ShadowSettings

CAPTURED = "captured"
SAVE_SECONDS = 10.0
SOME = (
    "the calls are there because another candidate differed in them (capture.what: {what}): the "
    "verdict is about such calls, and says nothing of all"
)
TIMES_APART = (
    "Production's latencies were captured elsewhere and then: the candidate's are not comparable "
    "to them, and no criterion is about latency."
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is asked, of whom, and when."""

    settings: Settings  # its shadows are the candidates
    captured: Captured
    where: str
    against: str  # "captured", or production's address
    speed: str
    pace: Pace
    limit: int = 0  # at most so many calls; 0 is all
    part: tuple[int, int] | None = None  # (I, N): only the I-th of N parts
    labels: Mapping[str, Label] = field(default_factory=dict)

    def total(self) -> int:
        """How many calls that is."""
        calls = self.captured.calls()
        calls = min(calls, self.limit or calls)
        if self.part is None:
            return calls
        index, shards = self.part
        return len(range(index, calls, shards))


class Session:
    """A replay that can be interrupted, and tells what it has found until then."""

    def __init__(self, chosen: Chosen, before: Results | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            chosen: what is asked.
            before: the result of the same replay, which this one goes on from.

        Raises:
            ResultsError: that was another replay.
        """
        self._chosen = chosen
        self._before = before
        self._done = Done()
        self._progress = Progress()
        self._began = time.monotonic()
        self._saved = self._began
        self.book = Book(
            chosen.settings,
            Log("replay"),
            began_ns=began_ns(chosen.captured),
            instance=f"replay-{uuid.uuid4().hex[:12]}",
            labels=chosen.labels,
        )
        self._asked = Asked(
            files=list(chosen.captured.files),
            where=chosen.where,
            against=chosen.against,
            shadows=[f"{s.name}={s.address}" for s in chosen.settings.shadows],
            limit=chosen.limit,
            rules=self.book.rules,
            shard=list(chosen.part or ()),
        )
        if before is not None:
            self._go_on_from(before)

    def _go_on_from(self, before: Results) -> None:
        if before.asked is None:
            raise ResultsError("it was written by an older version, which kept no place to go on")
        if apart := before.asked.apart(self._asked):
            raise ResultsError(f"another replay was begun there: {'; '.join(apart)}")
        try:
            self._done = Done.of(before.done)
        except (KeyError, TypeError, ValueError) as error:
            raise ResultsError(f"not whole: {error}") from None

    @property
    def sent(self) -> int:
        """How many calls were sent by this process."""
        return self._progress.sent

    async def run(self, save: Callable[[Results], None] | None = None) -> None:
        """Send every call that is not done.

        Args:
            save: given what there is now and then, so that being killed loses little.

        Raises:
            CapturedError: a file is damaged.
            SilentError: a candidate answers nothing.
        """
        chosen = self._chosen
        candidates = [Candidate(s, time.monotonic_ns) for s in chosen.settings.shadows]
        production = None
        if chosen.against != CAPTURED:
            production = Candidate(
                ShadowSettings(
                    name="production",
                    address=chosen.against,
                    deadline_seconds=candidates[0].settings.deadline_seconds,
                    concurrency=candidates[0].settings.concurrency,
                ),
                time.monotonic_ns,
            )
        replay = Replay(self.book, candidates, production, chosen.pace, self._done)
        self._progress = replay.progress
        total = chosen.total()
        self._began = self._saved = time.monotonic()
        try:
            with Shown("Replaying", total - len(self._done)) as shown:

                def told(progress: Progress) -> None:
                    shown.update(progress.done)
                    if save is not None and time.monotonic() - self._saved > SAVE_SECONDS:
                        save(self.results(unfinished=True, abandon=False))
                        self._saved = time.monotonic()

                await replay.run(self._calls(), told)
        finally:
            for candidate in [*candidates, *([production] if production else [])]:
                await candidate.close()

    def _calls(self) -> Iterator[Recorded]:
        calls = recorded(self._chosen.captured)
        if self._chosen.limit:
            calls = islice(calls, self._chosen.limit)
        if self._chosen.part is not None:
            calls = sharded(calls, *self._chosen.part)
        return (call for call in calls if call.number not in self._done)

    def results(self, *, unfinished: bool, abandon: bool = True) -> Results:
        """What there is now.

        Args:
            unfinished: whether it was interrupted.
            abandon: count what was sent and not answered as lost, where it is shown.
        """
        kept = self.book.messages()
        if unfinished and abandon:
            for _ in range(self._progress.sent - self._progress.done):
                self.book.lose(SkipReason.SHUTDOWN)
            for judged in self.book.judging.shadows.values():
                judged.evaluate(self.book.state().now_ns)
        before = self._before.messages if self._before is not None else []
        status = {
            name: {str(code): n for code, n in sorted(codes.items())}
            for name, codes in self._progress.status.items()
        }
        chosen, progress = self._chosen, self._progress
        found = Results(
            files=self._asked.files,
            where=chosen.where,
            against=chosen.against,
            speed=chosen.speed,
            calls=progress.done,
            unfinished=unfinished,
            seconds=time.monotonic() - self._began,
            late=progress.late,
            status=status,
            reports=added_up([("", [*before, *self.book.messages()])], time.time()),
            notes=_notes(chosen),
            asked=self._asked,
            done=self._done.plain(),
            parts=[base64.b64encode(part).decode() for part in [*before, *kept]],
        )
        return found if self._before is None else _together(self._before, found)


def _notes(chosen: Chosen) -> list[str]:
    """What a verdict on these calls does not say."""
    found = [TIMES_APART] if chosen.against == CAPTURED else []
    if chosen.captured.chosen:
        found.append(SOME.format(what=", ".join(chosen.captured.chosen)))
    return found


def _together(before: Results, now: Results) -> Results:
    status = {name: dict(codes) for name, codes in before.status.items()}
    for name, codes in now.status.items():
        into = status.setdefault(name, {})
        for code, n in codes.items():
            into[code] = into.get(code, 0) + n
    return replace(
        now,
        calls=before.calls + now.calls,
        seconds=before.seconds + now.seconds,
        late=before.late + now.late,
        status=status,
    )
