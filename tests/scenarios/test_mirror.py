"""The scenarios of Envoy's mirror tests, and a few of our own: production never notices.

Each is checked by what the client got, byte for byte against a run without the sidecar, and by
counters.
"""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from tests.scenarios.books import past_the_sidecar
from tests.scenarios.stack import servers, sidecar, skipped
from tests.scenarios.traffic import OPTIONS, SERVICE, Client, Mix, run

MIX = Mix(unary=120, streams=8, cancelled=8, failing=8)
BYTES = ("bytes",)


def both_ways(production: str, through: str, mix: Mix = MIX) -> None:
    """The same traffic with and without the sidecar gets the same answers."""
    with past_the_sidecar(production):
        direct = asyncio.run(run(production, mix))
    assert asyncio.run(run(through, mix)) == direct


def test_an_equal_shadow_is_compared_and_found_equal() -> None:
    with servers(BYTES, ("bytes", "--name", "shadow")) as (production, shadow):
        with sidecar(production, shadow) as it:
            both_ways(production, it.address)
            calls = it.settled(MIX.calls)["calls"]
            differences = it.status()["shadows"]["shadow"]["outcomes"]
    assert skipped(calls) == {"cancelled": MIX.cancelled}
    assert calls["compared"] == MIX.calls - MIX.cancelled
    assert differences["equal"] == MIX.calls - MIX.cancelled - MIX.failing
    assert differences["both_error_same"] == MIX.failing


def test_a_different_shadow_is_found_different_and_no_byte_of_it_reaches_the_client() -> None:
    with servers(BYTES, ("bytes", "--name", "shadow", "--salt", "other")) as (production, shadow):
        with sidecar(production, shadow) as it:
            both_ways(production, it.address)
            status = it.settled(MIX.calls)
    outcomes = status["shadows"]["shadow"]["outcomes"]
    assert outcomes["value"] == MIX.calls - MIX.cancelled - MIX.failing


def test_two_shadows_and_a_control_each_have_their_own_ledger() -> None:
    kinds = (BYTES, ("bytes", "--salt", "x"), ("bytes", "--error", "INTERNAL"))
    with servers(*kinds) as (production, other, failing):
        with sidecar(production, f"other={other}", f"failing={failing}") as it:
            both_ways(production, it.address)
            shadows = it.settled(MIX.calls)["shadows"]
    assert shadows["other"]["outcomes"]["value"] > 0
    assert shadows["failing"]["outcomes"]["shadow_error"] > 0


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (("bytes", "--error", "RESOURCE_EXHAUSTED"), "shadow_error"),
        (("garbage",), "shadow_error"),
        (("reset",), "shadow_error"),
    ],
)
def test_a_shadow_that_fails_resets_or_talks_garbage_is_a_counted_difference(
    kind: tuple[str, ...], outcome: str
) -> None:
    with servers(BYTES, kind) as (production, shadow):
        settings = _shadow(shadow, breaker={"consecutive_failures": 1_000_000})
        with sidecar(production, settings=settings) as it:
            both_ways(production, it.address)
            status = it.settled(MIX.calls)
    assert status["shadows"]["shadow"]["outcomes"][outcome] > 0


def test_a_shadow_that_is_not_there_opens_the_breaker() -> None:
    with servers(BYTES, BYTES) as (production, gone):
        pass
    settings = _shadow(gone, breaker={"cooldown_seconds": 600})
    with servers(BYTES) as (production,), sidecar(production, settings=settings) as it:
        for round_ in (1, 2):  # the first calls may all be on their way before one has failed
            both_ways(production, it.address)
            status = it.settled(round_ * MIX.calls)
    shadow = status["shadows"]["shadow"]
    assert shadow["outcomes"]["shadow_error"] >= 10
    assert shadow["breaker"] == "open"
    assert shadow["skipped"]["breaker_open"] > 0


def test_a_shadow_that_never_answers_meets_its_own_deadline() -> None:
    with servers(BYTES, ("bytes", "--hang")) as (production, shadow):
        with sidecar(production, settings=_shadow(shadow, deadline_seconds=0.3)) as it:
            both_ways(production, it.address)
            status = it.settled(MIX.calls)
    assert status["shadows"]["shadow"]["outcomes"]["shadow_error"] > 0


def test_a_backed_up_shadow_fills_its_queue_and_nothing_else() -> None:
    with servers(BYTES, ("bytes", "--delay-ms", "200")) as (production, shadow):
        settings = _shadow(shadow, concurrency=1, queue={"calls": 4, "max_wait_seconds": 0.3})
        with sidecar(production, settings=settings) as it:
            both_ways(production, it.address)
            shadowed = it.settled(MIX.calls)["shadows"]["shadow"]
    assert shadowed["skipped"]["queue_full"] > 0
    assert shadowed["queue"] == {"calls": 0, "bytes": 0}


def test_requests_and_responses_over_the_limit_are_skipped_on_each_side() -> None:
    big = b"x" * 100_000
    with servers(BYTES, ("bytes", "--flood", "300000")) as (production, shadow):
        limits = {"pairs.max_request_bytes": 50_000, "pairs.max_response_bytes": 50_000}
        both = _shadow(shadow, max_response_bytes=200_000)
        with sidecar(production, settings={**both, **limits}) as it:
            asyncio.run(_one(it.address, big))
            asyncio.run(_one(it.address, b"small"))
            status = it.settled(2)
    shadowed = status["shadows"]["shadow"]
    assert shadowed["skipped"]["request_too_large"] == 1
    assert shadowed["outcomes"]["shadow_error"] == 1  # its answer was larger than we read
    with servers(("bytes", "--flood", "300000"), BYTES) as (production, shadow):
        with sidecar(production, shadow, settings=limits) as it:
            asyncio.run(_one(it.address, b"small"))
            assert skipped(it.settled(1)["calls"]) == {"response_too_large": 1}


def test_production_that_resets_is_passed_on_and_counted() -> None:
    with servers(("reset",), BYTES) as (production, shadow), sidecar(production, shadow) as it:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            asyncio.run(_one(it.address, b"x"))
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        status = it.settled(0)
        assert "upstream" not in status  # nothing invented: what is seen is what was read


def test_a_client_deadline_reaches_production_and_the_call_is_cancelled_here() -> None:
    with servers(("bytes", "--hang"), BYTES) as (production, shadow):
        with sidecar(production, shadow) as it:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                asyncio.run(_one(it.address, b"x", timeout=0.3))
            assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            calls = it.settled(1)["calls"]
    assert sum(skipped(calls).values()) + calls["compared"] == 1


def test_a_client_that_resets_its_connection_leaves_nothing_in_flight() -> None:
    async def leave(address: str) -> None:
        client = Client(address, connections=1)
        stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        stub = client.channel(0).unary_unary(f"{SERVICE}/Unary")
        calls = [stub(b"x") for _ in range(20)]
        await asyncio.wait([asyncio.ensure_future(_code(call)) for call in calls], timeout=0.3)
        for call in calls:
            call.cancel()
        await client.close()

    with servers(("bytes", "--hang"), BYTES) as (production, shadow):
        with sidecar(production, shadow) as it:
            asyncio.run(leave(it.address))
            calls = it.settled(20)["calls"]
    assert skipped(calls) == {"cancelled": 20}


async def _code(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> grpc.StatusCode:
    return await call.code()


async def _one(address: str, request: bytes, timeout: float = 30.0) -> bytes:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        stub = channel.unary_unary(f"{SERVICE}/Unary")
        return await stub(request, timeout=timeout)


def _shadow(address: str, **settings: object) -> dict[str, object]:
    """One shadow as a whole, for settings that have no flag."""
    return {"shadows": json.dumps([{"name": "shadow", "address": address, **settings}])}
