"""How much traffic a candidate takes: captured calls at growing rates, until it lags behind.

Rule: open loop. A call is sent when it is due, whether or not those before it have been answered,
so a candidate that slows down is seen to (coordinated omission would hide it: G. Tene, "How NOT to
Measure Latency"). The bound on calls under way is far above what a rate that holds needs; where it
is reached, the rate does not hold. Counterparts: `candidate`, which asks; `run.capacity`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.call import Observation
from sidecar.replay.candidate import Candidate
from sidecar.replay.recorded import Recorded

KEEPS_UP = 0.95  # of the calls that are due are answered within the step and its deadline
MAX_ERRORS = 0.01
UNDER_WAY = 4096  # calls: beyond them a rate does not hold
GROWTH = 2.0
REPEATS = 3  # of each step near the knee
CLOSER = 1.15  # rates closer than this are not told apart
QUEUE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SLO:
    """What is good enough: a quantile of the latency, in seconds."""

    quantile: float = 0.99
    seconds: float = math.inf

    @classmethod
    def parse(cls, text: str) -> SLO:
        """Read `p99=50ms`.

        Raises:
            ValueError: it is no such thing.
        """
        name, equals, value = text.partition("=")
        units = (("ms", 1e-3), ("s", 1.0))
        unit = next(((u, f) for u, f in units if value.endswith(u)), None)
        try:
            if not equals or not name.startswith("p") or unit is None:
                raise ValueError
            digits = name[1:]
            short = "." in digits or len(digits) < 3  # p99, p99.9; p999 is p99.9 too
            quantile = float(digits) / 100 if short else float(f"0.{digits}")
            seconds = float(value.removesuffix(unit[0])) * unit[1]
            if not (0 < quantile < 1 and 0 < seconds < math.inf):
                raise ValueError
        except ValueError:
            raise ValueError(f"{text!r}: must be such as p99=50ms or p95=0.2s") from None
        return cls(quantile, seconds)


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried. Latencies are seconds; NaN where nothing was answered."""

    rate: float  # asked for, calls a second
    sent: int
    answered: int  # with status OK, within the deadline
    failed: int
    overflowed: int  # were due, and could not be sent
    p50: float
    p99: float
    at_slo: float  # the SLO's quantile; calls that failed are infinitely slow

    def holds(self, slo: SLO) -> bool:
        """Whether the candidate keeps up at this rate."""
        due = self.sent + self.overflowed
        return (
            due > 0
            and self.answered >= KEEPS_UP * due
            and self.failed <= MAX_ERRORS * due
            and self.at_slo <= slo.seconds
        )


@dataclass(frozen=True, slots=True)
class Capacity:
    """What was found. Rates are calls a second."""

    steps: tuple[Step, ...]
    holds: float  # the highest rate at which every repetition held; 0 if none did
    breaks: float | None  # the lowest at which one did not; None if none was found


async def step(
    candidate: Candidate, calls: Sequence[Recorded], rate: float, seconds: float, slo: SLO
) -> Step:
    """Send calls at a rate for so long, then wait for their answers.

    Args:
        candidate: who is asked.
        calls: which are sent, over and over.
        rate: calls a second.
        seconds: how long.
        slo: whose quantile is wanted.
    """
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    failed = overflowed = 0
    running: set[asyncio.Task[None]] = set()

    async def one(call: Recorded, due: float) -> None:
        nonlocal failed
        answer: Observation = await candidate.ask(call)
        # From when it was due, not from when it could be sent.
        latencies.append(math.inf if answer.status else loop.time() - due)
        failed += bool(answer.status)

    began = loop.time()
    for number in range(max(1, round(rate * seconds))):
        due = began + number / rate
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        elif number % 64 == 0:
            await asyncio.sleep(0)  # those under way must have their turn too
        if len(running) >= UNDER_WAY:
            overflowed += 1
            continue
        task = loop.create_task(one(calls[number % len(calls)], due))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running, timeout=candidate.settings.deadline_seconds + 1)
    for task in running:
        task.cancel()
    latencies.sort()
    answered = sum(latency < math.inf for latency in latencies)
    return Step(
        rate,
        len(latencies),
        answered,
        failed,
        overflowed,
        _quantile(latencies, 0.5),
        _quantile(latencies, 0.99),
        _quantile(latencies, slo.quantile),
    )


async def find(
    candidate: Candidate,
    calls: Sequence[Recorded],
    slo: SLO,
    *,
    first: float,
    most: float,
    seconds: float,
    told: Callable[[Step], None],
) -> Capacity:
    """Find the rate at which a candidate stops keeping up.

    Args:
        candidate: who is asked.
        calls: which are sent.
        slo: what is good enough.
        first: the first rate, calls a second.
        most: the highest that is tried.
        seconds: how long each rate is held.
        told: of each step.
    """
    steps: list[Step] = []

    async def holds(rate: float, repeats: int) -> bool:
        for _ in range(repeats):
            one = await step(candidate, calls, rate, seconds, slo)
            steps.append(one)
            told(one)
            if not one.holds(slo):
                return False
        return True

    good, bad, rate = 0.0, None, first
    while bad is None and good < most:
        if await holds(rate, 1):
            good, rate = rate, min(most, rate * GROWTH)
        else:
            bad = rate
    while bad is not None and good and bad / good > CLOSER:
        rate = math.sqrt(good * bad)
        if await holds(rate, REPEATS):
            good = rate
        else:
            bad = rate
    return Capacity(tuple(steps), good, bad)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to configure for this candidate, and what production's rate would ask of it."""

    rate: float  # shadows[].rate.calls_per_second: four fifths of what held
    concurrency: int  # shadows[].concurrency: calls under way at that rate (Little's law, at p99)
    queue_calls: int  # shadows[].queue.calls: what may wait for two seconds
    fraction: float | None  # sample.fraction at production's rate; None: that is not known


def advise(found: Capacity, production_rate: float | None) -> Advice | None:
    """Say what to configure; None when no rate held."""
    if not found.holds:
        return None
    rate = 0.8 * found.holds
    p99 = max(one.p99 for one in found.steps if one.rate <= found.holds and one.p99 < math.inf)
    concurrency = max(1, math.ceil(rate * p99))
    fraction = None if not production_rate else min(1.0, rate / production_rate)
    return Advice(rate, concurrency, max(1, math.ceil(rate * QUEUE_SECONDS)), fraction)


def _quantile(ordered: Sequence[float], q: float) -> float:
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)]
