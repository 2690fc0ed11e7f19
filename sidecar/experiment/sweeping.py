"""About once a second: what was counted is kept, and evaluated.

Rule: evidence is evaluated when somebody asks, and here, so that decisions latch and a budget that
is used up ends its shadow; never for a call. Counterparts: `judging`, which counts; `keeping`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import thread_time_ns

from sidecar.experiment.blind import BlindCalls
from sidecar.experiment.judged import Judged
from sidecar.experiment.keeping import Keeping
from sidecar.experiment.ledger import Ledger
from sidecar.log import Log

SWEEP_NS = 900_000_000  # a sweep is asked for about once a second
AT_REST_NS = 10_000_000_000  # between two evaluations while no call and no label comes
EVALUATE_SHARE = 200  # evaluating takes at most one part in so many of a core's time


class Sweeping:
    """Keeps and evaluates what every shadow's judge has counted."""

    def __init__(
        self,
        shadows: Mapping[str, Judged],
        most: Mapping[str, float],
        keeping: Keeping,
        ledger: Ledger,
        blind: BlindCalls,
        now_ns: Callable[[], int],
        log: Log,
    ) -> None:
        """Begin.

        Args:
            shadows: by name.
            most: the largest share of calls to be compared since the session began, by shadow.
            keeping: takes what was counted.
            ledger: where coverage is read.
            blind: the calls that only the wire saw.
            now_ns: the monotonic clock.
            log: told of every change of a verdict.
        """
        self._shadows, self._most = shadows, most
        self._keeping, self._ledger, self._blind = keeping, ledger, blind
        self._now_ns, self._log = now_ns, log
        self._keep_ns = self._evaluate_ns = 0  # when next
        self._told: tuple[int, int, int] | None = None  # of calls, when it was last evaluated

    def look_again(self) -> None:
        """Something was told that is no call."""
        self._told = None

    def sweep(self) -> None:
        """Keep, and evaluate unless that took long. Called about once a second."""
        start = self._now_ns()
        if start >= self._keep_ns:
            self.keep()
        told = (self._ledger.calls.seen, self._ledger.calls.in_flight, self._blind.total)
        # While nothing is told only time passes, and evaluating is most of what there is to do.
        due = self._evaluate_ns if told != self._told else self._evaluate_ns + AT_REST_NS
        if start < due:
            return
        # A PASS may be waiting for what it rests on to be written down.
        written = not self._keeping.unkept() and all(
            self._keeping.has(judged.row) for judged in self._shadows.values()
        )
        self._told = told if written else None
        began = thread_time_ns()  # of a core's time: at idle priority, seconds pass meanwhile
        for judged in self._shadows.values():
            before = judged.verdict.state
            verdict = judged.evaluate(start)
            if verdict.state is not before:
                self._log.info(
                    "verdict", shadow=judged.name, state=verdict.state, reason=verdict.reason
                )
        took = thread_time_ns() - began
        self._evaluate_ns = start + max(SWEEP_NS, took * EVALUATE_SHARE)

    def keep(self) -> None:
        """Write down what has changed."""
        now_ns = self._now_ns()
        self._keep_ns = now_ns + SWEEP_NS
        self._write_books(self._ledger.calls.in_flight, self._blind.most_lately())
        self._keeping.sweep(self._shadows.values(), now_ns)

    def _write_books(self, in_flight: int, unknown: int) -> None:
        books = self._blind.kept(in_flight)
        now_ns = self._now_ns()
        for name, judged in self._shadows.items():
            judged.account(now_ns)  # else the books would have calls that the row has not
            told = None if books is None else [*books, self._most[name], unknown]
            judged.row.has_changed |= judged.row.books != told
            judged.row.books = told

    def close(self) -> None:
        """Keep what was counted to the last call."""
        self._write_books(0, 0)
        self._keeping.close(self._shadows.values(), self._now_ns())
