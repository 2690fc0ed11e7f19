"""`make simulate`: how often the verdict errs, and how soon it decides; writes simulation.md.

Rule: every stream is looked at after every block. Calls come at 50 a second; alpha is 2.5 % for
each claim. An hour is simulated by tenths of a second, days by the minute. Counterparts:
`simulate_streams` (the traffic), `simulate_engine` (the judge's own formulas on arrays),
`simulate_plot`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.simulate_engine import Looks, Streams, look, look_at_calls
from benchmarks.simulate_plot import plot
from benchmarks.simulate_ratio import looks_at_precision
from benchmarks.simulate_streams import (
    bursts,
    day_and_night,
    hot_inputs,
    independent,
    labelled,
    noisy_bursts,
    only_by_day,
    rate_by_hour,
    spread_around,
    under_load,
    with_restarts,
)
from sidecar.judge.evidence.combine import pass_alpha
from sidecar.judge.evidence.mean_bets import MeanBets
from sidecar.judge.evidence.mixtures import Floats, Side, discoveries, threshold

ALPHA = 0.025
MARGIN = 0.01
SWING = 2.0
TENTH = 0.1  # seconds
HOUR = 36_000  # blocks of a tenth of a second
DAYS = 3 * 1440  # blocks of a minute
MINUTE = 60.0
EFFECTS = (0.0, 0.2, 0.5, 0.8, 1.5, 2.0, 3.0, 5.0)
RATES = MeanBets(MARGIN, SWING)
SIGNED = MeanBets(0.02, SWING, -1.0, 1.0)
HERE = Path(__file__).parent
OUT, SVG = HERE / "simulation.md", HERE / "simulation.svg"

Make = Callable[[np.random.Generator, int], Streams]
NULLS: tuple[tuple[str, Make, MeanBets], ...] = (
    ("independent calls", lambda g, s: independent(g, s, HOUR, MARGIN, TENTH), RATES),
    ("bursts of 5 calls", lambda g, s: bursts(g, s, HOUR, MARGIN, 5, TENTH), RATES),
    ("bursts of 20 calls", lambda g, s: bursts(g, s, HOUR, MARGIN, 20, TENTH), RATES),
    ("bursts of 200 calls", lambda g, s: bursts(g, s, HOUR, MARGIN, 200, TENTH), RATES),
    ("bursts of 2,000 calls", lambda g, s: bursts(g, s, HOUR, MARGIN, 2000, TENTH), RATES),
    ("the same through 3 days", lambda g, s: bursts(g, s, DAYS, MARGIN, 2000, MINUTE), RATES),
    ("a fifth by chance, the rest in bursts of 200",
     lambda g, s: noisy_bursts(g, s, HOUR, MARGIN, 200, TENTH), RATES),
    ("day and night, 9 to 1 calls", lambda g, s: day_and_night(g, s, DAYS, MARGIN, MINUTE), RATES),
    ("a rate that swings with the hour, 0 to 2 %",
     lambda g, s: rate_by_hour(g, s, DAYS, MARGIN, MINUTE), RATES),
    ("nothing by night, 2 % by day", lambda g, s: only_by_day(g, s, DAYS, MARGIN, MINUTE), RATES),
    ("all of it in busy minutes, 10 times the calls",
     lambda g, s: under_load(g, s, HOUR, MARGIN, TENTH), RATES),
    ("all of it in the other minutes",
     lambda g, s: under_load(g, s, HOUR, MARGIN, TENTH, busy=False), RATES),
    ("30 hot inputs", lambda g, s: hot_inputs(g, s, HOUR, MARGIN, TENTH), RATES),
    ("observer killed 20 times",
     lambda g, s: with_restarts(g, independent(g, s, HOUR, MARGIN, TENTH), 20), RATES),
    ("10 % of labels missing at random",
     lambda g, s: labelled(g, s, HOUR, 0.02, 0.1, False, TENTH)[0], SIGNED),
    ("10 % of labels missing, the bad ones",
     lambda g, s: labelled(g, s, HOUR, 0.02, 0.1, True, TENTH)[0], SIGNED),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """What kinds of criteria have in common: a margin and a range."""

    names: str
    claim: MeanBets


KINDS = (
    Kind("disagreement, shadow_error_rate, decision_flips", RATES),
    Kind("disagreement, net of a control", MeanBets(0.02, SWING, -1.0, 1.0)),
    Kind("accuracy, recall, at k, NDCG, Brier, out_of_range", MeanBets(0.05, SWING, -1.0, 1.0)),
    Kind("bias", MeanBets(0.05, SWING, -2.0, 2.0)),
    Kind("latency_difference, MAE: 1 % of the range", MeanBets(0.01, SWING, -1.0, 1.0)),
)


def _share(looks: Looks, side: Side, alpha: float = ALPHA) -> float:
    return float(np.isfinite(looks.first(side, threshold(alpha))).mean())


def allowed(streams: int, alpha: float = ALPHA) -> float:
    """alpha and two standard errors."""
    return alpha + 2 * float(np.sqrt(alpha * (1 - alpha) / streams))


def _minutes(first: Floats) -> str:
    median = float(np.median(first)) / 60
    if np.isinf(median):
        return "not in 3 days"
    return f"{median:,.1f} min" if median < 120 else f"{median / 60:,.1f} h"


class Tables:
    """Everything that is simulated, as rows."""

    def __init__(self, streams: int, seed: int = 20261128) -> None:
        self.streams = streams
        self.rng = np.random.default_rng(seed)
        self.shares: list[tuple[str, float, float]] = []  # for the plot
        self.times: list[tuple[float, float, float, float]] = []

    def null(self, name: str, make: Make, claim: MeanBets) -> str:
        """A row at the margin."""
        streams = make(self.rng, self.streams)
        calls = "- | -"
        if claim.low == 0:
            before = look_at_calls(streams, MARGIN)
            calls = f"{_share(before, Side.PASS):.3f} | {_share(before, Side.FAIL):.3f}"
        return self._row(name, calls, look(streams, claim))

    def _row(self, name: str, calls: str, looks: Looks) -> str:
        found = [_share(looks, side) for side in Side]
        self.shares.append((name, found[0], found[1]))
        held = "yes" if max(found) <= allowed(self.streams) else "**no**"
        return f"| {name} | {calls} | {found[0]:.3f} | {found[1]:.3f} | {held} |"

    def kind(self, kind: Kind) -> str:
        """A kind at its margin, and how soon three times as much is seen."""
        c = kind.claim
        null = (self.rng, self.streams, HOUR, c.margin, c.low, c.high, TENTH)
        at = look(spread_around(*null), c)
        few = max(20, self.streams // 5)
        harmed = spread_around(self.rng, few, HOUR // 4, 3 * c.margin, c.low, c.high, TENTH)
        first = look(harmed, c).first(Side.FAIL, threshold(ALPHA)) * TENTH
        return self._timed(kind.names, at, first)

    def ratio(self, at: Looks, first: Floats) -> str:
        """The row of `precision`."""
        return self._timed("precision, F1", at, first)

    def _timed(self, name: str, at: Looks, first: Floats) -> str:
        row = self._row(name, "", at).replace("|  |", "|")
        return f"{row} {_minutes(first)} |"

    def slices(self, count: int = 50) -> str:
        """Fifty slices, each at the margin: how often any is flagged, by e-BH at every look."""
        any_ = np.zeros(self.streams, dtype=bool)
        for group in range(self.streams):
            looks = look(independent(self.rng, count, 360, MARGIN, 10.0), RATES).log_fail
            for at in range(0, looks.shape[1], 20):
                if discoveries(looks[:, at].tolist(), ALPHA):
                    any_[group] = True
                    break
        share = float(any_.mean())
        self.shares.append(("50 slices, any flagged", 0.0, share))
        held = "yes" if share <= allowed(self.streams) else "**no**"
        return f"| 50 slices, any flagged | - | - | - | {share:.3f} | {held} |"

    def shadows(self, count: int = 5) -> str:
        """Five shadows at the margin: how often any passes."""
        looks = look(
            independent(self.rng, self.streams * count, 3 * 1440, MARGIN, 60.0),
            replace(RATES, swing=1.0),
        )
        first = looks.first(Side.PASS, threshold(pass_alpha(ALPHA, count)))
        share = float(np.isfinite(first.reshape(self.streams, count)).any(axis=1).mean())
        self.shares.append(("five shadows, any passes", share, 0.0))
        held = "yes" if share <= allowed(self.streams) else "**no**"
        return f"| five shadows, any passes | - | - | {share:.3f} | - | {held} |"

    def power(self, effect: float) -> str:
        """How soon it is decided."""
        side = Side.PASS if effect < 1 else Side.FAIL
        limit, few = threshold(ALPHA), max(20, self.streams // 10)
        hours = independent(self.rng, few, HOUR, effect * MARGIN, TENTH)
        days = independent(self.rng, few, DAYS, effect * MARGIN, MINUTE)
        firsts = [look_at_calls(hours, MARGIN).first(side, limit) * TENTH]
        for swing in (1.0, SWING):
            claim = replace(RATES, swing=swing)
            first = look(hours, claim).first(side, limit) * TENTH
            if not np.isfinite(np.median(first)):
                first = look(days, claim).first(side, limit) * MINUTE
            firsts.append(first)
        medians = [float(np.median(first)) for first in firsts]
        self.times.append((effect, *medians))  # type: ignore[arg-type]  # three of them
        cells = " | ".join(_minutes(first) for first in firsts)
        return f"| {effect:g} | {side.upper()} | {cells} |"


def precision(streams: int, seed: int = 20261129) -> tuple[Looks, Floats]:
    """Precision at its margin, and when three times as much is seen."""
    rng = np.random.default_rng(seed)
    at = looks_at_precision(rng, streams, 3600, 0.05, 0.05)
    harmed = looks_at_precision(rng, max(20, streams // 5), 900, 0.05, 0.15)
    return at, harmed.first(Side.FAIL, threshold(ALPHA)) * 60


def main() -> None:
    """Run every cell and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    given = parser.parse_args()
    os.nice(10)  # the machine may be shared
    with ProcessPoolExecutor(1) as pool:
        ratio = pool.submit(precision, given.streams)  # it takes half of the time
        _write(Tables(given.streams), ratio)


def _write(tables: Tables, ratio: Future[tuple[Looks, Floats]]) -> None:
    nulls = [tables.null(*row) for row in track(NULLS, description="at the margin")]
    kinds = [tables.kind(kind) for kind in track(KINDS, description="every kind")]
    many = [tables.slices(), tables.shadows()]
    power = [tables.power(effect) for effect in track(EFFECTS, description="power")]
    kinds.append(tables.ratio(*ratio.result()))
    most = allowed(tables.streams)
    SVG.write_text(plot(tables.shares, tables.times, most), encoding="utf-8")
    OUT.write_text(
        TEXT.format(
            streams=f"{tables.streams:,}",
            few=max(20, tables.streams // 10),
            allowed=f"{most:.3f}",
            nulls="\n".join([*nulls, *many]),
            kinds="\n".join(kinds),
            power="\n".join(power),
        ),
        encoding="utf-8",
    )


TEXT = """# How often the verdict errs, and how soon it decides

Written by `make simulate`. {streams} streams a row, each looked at after every block; 50 calls a
second, margin 1 %, alpha 2.5 % for each claim. The true mean, over a day, lies exactly at the
margin. Held: at most {allowed} (alpha and two standard errors). Calls: evidence as if calls were
independent, as it was before.

![False verdicts, and times to a decision](simulation.svg)

| at the margin | calls: false PASS | false FAIL | blocks: false PASS | false FAIL | held |
|---|---|---|---|---|---|
{nulls}

Rows that have a day and a night, or 3 days in their name, run for three days by blocks of a minute,
the others for an hour by tenths of a second; slices for an hour, shadows for three days.

**Why a rate that swings with the hour holds.** While a day has not been seen its mean is not known:
by day everything may be twice as bad as over the day. `judge.swing` (2) says how much that may be.
Until a whole day is over, FAIL needs evidence of more than so many margins, PASS of less than the
margin divided by it. When a day is over, the evidence of its blocks counts at the margin itself:
for a profile of hours p_1 .. p_24 and any bet L the product of 1 + L (p_h - m) is at most
(1 + L (mean - m))^24 (the mean of logarithms is at most the logarithm of the mean), so over whole
days it is evidence about the day's mean, whatever the hours are like. `swing: 1` says that the rate
does not follow the hour.

Every kind, at its margin for an hour, and the median time until three times the margin is seen.
Here calls come at random. It takes 3.5 minutes before likeness is known; what takes longer has a
margin that is small beside its range, for a single block may undo what the range allows. Fewer
calls a second take longer. Blocks of a tenth of a second tell of harm alone, never of health: PASS
goes by a second and longer.

| kind | false PASS | false FAIL | held | 3 margins: FAIL after |
|---|---|---|---|---|
{kinds}

Median time to a decision, independent calls, {few} streams:

| true effect / margin | decision | evidence per call | blocks, `swing: 1` | blocks, `swing: 2` |
|---|---|---|---|---|
{power}

With no disagreement at all likeness cannot be measured, bursts of a minute are assumed, and so a
perfect shadow takes longer than one with a few.
"""


if __name__ == "__main__":
    main()
