"""What the judge adds to a call in the running observer: microseconds of CPU time per call.

    python -m benchmarks.bench_judging

From a finished comparison to its counts: reading what criteria and slices are about, building the
pair, counting it. `benchmarks.bench_judge` measures the counting alone.
"""

from __future__ import annotations

import time
from typing import Any

from sidecar.call import CallKey, Started
from sidecar.experiment.pair import Pair
from sidecar.judge.settings import DEFAULT_CRITERIA
from sidecar.report.live import report_of
from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.plan import SpanPlan
from tests.house import INFER, House, request, told

CALLS = 5_000
DEFAULTS = [criterion.model_dump() for criterion in DEFAULT_CRITERIA]
CASES: dict[str, dict[str, Any]] = {
    "one criterion": {},
    "the five default criteria": {"criteria": DEFAULTS},
    "and a slice by metadata": {"criteria": DEFAULTS, "slices": [{"source": "metadata:tier"}]},
    "and one by production's class": {
        "criteria": DEFAULTS,
        "slices": [{"source": "metadata:tier"}, {"source": "class:score"}],
    },
    "and one by a field of the request": {
        "criteria": DEFAULTS,
        "slices": [
            {"source": "metadata:tier"},
            {"source": "class:score"},
            {"source": "field:age", "bins": [10.0, 100.0]},
        ],
    },
}


def made(house: House, calls: int) -> list[Pair]:
    """Compared calls that are ready to be judged."""
    pairs = []
    for number in range(calls):
        production, shadow = told(float(number % 10)), told(float(number % 10))
        context = TraceContext(number + 1, number + 1, False)
        pair = Pair(
            Started(
                CallKey(1, number), INFER, "model", (("tier", f"t{number % 5}"),), "peer", number
            ),
            house.ledger.see(),
            plan=SpanPlan("joined", None, context, {"candidate": context}),
            request=(request(number, age=float(number)),),
            production=production,
        )
        found = house.comparer.examine(INFER, pair.request, production, shadow)
        pair.shadowed["candidate"], pair.compared["candidate"] = shadow, found.comparison
        pair.entry.compare("candidate", found.comparison, production, shadow)
        house.judging.keep(pair, "candidate", found)
        pairs.append(pair)
    return pairs


def main() -> None:
    """Measure and print."""
    print(f"{'':36} {'us/call':>9} {'ms/report':>10}")
    for name, given in CASES.items():
        house = House(given)
        pairs = made(house, CALLS)
        start = time.process_time()
        for pair in pairs:
            house.judging.judge(pair)
        judging = (time.process_time() - start) / CALLS
        start = time.process_time()
        report_of(house.experiment.state(), house.judged)
        reporting = time.process_time() - start
        print(f"{name:36} {judging * 1e6:9.1f} {reporting * 1e3:10.1f}")


if __name__ == "__main__":
    main()
