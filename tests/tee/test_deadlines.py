"""One timer for the deadlines of all calls."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.tee.connection import Call
from sidecar.tee.deadlines import SPARE, Deadlines


def call(after: float) -> Call:
    return Call("/p.S/M", (), (), asyncio.get_running_loop().time() + after, lambda _: None)


def test_each_call_that_has_not_ended_is_late_once_in_the_order_of_deadlines() -> None:
    async def scenario() -> tuple[list[Call], list[Call]]:
        late: list[Call] = []
        all_late = asyncio.Event()
        loop = asyncio.get_running_loop()

        def told(one: Call) -> None:
            assert loop.time() >= one.deadline - 0.001
            late.append(one)
            one.ended = True
            deadlines.ended()
            if len(late) == 3:
                all_late.set()

        deadlines = Deadlines(loop, told)
        calls = [call(0.03), call(0.02), call(0.01), call(0.04)]
        for one in calls:
            deadlines.add(one)
        calls[1].ended = True
        deadlines.ended()
        async with asyncio.timeout(20):
            await all_late.wait()
        deadlines.close()
        return calls, late

    calls, late = asyncio.run(scenario())
    assert late == [calls[2], calls[0], calls[3]]


@pytest.mark.interpreted
def test_calls_that_have_ended_do_not_gather_behind_one_that_hangs() -> None:
    async def scenario() -> int:
        deadlines = Deadlines(asyncio.get_running_loop(), lambda _: None)
        deadlines.add(call(1))
        for _ in range(100 * SPARE):
            one = call(60)
            deadlines.add(one)
            one.ended = True
            deadlines.ended()
        deadlines.close()
        return len(deadlines._calls)

    assert asyncio.run(scenario()) <= SPARE + 4
