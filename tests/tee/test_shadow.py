"""A whole shadow against real servers: one word back for each call it took."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from sidecar.call import CallKey, Observation, SkipReason
from sidecar.tee.breaker import BreakerState
from sidecar.tee.limits import NANOSECONDS
from sidecar.tee.settings import (
    BreakerSettings,
    PairSettings,
    QueueSettings,
    RateSettings,
    ShadowSettings,
)
from sidecar.tee.shadow import Dispatch, Shadow
from tests.tee.servers import (
    Handler,
    echo,
    grpc_server,
    hangs,
    nobody,
    raw_server,
    resets_streams,
)

OK, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 4, 14


class Clock:
    """Real time, and what the test puts on top."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self.ahead_ns


class Bench:
    """A shadow, its clock, and everything it said."""

    def __init__(self, address: str, **settings: Any) -> None:
        self.clock = Clock()
        self.told: dict[int, list[Observation | SkipReason]] = {}
        self.news = asyncio.Event()
        self.shadow = Shadow(
            ShadowSettings(address=address, **settings),
            PairSettings(max_request_bytes=1000),
            self.clock,
            self._done,
        )
        self.shadow.start()

    def _done(self, dispatch: Dispatch, result: Observation | SkipReason) -> None:
        self.told.setdefault(dispatch.key.stream, []).append(result)
        self.news.set()

    def offer(self, n: int, body: bytes = b"x", draw: float = 0.0) -> SkipReason | None:
        dispatch = Dispatch(
            key=CallKey(1, n),
            method="/p.S/M",
            messages=(body,),
            metadata=(),
            size=len(body),
            offered_ns=self.clock(),
        )
        return self.shadow.refusal(draw) or self.shadow.offer(dispatch)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.news.clear()
            await self.news.wait()

    def outcomes(self) -> dict[int, int | SkipReason]:
        """What was said of each call; fails when a call was told twice."""
        assert all(len(results) == 1 for results in self.told.values())
        return {
            n: result.status if isinstance(result, Observation) else result
            for n, [result] in self.told.items()
        }


@asynccontextmanager
async def bench(handler: Handler, **settings: Any) -> AsyncIterator[Bench]:
    async with grpc_server(handler) as address:
        made = Bench(address, **settings)
        try:
            yield made
        finally:
            await made.shadow.close()
            assert (made.shadow.running, made.shadow.queued_calls) == (0, 0)
            assert made.shadow.queued_bytes == 0


class Held:
    """A server that keeps each call until it is let go, and says how many it has."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.arrivals: asyncio.Queue[None] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.dropped: asyncio.Queue[None] = asyncio.Queue()

    async def serve(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrivals.put_nowait(None)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.dropped.put_nowait(None)
            raise
        finally:
            self.inside -= 1
        async for message in requests:
            yield message

    async def arrived(self, calls: int) -> None:
        for _ in range(calls):
            await self.arrivals.get()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def test_every_call_it_takes_is_answered_once() -> None:
    async def scenario() -> None:
        async with bench(echo, concurrency=4) as b:
            assert [b.offer(n, b"%d" % n) for n in range(100)] == [None] * 100
            await b.until(lambda: len(b.told) == 100)

            assert b.outcomes() == dict.fromkeys(range(100), OK)
            for n, [seen] in b.told.items():
                assert isinstance(seen, Observation)
                assert seen.messages == (b"%d" % n,)
            assert b.shadow.started == 100
            assert b.shadow.answered == {OK: 100}

    run(scenario)


def test_no_more_than_concurrency_run_at_once_and_the_rest_wait() -> None:
    async def scenario() -> None:
        held = Held()
        async with bench(held.serve, concurrency=3) as b:
            for n in range(10):
                assert b.offer(n, b"12345") is None
            await held.arrived(3)
            assert (b.shadow.running, b.shadow.queued_calls, b.shadow.queued_bytes) == (3, 7, 35)

            held.opened.set()
            await b.until(lambda: len(b.told) == 10)
            assert held.most == 3
            assert b.outcomes() == dict.fromkeys(range(10), OK)

    run(scenario)


def test_a_burst_that_finds_free_workers_does_not_count_as_waiting() -> None:
    async def scenario() -> None:
        async with bench(hangs, concurrency=3, queue=QueueSettings(calls=2)) as b:
            refusals = [b.offer(n) for n in range(7)]

        assert refusals == [None] * 5 + [SkipReason.QUEUE_FULL] * 2

    run(scenario)


def test_every_refusal_is_said_at_once_and_nothing_follows() -> None:
    async def scenario() -> None:
        breaker = BreakerSettings(consecutive_failures=1)
        queue = QueueSettings(calls=2, bytes=100)
        async with bench(hangs, fraction=0.5, concurrency=1, queue=queue, breaker=breaker) as b:
            refused = {
                b.offer(1, draw=0.5): 1,
                b.offer(2, bytes(1001)): 2,
                b.offer(3, bytes(101)): 3,
                b.offer(4): 4,
                b.offer(5): 5,
                b.offer(6): 6,
                b.offer(7): 7,
            }
            assert refused == {
                SkipReason.NOT_SAMPLED: 1,
                SkipReason.REQUEST_TOO_LARGE: 2,
                SkipReason.QUEUE_BYTES: 3,
                None: 6,
                SkipReason.QUEUE_FULL: 7,
            }
            b.shadow.update(
                b.shadow.settings.model_copy(update={"rate": RateSettings(calls_per_second=1e-9)})
            )
            assert b.shadow.cancel(CallKey(1, 6))
            assert b.offer(8) is None
            assert b.shadow.cancel(CallKey(1, 8))
            assert b.offer(9) is SkipReason.RATE_LIMITED

        assert b.outcomes() == dict.fromkeys((4, 5), SkipReason.SHUTDOWN)
        assert b.offer(10) is SkipReason.SHUTDOWN

    run(scenario)


def test_a_full_queue_is_known_before_the_call_and_not_a_moment_longer_than_it_is_full() -> None:
    async def scenario() -> None:
        queue = QueueSettings(calls=2, max_wait_seconds=2)
        async with bench(hangs, concurrency=1, queue=queue) as b:
            for n in range(3):
                assert b.shadow.refusal() is None
                assert b.offer(n) is None
            assert b.shadow.refusal() is b.offer(3) is SkipReason.QUEUE_FULL
            b.clock.ahead_ns += 3 * NANOSECONDS
            assert b.shadow.refusal() is None

    run(scenario)


def test_pressure_is_one_half_way_to_any_bound() -> None:
    async def scenario() -> None:
        queue = QueueSettings(calls=4, bytes=1000, max_wait_seconds=2)
        async with bench(hangs, concurrency=1, queue=queue) as b:
            pressures = []
            for n in range(4):
                assert b.offer(n) is None
                pressures.append(round(b.shadow.pressure(b.clock()), 3))
            assert pressures == [0, 0.5, 1, 1.5]
            b.clock.ahead_ns += round(1.9 * NANOSECONDS)
            assert round(b.shadow.pressure(b.clock()), 1) == 1.9

    run(scenario)


def test_a_call_that_waited_too_long_is_expired_and_never_sent() -> None:
    async def scenario() -> None:
        held = Held()
        async with bench(held.serve, concurrency=1, queue=QueueSettings(max_wait_seconds=2)) as b:
            b.offer(1)
            await held.arrived(1)
            b.offer(2)
            b.clock.ahead_ns += 3 * NANOSECONDS
            b.offer(3)
            assert b.outcomes() == {2: SkipReason.EXPIRED}  # the newcomer's offer found it
            b.offer(4)
            b.clock.ahead_ns += 3 * NANOSECONDS
            held.opened.set()
            await b.until(lambda: len(b.told) == 4)

            assert b.outcomes() == {1: OK} | dict.fromkeys((2, 3, 4), SkipReason.EXPIRED)
            assert b.shadow.started == 1

    run(scenario)


def test_a_cancelled_call_is_dropped_wherever_it_is_and_not_told() -> None:
    async def scenario() -> None:
        held = Held()
        async with bench(held.serve, concurrency=1) as b:
            for n in (1, 2, 3):
                b.offer(n)
            await held.arrived(1)
            assert b.shadow.cancel(CallKey(1, 2))
            assert b.shadow.queued_bytes == 1
            assert b.shadow.cancel(CallKey(1, 1))
            await held.dropped.get()  # the shadow is told to stop
            assert not b.shadow.cancel(CallKey(1, 1))

            held.opened.set()
            await b.until(lambda: 3 in b.told)
            assert b.outcomes() == {3: OK}
            assert not b.shadow.cancel(CallKey(1, 3))

    run(scenario)


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_cancelling_at_any_moment_is_exact(turns: int) -> None:
    async def scenario() -> None:
        async with bench(echo, concurrency=4) as b:
            for n in range(12):
                b.offer(n)
            for _ in range(turns):
                await asyncio.sleep(0)  # a turn of the loop, not a time
            cancelled = {n for n in range(12) if n % 2 and b.shadow.cancel(CallKey(1, n))}
            await b.until(lambda: len(b.told) == 12 - len(cancelled))
            # The workers have outlived it.
            for n in range(20, 28):
                b.offer(n)
            await b.until(lambda: len(b.told) == 20 - len(cancelled))

            assert set(b.outcomes()) == (set(range(12)) - cancelled) | set(range(20, 28))
            assert set(b.outcomes().values()) == {OK}

    run(scenario)


def test_closing_ends_what_waits_and_what_runs() -> None:
    async def scenario() -> None:
        held = Held()
        async with bench(held.serve, concurrency=2) as b:
            for n in range(5):
                b.offer(n)
            await held.arrived(2)
            await b.shadow.close()

            assert b.outcomes() == dict.fromkeys(range(5), SkipReason.SHUTDOWN)

    run(scenario)


def test_closing_right_after_an_offer_still_says_its_word() -> None:
    async def scenario() -> None:
        async with bench(echo) as b:
            assert b.offer(1) is None
            await b.shadow.close()

            assert b.outcomes() == {1: SkipReason.SHUTDOWN}

    run(scenario)


def test_a_shadow_that_is_not_there_opens_the_breaker() -> None:
    async def scenario() -> None:
        b = Bench(nobody(), concurrency=1, breaker=BreakerSettings(consecutive_failures=3))
        for n in range(3):
            assert b.offer(n) is None
        await b.until(lambda: len(b.told) == 3)

        assert b.outcomes() == dict.fromkeys(range(3), UNAVAILABLE)
        assert b.shadow.breaker_state is BreakerState.OPEN
        assert b.shadow.refusal() is b.offer(3) is SkipReason.BREAKER_OPEN
        await b.shadow.close()

    run(scenario)


def test_a_shadow_that_recovers_closes_the_breaker() -> None:
    async def scenario() -> None:
        well = asyncio.Event()

        async def ill_at_first(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
            await well.wait()
            async for message in requests:
                yield message

        breaker = BreakerSettings(consecutive_failures=2, probes=2, cooldown_seconds=60)
        async with bench(ill_at_first, deadline_seconds=0.1, breaker=breaker) as b:
            b.offer(1)
            b.offer(2)
            await b.until(lambda: len(b.told) == 2)
            assert b.outcomes() == dict.fromkeys((1, 2), DEADLINE_EXCEEDED)
            assert b.offer(3) is SkipReason.BREAKER_OPEN

            well.set()
            b.shadow.update(b.shadow.settings.model_copy(update={"deadline_seconds": 60.0}))
            b.clock.ahead_ns += 60 * NANOSECONDS
            refusals = [b.offer(n) for n in (4, 5, 6)]
            assert refusals == [None, None, SkipReason.BREAKER_OPEN]
            await b.until(lambda: len(b.told) == 4)
            assert b.shadow.breaker_state is BreakerState.CLOSED
            assert b.offer(7) is None

    run(scenario)


def test_probes_that_never_ran_do_not_wedge_the_breaker() -> None:
    async def scenario() -> None:
        breaker = BreakerSettings(consecutive_failures=1, probes=1, cooldown_seconds=60)
        async with bench(hangs, deadline_seconds=0.1, concurrency=1, breaker=breaker) as b:
            b.offer(1)
            b.shadow.update(b.shadow.settings.model_copy(update={"deadline_seconds": 60.0}))
            b.offer(2)  # takes the only place as soon as number 1 has failed
            await b.until(lambda: len(b.told) == 1)
            b.clock.ahead_ns += 60 * NANOSECONDS

            for n in range(3, 7):  # cancelled while it waits
                assert b.offer(n) is None
                assert b.offer(99) is SkipReason.BREAKER_OPEN
                assert b.shadow.cancel(CallKey(1, n))
            assert b.offer(7) is None
            b.clock.ahead_ns += 3 * NANOSECONDS
            assert b.offer(8) is None  # number 7 has expired by now and made room
            assert b.outcomes()[7] is SkipReason.EXPIRED

    run(scenario)


def test_a_probe_cancelled_while_it_runs_gives_its_slot_back() -> None:
    async def scenario() -> None:
        held = Held()
        breaker = BreakerSettings(consecutive_failures=1, probes=1, cooldown_seconds=60)
        async with bench(held.serve, deadline_seconds=0.1, breaker=breaker) as b:
            b.offer(1)
            await b.until(lambda: len(b.told) == 1)
            await held.arrived(1)
            b.shadow.update(b.shadow.settings.model_copy(update={"deadline_seconds": 60.0}))
            b.clock.ahead_ns += 60 * NANOSECONDS
            assert b.offer(2) is None
            await held.arrived(1)
            await held.dropped.get()
            assert b.shadow.cancel(CallKey(1, 2))
            await held.dropped.get()

            assert b.offer(3) is None

    run(scenario)


def test_an_application_error_is_an_answer_and_not_a_sickness() -> None:
    async def scenario() -> None:
        async def crashes(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            await context.abort(grpc.StatusCode.INTERNAL, "division by zero")
            yield b""

        async with bench(crashes, breaker=BreakerSettings(consecutive_failures=1)) as b:
            for n in range(5):
                assert b.offer(n) is None
                await b.until(lambda: not b.shadow.queued_calls and len(b.told) == b.shadow.started)

            assert b.outcomes() == dict.fromkeys(range(5), 13)
            assert b.shadow.breaker_state is BreakerState.CLOSED

    run(scenario)


def test_only_what_can_change_live_is_changed() -> None:
    async def scenario() -> None:
        async with bench(echo) as b:
            old = b.shadow.settings
            with pytest.raises(ValueError, match="needs a restart: address, concurrency"):
                b.shadow.update(
                    old.model_copy(update={"address": "h:1", "concurrency": 1, "fraction": 0.0})
                )
            assert b.shadow.settings is old
            assert b.offer(1) is None

            b.shadow.update(old.model_copy(update={"fraction": 0.0}))
            assert b.offer(2) is SkipReason.NOT_SAMPLED

    run(scenario)


def test_a_listener_that_raises_is_logged_and_costs_no_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        seen: Counter[int] = Counter()
        all_done = asyncio.Event()

        def done(dispatch: Dispatch, _: Observation | SkipReason) -> None:
            seen[dispatch.key.stream] += 1
            if len(seen) == 3:
                all_done.set()
            raise RuntimeError("not mine")

        async with grpc_server(echo) as address:
            settings = ShadowSettings(address=address, concurrency=1)
            shadow = Shadow(settings, PairSettings(), time.monotonic_ns, done)
            shadow.start()
            for n in range(3):
                call = Dispatch(CallKey(1, n), "/p.S/M", (b"",), (), 0, time.monotonic_ns())
                assert shadow.offer(call) is None
            await all_done.wait()
            await shadow.close()
        assert seen == {0: 1, 1: 1, 2: 1}

    with caplog.at_level(logging.ERROR, "sidecar.tee.shadow"):
        run(scenario)
    assert len(caplog.records) == 3


def test_a_shadow_that_refuses_a_stream_did_nothing_and_that_is_no_answer() -> None:
    async def scenario() -> None:
        async with raw_server(resets_streams([], error=7)) as address:
            made = Bench(address)
            made.offer(1)
            await made.until(lambda: len(made.told) == 1)
            assert made.outcomes() == {1: SkipReason.INCOMPLETE}
            assert made.shadow.answered == {UNAVAILABLE: 1}  # which its breaker hears of
            await made.shadow.close()

    run(scenario)
