"""What of one experiment is to be kept, in pieces, and which of them have changed.

Rule: a piece that is as it was written last is not written again. Counterparts: `row`, which it is
made of and which takes it back; `judge.pieces`, the judge's part; `store`, which keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecar.judge.codec import Codec, names_of
from sidecar.judge.distributions import Distributions
from sidecar.judge.evidence.histogram import Histogram
from sidecar.judge.pieces import Cutter
from sidecar.store.kept import Row as KeptRow
from sidecar.store.kept import Write

if TYPE_CHECKING:
    from sidecar.experiment.row import Row

PLAIN = Codec({})
_LARGE = (Histogram, Distributions)  # whose count tells whether they have changed


class RowPieces:
    """Of one row."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._cutter = Cutter(row.judge)
        self._marks: dict[str, Any] = {}  # by path, as it was written last

    def line(self) -> KeptRow:
        """As a line of the store."""
        row, judge = self._row, self._row.judge
        stands = judge.stands
        return KeptRow(
            key=row.key,
            number=judge.epoch,
            attempt=judge.attempt,
            sequence=judge.sequence,
            began_unix_ns=judge.began_unix_ns,
            seen_unix_ns=row.seen_ns + judge.unix_offset_ns,
            calls=judge.calls,
            state=(stands[0] if stands else row.verdict.state).value,
            reason=stands[1] if stands else row.verdict.reason,
            decided_unix_ns=judge.decided_unix_ns,
        )

    def latches(self) -> dict[str, Any]:
        """The piece that a decision is in."""
        return self._cutter.latches()

    def anew(self) -> None:
        """Nothing of it is kept any more."""
        self._row.has_changed = True
        self._marks.clear()
        self._cutter.anew()

    def write(self, *, whole: bool = False) -> Write:
        """What has changed since this was last asked; see `Cutter.changed`."""
        row = self._row
        row.has_changed = False
        pieces = self._cutter.changed(whole=whole)
        offset = row.judge.unix_offset_ns
        own = {
            "row/counts": [row.compared, row.blind],
            "row/bytes": [row.bytes, row.unreadable],
            "row/unplaced": row.unplaced,
            "row/of_few": row.of_few,
            "row/seen": [row.came_up_ns + offset, row.seen_ns + offset],
            "row/gaps": [list(gap) for gap in row.gaps],
            "row/place": row.place,
            "row/put_down": [list(gap) for gap in row.put_down],
            "row/books": row.books or [],
        }
        for path, value in own.items():
            if self._marks.get(path) != value:
                pieces[path] = self._marks[path] = value
        for name in names_of(row.epoch):
            value = getattr(row.epoch, name)
            path = f"row/{name}"
            mark = value.count if isinstance(value, _LARGE) else PLAIN.plain(value)
            if path not in self._marks or self._marks[path] != mark:
                self._marks[path] = mark
                pieces[path] = PLAIN.plain(value) if isinstance(value, _LARGE) else mark
        return Write(self.line(), pieces, self._cutter.count + len(self._marks))
