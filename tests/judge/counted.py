"""What a judge keeps of fixed calls, as JSON: the same to the last bit in either build.

python -m tests.judge.counted
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.experiment.epoch import EpochCounts
from sidecar.judge.codec import Codec, names_of
from sidecar.judge.counts import Coverage
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import ControlTimes, JudgedPair
from sidecar.judge.pieces import Cutter
from sidecar.judge.settings import JudgeSettings
from tests.judge.pairs import MS, pair, settings
from tests.judge.test_kinds import LIVES

CALLS = 160
OFFSET = 1_700_000_000_123_456_789


def traffic(dice: random.Random, calls: int = CALLS) -> Iterator[JudgedPair]:
    """Calls of every fate, some beside a control, in two slices, of three methods."""
    outcomes = [Outcome.EQUAL] * 8 + [
        Outcome.VALUE, Outcome.NONFINITE, Outcome.SHADOW_ERROR, Outcome.UNDECODABLE,
        Outcome.BOTH_ERROR_SAME, Outcome.MESSAGE_COUNT,
    ]  # fmt: skip
    for i in range(calls):
        outcome, noise = dice.choice(outcomes), dice.choice(outcomes[:11])
        score = 0.0 if outcome is Outcome.EQUAL else dice.random()
        raw = {"signed_relative": score - 0.5}
        output = OutputResult(f"[1]s{i % 3}", outcome, "tolerance", score, raw)
        reader = "opaque" if i < 40 and i % 4 == 0 else "open_inference"
        took = round(dice.lognormvariate(16, 1))
        late = outcome is Outcome.SHADOW_ERROR and i % 2 == 0
        drawn = dice.random()
        yield pair(
            i,
            method=f"/p.S/M{i % 3}",
            arrived_ns=round(i * 70.3 * MS),
            comparison=Comparison(outcome, (output,), reader, models=("m:1", "m:2")),
            shadow_status=4 if late else 0,
            production_latency_ns=took,
            shadow_latency_ns=round(took * dice.lognormvariate(0.05, 0.2)),
            first_message_ns=(took // 3, took // 2),
            message_gap_ns=(took // 7, None if i % 9 == 0 else took // 6),
            control=Comparison(noise, models=("m:1", "m:1")) if drawn < 0.5 else None,
            control_times=None
            if drawn > 0.6
            else ControlTimes(
                took + 7, took // 3, took // 8, noise is not Outcome.EQUAL, i % 2 > 0
            ),
            slices=(("user", f"u{i * i % 11 % 4}"),) if i % 5 else (),
            values={"score": (dice.random(), dice.random())},
            weight=1.0 if i % 3 else 1.0 + dice.random(),
            is_repeat=i % 50 == 49,
        )


def kept(judge: Judge) -> dict[str, Any]:
    """Every piece, as it would be written."""
    pieces = Cutter(judge).changed(whole=True)
    return {path: value() if callable(value) else value for path, value in pieces.items()}


def counted(declared: JudgeSettings, control_fraction: float) -> dict[str, Any]:
    """What is kept of that traffic, with labels, lost calls and looks between."""
    dice = random.Random(7)
    judge = Judge(declared, "pod", 0, unix_offset_ns=OFFSET, control_fraction=control_fraction)
    shown = EpochCounts(judge.epoch)
    for i, call in enumerate(traffic(dice)):
        if judge.observe(call, call.arrived_ns, {}):
            shown.add(call, call.arrived_ns + OFFSET)
        if i % 3:
            judge.label(Label(f"id-{i - i % 4}", i % 2, 0.5, i), call.arrived_ns)
        if i % 7 == 0:
            judge.lose({"breaker_open" if i % 2 else "queue_full": 2}, call.arrived_ns)
        if i % 80 == 0:
            judge.verdict(call.arrived_ns, Coverage(i, i))
    plain = Codec({})
    return kept(judge) | {
        f"row/{name}": plain.plain(getattr(shown, name)) for name in names_of(shown)
    }


def everything() -> dict[str, dict[str, Any]]:
    """Of every kind alone, and of what runs when nothing is declared."""
    by = [{"source": "metadata:user", "name": "user"}]
    declared = {
        kind: settings(life.criterion, slices=by, max_slices=3, independent_calls=False)
        for kind, life in LIVES.items()
    }
    declared["defaults"] = JudgeSettings()
    return {
        f"{name}, {fraction:g}": counted(one, fraction)
        for name, one in declared.items()
        for fraction in (0.0, 0.5)
    }


if __name__ == "__main__":
    json.dump(everything(), sys.stdout, indent=1, sort_keys=True)
