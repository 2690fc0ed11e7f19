"""A server that is asked again has so many calls at a time, and tells each once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from sidecar.call import Observation
from sidecar.replay.candidate import Asking, Candidate
from sidecar.replay.recorded import Recorded
from sidecar.tee.settings import ShadowSettings
from tests.tee.servers import grpc_server

METHOD = "/a.Service/Method"
NEVER = Observation(0, "", (), 0, 0)
CALLS = 10


def _call(number: int) -> Recorded:
    said = (str(number), 0, 0, None, METHOD, "", "", "", ())
    return Recorded(
        number, *said, request=(bytes([number]),), production=NEVER, shadow="", answer=NEVER
    )


def test_more_calls_than_places_wait_and_those_that_are_cancelled_are_never_sent() -> None:
    most = under_way = 0
    heard: list[int] = []
    told: dict[int, bytes] = {}

    async def scenario() -> None:
        full, go = asyncio.Event(), asyncio.Event()

        async def echo(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
            nonlocal most, under_way
            async for request in requests:
                heard.append(request[0])
                under_way += 1
                most = max(most, under_way)
                if under_way == 2:
                    full.set()
                try:
                    await go.wait()
                finally:
                    under_way -= 1
                yield request

        async with grpc_server(echo) as address:
            settings = ShadowSettings(address=address, concurrency=2, deadline_seconds=60)
            candidate = Candidate(settings, time.monotonic_ns)
            last = asyncio.Event()

            def begin(number: int) -> Asking:
                def done(answer: Observation) -> None:
                    assert number not in told, "once"
                    told[number] = answer.messages[0]
                    if len(told) == CALLS - 2:
                        last.set()

                return candidate.begin(_call(number), done)

            asked = [begin(number) for number in range(CALLS)]
            assert not told, "never before it returns"
            await full.wait()
            candidate.cancel(asked[0])  # under way
            candidate.cancel(asked[5])  # waits for a place
            candidate.cancel(asked[5])
            go.set()
            await last.wait()
            await candidate.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert told == {n: bytes([n]) for n in range(CALLS) if n not in {0, 5}}
    assert 5 not in heard
    assert most <= 3, "two, and the one that was given up and has not ended yet"
