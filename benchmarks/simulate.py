"""`make simulate`: how often the verdict errs, and how soon it decides; writes simulation.md.

Rule: every stream is looked at after every block of 10 s, for a day. Calls come at 50 a second,
the margin is 1 %, alpha is 2.5 % for each claim. Counterparts: `simulate_streams` (the traffic),
`simulate_engine` (the judge's own formulas on arrays).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.simulate_engine import Looks, Streams, look, look_at_calls
from benchmarks.simulate_streams import (
    bursts,
    day_and_night,
    hot_inputs,
    independent,
    labelled,
    rate_by_hour,
    with_restarts,
)
from sidecar.judge.evidence.mixtures import Side, threshold

ALPHA = 0.025
MARGIN = 0.01
BLOCKS = 8640
EFFECTS = (0.0, 0.5, 0.8, 1.5, 2.0, 3.0, 5.0)
RATES = (MARGIN, 0.0, 1.0)
SIGNED = (0.02, -1.0, 1.0)
OUT = Path(__file__).with_name("simulation.md")

Make = Callable[[np.random.Generator, int], Streams]
NULLS: tuple[tuple[str, Make, tuple[float, float, float]], ...] = (
    ("independent calls", lambda g, s: independent(g, s, BLOCKS, MARGIN), RATES),
    ("bursts of 20 calls", lambda g, s: bursts(g, s, BLOCKS, MARGIN, 20), RATES),
    ("bursts of 200 calls", lambda g, s: bursts(g, s, BLOCKS, MARGIN, 200), RATES),
    ("bursts of 2,000 calls", lambda g, s: bursts(g, s, BLOCKS, MARGIN, 2000), RATES),
    ("day and night, 9 to 1 calls", lambda g, s: day_and_night(g, s, BLOCKS, MARGIN), RATES),
    ("30 hot inputs", lambda g, s: hot_inputs(g, s, BLOCKS, MARGIN), RATES),
    (
        "observer killed 20 times",
        lambda g, s: with_restarts(g, independent(g, s, BLOCKS, MARGIN), 20),
        RATES,
    ),
    (
        "10 % of labels missing at random",
        lambda g, s: labelled(g, s, BLOCKS, 0.02, 0.1, False)[0],
        SIGNED,
    ),
    (
        "10 % of labels missing, the bad ones",
        lambda g, s: labelled(g, s, BLOCKS, 0.02, 0.1, True)[0],
        SIGNED,
    ),
    (
        "the rate itself swings with the hour, 0 to 2 %",
        lambda g, s: rate_by_hour(g, s, BLOCKS, MARGIN),
        RATES,
    ),
)


def _share(looks: Looks, side: Side) -> float:
    return float(np.isfinite(looks.first(side, threshold(ALPHA))).mean())


def _null(name: str, streams: Streams, bound: tuple[float, float, float]) -> str:
    count = len(streams.n)
    after = look(streams, bound)
    calls = "- | -"
    if bound == RATES:
        before = look_at_calls(streams, MARGIN)
        calls = f"{_share(before, Side.PASS):.3f} | {_share(before, Side.FAIL):.3f}"
    found = [_share(after, side) for side in Side]
    allowed = ALPHA + 2 * float(np.sqrt(ALPHA * (1 - ALPHA) / count))
    held = "yes" if max(found) <= allowed else "**no**"
    return f"| {name} | {calls} | {found[0]:.3f} | {found[1]:.3f} | {held} |"


def _minutes(first: np.ndarray) -> str:
    median = float(np.median(first))
    return "not in a day" if np.isinf(median) else f"{median / 6:,.1f} min"


def _power(effect: float, streams: Streams) -> str:
    side = Side.PASS if effect < 1 else Side.FAIL
    limit = threshold(ALPHA)
    before = look_at_calls(streams, MARGIN).first(side, limit)
    after = look(streams).first(side, limit)
    return f"| {effect:g} | {side.upper()} | {_minutes(before)} | {_minutes(after)} |"


def main() -> None:
    """Run every cell and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    count = parser.parse_args().streams
    rng = np.random.default_rng(20261124)
    nulls = [
        _null(name, make(rng, count), bound)
        for name, make, bound in track(NULLS, description="at the margin")
    ]
    power = [
        _power(effect, independent(rng, max(20, count // 5), BLOCKS, effect * MARGIN))
        for effect in track(EFFECTS, description="power")
    ]
    allowed = ALPHA + 2 * float(np.sqrt(ALPHA * (1 - ALPHA) / count))
    OUT.write_text(
        "\n".join(
            [
                "# How often the verdict errs, and how soon it decides",
                "",
                f"Written by `make simulate`. {count:,} streams a row, each looked at after every",
                "10 s for a day; 50 calls a second, margin 1 %, alpha 2.5 % for each claim. The",
                f"true mean lies exactly at the margin. Held: at most {allowed:.3f} (alpha and two",
                "standard errors). Calls: evidence as if calls were independent.",
                "",
                "| at the margin | calls: false PASS | false FAIL "
                "| blocks: false PASS | false FAIL | held |",
                "|---|---|---|---|---|---|",
                *nulls,
                "",
                "A rate that swings with the hour is not covered by any block shorter than a day:",
                "its mean over the hours seen is not its mean. That is why a report says how much",
                "of a day and of a week it has seen.",
                "",
                f"Median time to a decision, independent calls, {max(20, count // 5):,} streams:",
                "",
                "| true effect / margin | decision | evidence per call | per block |",
                "|---|---|---|---|",
                *power,
                "",
                "With no disagreement at all likeness cannot be measured, bursts of a minute are",
                "assumed, and so a perfect shadow takes longer than one with a few.",
                "",
            ]
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
