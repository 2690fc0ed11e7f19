"""The labels of one shadow, whose calls are in several rows.

Rule: nobody knows whose call a label is about that comes before it. So it waits with the shadow, in
whichever row was current, and goes to the row in which its call is then counted: else the calls of
a version that are judged would be chosen by what else answered meanwhile. An id that several rows
know, as of a request that was tried again, is labelled in each. Counterparts: `judged`, which has
the rows; `judge.labels`, one row's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.experiment.row import Row
from sidecar.judge.labels import Label

if TYPE_CHECKING:
    from sidecar.experiment.judged import Judged


class RowLabels:
    """Where a label goes."""

    def __init__(self, judged: Judged) -> None:
        """Begin; the rows are the shadow's of now, whatever the rules that they count under."""
        self._judged = judged

    def tell(self, label: Label, now_ns: int) -> str:
        """A label has come: to every row that knows its call, else it waits.

        Returns:
            See `Judge.label`; of several rows, of any.
        """
        name = label.correlation_id
        rows = self._judged.every_row
        knowing = [row for row in rows if row.judge.knows(name)]
        if not knowing:  # one that waits already is replaced where it is
            waits = (row for row in rows if row.judge.label_store.waits(name))
            knowing = [next(waits, self._judged.row)]
        return next(filter(None, [_tell(row, label, now_ns) for row in knowing]), "")

    def bring(self, name: str, to: Row, now_ns: int) -> None:
        """A call is about to be counted in a row: so is the label that came before it."""
        if to.judge.label_store.waits(name):
            return
        for row in self._judged.every_row:
            label = None if row is to else row.judge.label_store.take_early(name)
            if label is not None:
                row.has_changed = True
                _tell(to, label, now_ns)
                return

    def leave(self, row: Row, now_ns: int) -> None:
        """A row goes from memory: what waits there stays with the shadow."""
        for label in row.judge.label_store.early():
            if not self._is_known(label.correlation_id):
                _tell(self._judged.row, label, now_ns)

    def join(self, row: Row, now_ns: int) -> None:
        """A row is here, maybe from the store, where its calls have waited meanwhile."""
        others = [other for other in self._judged.every_row if other is not row]
        for label in row.judge.label_store.early():  # as old as the row's last call
            if self._is_known(label.correlation_id, but=row):
                row.judge.label_store.take_early(label.correlation_id)
                row.has_changed = True
        for other in others:
            for label in other.judge.label_store.early():
                if row.judge.knows(label.correlation_id):
                    other.judge.label_store.take_early(label.correlation_id)
                    other.has_changed = True
                    _tell(row, label, now_ns)

    def _is_known(self, name: str, but: Row | None = None) -> bool:
        stores = [row.judge.label_store for row in self._judged.every_row if row is not but]
        return any(store.knows(name) or store.waits(name) for store in stores)


def _tell(row: Row, label: Label, now_ns: int) -> str:
    row.has_changed = True
    return row.judge.label(label, now_ns)
