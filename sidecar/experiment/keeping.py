"""Between judging and the store: what an earlier life counted comes back, what this one does goes.

Rule: once a second what has changed is handed to the store's thread, and no call ever waits for
it; a decision is written down before anybody hears of it. Where nothing is kept, this does nothing.
Counterparts: `store.keeper`; `row`, which is cut into pieces and put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TypeAlias

from sidecar.experiment.judged import MOST_ROWS, Judged
from sidecar.experiment.row import Gap, Row
from sidecar.judge.held import digest_of as rules_digest
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.versions import Known, Versions
from sidecar.store.keeper import Keeper
from sidecar.store.kept import Kept
from sidecar.store.writer import StoreState

Make: TypeAlias = Callable[[str, str, Known, int], Row]
"""Makes an empty row of a shadow's name, a digest and versions, at a time."""


def digest_of(settings: JudgeSettings, control_fraction: float, rules: str) -> str:
    """Names everything that changes what is counted; see `judge.held.digest_of`."""
    return rules_digest(settings, control_fraction, rules)


class Keeping:
    """What experiments need of a store, or of none."""

    def __init__(
        self,
        keeper: Keeper | None,
        instance: str = "",
        why_not: str = "",
        *,
        is_full: bool = False,
    ) -> None:
        """Prepare.

        Args:
            keeper: of an open directory; None: nothing is kept.
            instance: names its counts among all pods, together with the file's identity.
            why_not: nothing is kept although it was to be.
            is_full: for want of room: what stands on the disk may not be known.
        """
        self._keeper = keeper
        self.why_not = why_not
        self._is_full = is_full
        self.instance = f"{instance}-{keeper.identity}" if keeper else ""

    @property
    def state(self) -> StoreState | None:
        """What is told of the store; None: nothing is kept."""
        return None if self._keeper is None else self._keeper.state

    def numbers(self) -> Iterator[int]:
        """Numbers of epochs, each new."""
        keeper = self._keeper
        return count() if keeper is None else iter(keeper.next_number, -1)

    # ---- what comes back ------------------------------------------------------------------------

    def rows(self, name: str, digest: str, now_ns: int, make: Make) -> list[Row]:
        """The experiments of a shadow to go on with."""
        if self._keeper is None:
            return []
        found = []
        for kept in self._keeper.living(name, digest)[:MOST_ROWS]:
            known = Known.of(Versions(kept.key.production, kept.key.shadow))
            row = self.begin(make(name, digest, known, now_ns), now_ns, make)
            if row.judge.epoch == kept.number:  # else it could not be read
                found.append(row)
        for row in found:
            before, offset = self._keeper.before_unix_ns, row.judge.unix_offset_ns
            row.away(Gap(before, now_ns + offset))
        return found

    def latest(self, judged: Judged) -> bool:
        """Whether a shadow's experiments are what the process before counted last."""
        return self._keeper is not None and self._keeper.latest(judged.name, judged.digest)

    def begin(self, row: Row, now_ns: int, make: Make) -> Row:
        """A new row, or with the counts that the store has under its key."""
        keeper = self._keeper
        if keeper is None:
            return row
        kept = keeper.load(row.key)
        if kept is not None and (why := row.is_elsewhere(kept)):
            keeper.end(kept.row, why)
            kept = None
        if kept is not None:
            try:
                row.restore(kept, now_ns)
                return row
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                keeper.unusable(kept.row, error)
                row = make(row.name, row.digest, row.known, now_ns)
                self._decision_of(row, now_ns)
        if not row.is_decided:
            row.judge.attempt = keeper.attempt(row.key)
        return row

    def _decision_of(self, row: Row, now_ns: int) -> None:
        """A FAIL stands although its counts cannot be read."""
        assert self._keeper is not None
        kept: Kept | None = self._keeper.load(row.key)
        if kept is not None:
            row.restore(kept, now_ns)

    # ---- what goes ------------------------------------------------------------------------------

    def decided(self, row: Row) -> None:
        """Write a decision down."""
        if self._keeper is not None:
            self._keeper.decided(row.pieces.line(), row.pieces.latches())

    def begun(self, row: Row) -> None:
        """A row is about to count its first call, or the first by which it is known better."""
        if self._keeper is not None:
            row.judge.attempt = self._keeper.begun(row.pieces.line())

    def has(self, row: Row) -> bool:
        """Whether a row would outlive us."""
        return self._keeper is None or self._keeper.has(row.judge.epoch)

    def unkept(self) -> str:
        """Why nothing can be written now; empty while it can, or where nothing is to be kept."""
        if self._keeper is None:
            return f"{self.why_not}; restart the observer when there is" if self._is_full else ""
        return self._keeper.state.error

    def sweep(self, shadows: Iterable[Judged], now_ns: int) -> None:
        """Hand over what has changed, and hear of what was ended by hand."""
        keeper = self._keeper
        if keeper is None:
            for judged in shadows:
                for row in judged.every_row:
                    row.has_changed = row.fails  # there is nowhere to write it, but a FAIL stays
            return
        shadows = list(shadows)
        ended = set(keeper.ended())
        if ended:
            for judged in shadows:
                for row in judged.every_row:
                    if row.judge.epoch in ended:
                        judged.replace(row, now_ns)
        if keeper.begins_anew():
            for judged in shadows:
                for row in judged.every_row:
                    row.pieces.anew()
        if keeper.idle:
            keeper.put(
                [row.pieces.write() for j in shadows for row in j.every_row if row.has_changed]
            )

    def close(self, shadows: Iterable[Judged], now_ns: int) -> None:
        """Hand over the last of it, and end the thread."""
        if self._keeper is None:
            return
        for judged in (shadows := list(shadows)):
            judged.evaluate(now_ns)
        rows = [row for judged in shadows for row in judged.every_row]
        self._keeper.close([row.pieces.write(whole=True) for row in rows if row.has_changed])
