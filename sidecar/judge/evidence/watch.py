"""A decision is watched: a restarting e-process that sees harm which began after it.

Rule: PASS was earned by what was seen before it. From then on a Shiryaev-Roberts e-detector is fed
block by block: R_t = (R_{t-1} + 1) * (1 + L z_t) for each bet L, and it fires when their mean
reaches the run length A. While the mean of every block stays at or below the margin, R_t - t is a
supermartingale, so the mean number of blocks to a false alarm is at least A, even exactly at the
margin, and far more below it. Harm is found a few blocks after it begins, however long things went
well. When it began is the block after the one at which the leading bet's wealth was least (CUSUM),
which may be some blocks off. Counterparts: `betting` (the payoffs), `blocks` (the rows it is fed).

Scores that come late count in the block of their call, so blocks that are still in the window of
their level are fed again whenever one of them has changed, and only those that leave it are fed for
good. It fires if R reached A after any of these blocks. Until its label comes a call counts as the
best that it may be; payoffs grow with the score, so R from what is known by now is after every
block at most what it will be from the truth, and looking early is no second chance: who fires now
fires then. Where only a sample has labels a block holds the calls whose labels are here, and it is
the blocks that must be whole: those younger than `judge.labels.delay_seconds` wait.

Source: Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change
detection" (2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sidecar.judge.evidence.betting import BETS, bets, excess, log_payoffs
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.level import Row
from sidecar.judge.evidence.mixtures import Side, logmeanexp

FORMAT = 4
RUN_LENGTH = 100_000.0  # blocks: twelve days of 10 s, exactly at the margin; never below 1/alpha


class Watch:
    """Watches one cell for harm after a PASS."""

    __slots__ = (
        "_begun",
        "_cap",
        "_grid",
        "_logs",
        "_seen",
        "_wealth",
        "blocks",
        "fired",
        "high",
        "last",
        "low",
        "margin",
        "run_length",
        "seconds",
        "weights",
        "worse_since",
    )

    def __init__(
        self,
        margin: float,
        low: float = 0.0,
        high: float = 1.0,
        *,
        seconds: float = 10.0,
        alpha: float = 0.05,
        run_length: float = RUN_LENGTH,
        weights: Sequence[float] = (0.0, 1.0),
    ) -> None:
        """Start watching.

        Args:
            margin: strictly between low and high.
            low: the smallest score of a call.
            high: the largest.
            seconds: the length of the blocks that it is fed.
            alpha: the error of the decision: the run length is at least 1/alpha.
            run_length: mean number of blocks to a false alarm, at least.
            weights: of a block's sums, which make its score (`bets.Scored`).
        """
        self.margin, self.low, self.high, self.seconds = margin, low, high, seconds
        self.run_length = max(run_length, 1 / alpha)
        self.weights = tuple(weights)
        self.fired: int | None = None  # number of the block at which it fired
        self.worse_since: int | None = None  # the block from which on things were probably worse
        self.last: int | None = None  # number of the last block fed for good
        self.blocks = 0  # fed
        self._grid = bets(margin, low, high, Side.FAIL)
        self._logs = np.full(BETS, -np.inf)  # ln R of each bet
        self._wealth = np.zeros(BETS)  # ln of each bet's wealth since it was least
        self._begun = np.zeros(BETS)  # the block after the one at which that was
        self._cap = 0.0  # the most calls that a block has had
        self._seen: tuple[int, int | None] = (-1, None)  # the level's changes, and the last block

    def update(self, number: int, n: float, k: float) -> bool:
        """Feed one closed block; whether it has fired, now or before.

        Args:
            number: of the block; what is not later than the last one fed is left out.
            n: calls.
            k: sum of their scores, with what was lost at its best.
        """
        if n <= 0 or (self.last is not None and number <= self.last):
            return self.fired is not None
        self._cap = max(self._cap, n)
        z = float(excess(n, k, self._cap, self.margin, self.low, self.high))
        payoffs = log_payoffs(z, self._grid)
        if self.fired is None:
            # CUSUM: each bet's wealth since it was least, and the block that follows that one.
            begun = self._wealth <= 0
            self._begun[begun] = number
            self._wealth = np.maximum(self._wealth, 0.0) + payoffs
        self._logs = np.logaddexp(self._logs, 0.0) + payoffs
        self.last = number
        self.blocks += 1
        if self.fired is None and self.log_evidence >= math.log(self.run_length):
            self.fired = number
            self.worse_since = int(self._begun[int(np.argmax(self._logs))])
        return self.fired is not None

    def follow(self, blocks: Blocks, until_unix_ns: int | None = None) -> bool:
        """Look at what has closed or changed since the last time; whether it has fired.

        Blocks that have left the window between two looks are missed: it only sees harm later.

        Args:
            blocks: of the cell, still in the window or not.
            until_unix_ns: blocks that end later wait; None: none does.
        """
        if self.fired is not None:
            return True
        level = blocks.level(self.seconds)
        rows = blocks.rows(self.seconds, -1 if self.last is None else self.last)
        if until_unix_ns is not None:
            end = int(until_unix_ns // (self.seconds * 1e9))
            rows = [row for row in rows if row[0] < end]
        seen = (level.changes, rows[-1][0] if rows else None)
        if seen == self._seen and level.changes:  # those that are read from JSON count no changes
            return False
        settled = max(0, len(rows) - level.keep)
        for number, row in rows[:settled]:
            self.update(number, row[0], self._score(row))
        rows = rows[settled:]
        self._seen = seen
        if self.fired is None and rows and self._peak(rows) >= math.log(self.run_length):
            for number, row in rows:
                self.update(number, row[0], self._score(row))
        return self.fired is not None

    def _score(self, row: Row) -> float:
        return sum(w * x for w, x in zip(self.weights, row[1:], strict=True))

    def _peak(self, rows: Sequence[tuple[int, Row]]) -> float:
        """The most that ln of the detector is after any of these blocks, fed after those for good.

        With C_t the sum of a bet's log payoffs, ln R_t = C_t + ln(R_0 + sum of exp(-C_s), s < t).
        """
        table = np.array([row for _, row in rows])
        n, k = table[:, 0], table[:, 1:] @ np.array(self.weights)
        full = n > 0
        n, k = n[full], k[full]
        if not n.size:
            return -math.inf
        cap = np.maximum.accumulate(np.maximum(n, self._cap))
        z = excess(n, k, cap, self.margin, self.low, self.high)
        sums = np.cumsum(log_payoffs(z, self._grid), axis=0)
        before = np.vstack([np.logaddexp(self._logs, 0.0), -sums[:-1]])
        logs = sums + np.logaddexp.accumulate(before, axis=0)
        return float(logmeanexp(logs).max())

    def begin_after(self, blocks: Blocks) -> None:
        """Leave out what was seen before the decision."""
        rows = blocks.rows(self.seconds)
        if rows:
            self.last = rows[-1][0]
        self._cap = blocks.level(self.seconds).sums.cap

    @property
    def log_evidence(self) -> float:
        """ln of the detector, to be compared with ln(run_length)."""
        return float(logmeanexp(self._logs))

    @property
    def worse_since_ns(self) -> int | None:
        """When things probably became worse, in nanoseconds since 1970; None until it has fired."""
        if self.fired is None or self.worse_since is None:
            return None
        return int(self.worse_since * self.seconds * 1e9)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": FORMAT,
            "margin": self.margin,
            "low": self.low,
            "high": self.high,
            "seconds": self.seconds,
            "run_length": self.run_length,
            "weights": list(self.weights),
            "fired": self.fired,
            "worse_since": self.worse_since,
            "last": self.last,
            "blocks": self.blocks,
            "cap": self._cap,
            "wealth": self._wealth.tolist(),
            "begun": self._begun.tolist(),
            "logs": [None if math.isinf(x) else float(x) for x in self._logs],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Watch:
        """From `to_dict`.

        Raises:
            ValueError: for another format or grid; KeyError when a value is missing.
        """
        if data["format"] != FORMAT or len(data["logs"]) != BETS:
            raise ValueError(f"a watch is kept in format {data['format']}, not {FORMAT}")
        watch = cls(
            data["margin"],
            data["low"],
            data["high"],
            seconds=data["seconds"],
            run_length=data["run_length"],
            weights=data["weights"],
        )
        watch.fired, watch.worse_since = data["fired"], data["worse_since"]
        watch.last, watch.blocks = data["last"], data["blocks"]
        watch._cap = float(data["cap"])
        watch._wealth, watch._begun = np.array(data["wealth"]), np.array(data["begun"])
        watch._logs = np.array([-np.inf if x is None else x for x in data["logs"]])
        return watch
