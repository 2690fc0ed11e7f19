"""What judging costs: microseconds per observed pair and per verdict.

    python -m benchmarks.bench_judge

Observing happens once a call; a verdict is evaluated when somebody asks. Both grow with the
number of criteria, and of the slices that a call counts in.
"""

from __future__ import annotations

import time

import numpy as np

from sidecar.call import CallKey
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.judge.counts import Coverage
from sidecar.judge.criteria.kinds import ANY_CRITERION, AnyCriterion
from sidecar.judge.decision import Decision
from sidecar.judge.judge import Judge
from sidecar.judge.pair import JudgedPair
from sidecar.judge.settings import (
    DEFAULT_CRITERIA,
    JudgeSettings,
    SliceSettings,
)


def criterion(**given: object) -> AnyCriterion:
    """A criterion of the kind that is given."""
    return ANY_CRITERION.validate_python(given)


CALLS = 20_000
VERDICTS = 20

FULL = (
    *DEFAULT_CRITERIA,
    criterion(name="bias", kind="bias", margin=0.05),
    criterion(name="slower", kind="latency_difference", margin=0.01),
    criterion(name="flips", kind="decision_flips", margin=0.01, decision=Decision(threshold=0.5)),
    criterion(
        name="accuracy",
        kind="accuracy",
        margin=0.01,
        decision=Decision(threshold=0.5),
        slices=("method", "user"),
    ),
)
SLICES = (
    SliceSettings(source="method"),
    SliceSettings(source="metadata:user"),
    SliceSettings(source="class:score"),
)


def pairs(calls: int) -> list[JudgedPair]:
    """Calls of which 2 % disagree, with log-normal latencies and three slices each."""
    rng = np.random.default_rng(1)
    latencies = rng.lognormal(np.log(5e6), 0.4, (calls, 2)).astype(int).tolist()
    differs = (rng.random(calls) < 0.02).tolist()
    users = rng.zipf(1.5, calls).tolist()
    made = []
    for i in range(calls):
        outcome = Outcome.VALUE if differs[i] else Outcome.EQUAL
        output = OutputResult(
            "score", outcome, "tolerance", float(differs[i]), {"signed_relative": 0.0}
        )
        made.append(
            JudgedPair(
                key=CallKey(1, i),
                method="/inference.GRPCInferenceService/ModelInfer",
                arrived_ns=i * 1_000_000,
                comparison=Comparison(outcome, (output,), models=("m:1", "m:2")),
                production_latency_ns=latencies[i][0],
                shadow_latency_ns=latencies[i][1],
                correlation_id=f"call-{i}",
                slices=(("method", "infer"), ("user", str(users[i])), ("score", str(i % 10))),
                values={"score": (0.4, 0.6 if differs[i] else 0.4)},
            )
        )
    return made


def main() -> None:
    """Measure and print."""
    calls = pairs(CALLS)
    cases = {
        "5 default criteria": JudgeSettings(),
        "5 default criteria, 3 slices a call": JudgeSettings(slices=SLICES),
        "9 criteria": JudgeSettings(criteria=FULL),
        "9 criteria, 3 slices a call": JudgeSettings(criteria=FULL, slices=SLICES),
    }
    print(f"{'':38} {'us/pair':>10} {'ms/verdict':>12} {'cells':>7}")
    for name, settings in cases.items():
        judge = Judge(settings, "bench", 0)
        start = time.perf_counter()
        for call in calls:
            judge.observe(call, call.arrived_ns)
        observing = (time.perf_counter() - start) / CALLS
        coverage = Coverage(CALLS, CALLS)
        start = time.perf_counter()
        for i in range(VERDICTS):
            judge.verdict(CALLS * 1_000_000 + i, coverage)
        judging = (time.perf_counter() - start) / VERDICTS
        cells = len(judge.snapshot(CALLS * 1_000_000 + VERDICTS, coverage).cells)
        print(f"{name:38} {observing * 1e6:10.1f} {judging * 1e3:12.1f} {cells:7}")


if __name__ == "__main__":
    main()
