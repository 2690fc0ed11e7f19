"""The client against real servers: whatever they do becomes an Observation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import hpack
import pytest

from sidecar.call import GrpcMetadata, Observation
from sidecar.tee.client import ShadowClient
from sidecar.tee.metadata import MetadataPolicy
from sidecar.tee.settings import ShadowSettings, TLSSettings
from tests.tee.certificates import Authority
from tests.tee.servers import (
    Handler,
    Peer,
    echo,
    grpc_server,
    hangs,
    last,
    nobody,
    raw_server,
    resets_connection,
    resets_streams,
    speaks_http1,
)

OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 2, 4, 5
RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = 8, 13, 14
SOON = 0.2  # for calls that must end by their deadline
LATE = 60.0  # for calls that must not


async def ask(
    address: str,
    *messages: bytes,
    deadline: float = LATE,
    metadata: GrpcMetadata = (),
    method: str = "/p.S/M",
    **settings: Any,
) -> Observation:
    client = ShadowClient(ShadowSettings(address=address, **settings))
    observation: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
    call = client.call(
        method,
        messages,
        metadata,
        deadline_seconds=deadline,
        now=time.monotonic_ns,
        done=lambda seen, _: observation.set_result(seen),
    )
    try:
        return await observation
    except asyncio.CancelledError:
        client.cancel(call)
        raise
    finally:
        await client.close()


def ask_grpc(handler: Handler, *messages: bytes, **options: Any) -> Observation:
    async def main() -> Observation:
        async with grpc_server(handler) as address:
            return await ask(address, *messages, **options)

    return asyncio.run(main())


def ask_raw(peer: Peer, **options: Any) -> Observation:
    async def main() -> Observation:
        async with raw_server(peer) as address:
            return await ask(address, b"x", **options)

    return asyncio.run(main())


def test_an_answer_of_one_message_is_read() -> None:
    seen = ask_grpc(last, b"\x00payload\xff")

    assert (seen.status, seen.detail, seen.messages) == (OK, "", (b"\x00payload\xff",))
    assert 0 < seen.started_ns < seen.ended_ns


@pytest.mark.parametrize("requests", [(), (b"",), (b"a", b"b", b"", b"c")])
def test_a_stream_of_any_length_is_sent_and_read(requests: tuple[bytes, ...]) -> None:
    seen = ask_grpc(echo, *requests)

    assert (seen.status, seen.messages) == (OK, requests)


def test_a_stream_too_large_for_any_window_does_not_deadlock() -> None:
    requests = tuple(bytes([i]) * 500_000 for i in range(20))

    assert ask_grpc(echo, *requests).messages == requests


def test_ok_without_a_message_is_an_empty_answer() -> None:
    async def silent(_: AsyncIterator[bytes], __: Any) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for message in nothing:
            yield message

    seen = ask_grpc(silent, b"x")

    assert (seen.status, seen.messages) == (OK, ())


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_every_status_is_read_with_its_detail(code: grpc.StatusCode) -> None:
    async def fails(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(code, "nö 100%")
        yield b""

    seen = ask_grpc(fails, b"x")

    assert (seen.status, seen.detail, seen.messages) == (code.value[0], "nö 100%", ())


def test_a_stream_that_fails_midway_keeps_what_came() -> None:
    async def fails_late(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    seen = ask_grpc(fails_late, b"x")

    assert (seen.status, seen.messages) == (NOT_FOUND, (b"first",))


def test_a_shadow_that_never_answers_ends_by_its_deadline() -> None:
    seen = ask_grpc(hangs, b"x", deadline=SOON)

    assert (seen.status, seen.messages) == (DEADLINE_EXCEEDED, ())


def test_a_port_that_accepts_and_says_nothing_ends_by_the_deadline() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass

    assert ask_raw(mute, deadline=SOON).status == DEADLINE_EXCEEDED


def test_a_shadow_that_is_not_there_is_unavailable() -> None:
    seen = asyncio.run(ask(nobody(), b"x"))

    assert seen.status == UNAVAILABLE
    assert seen.detail


@pytest.mark.parametrize("peer", [resets_connection, speaks_http1])
def test_a_peer_that_does_not_speak_http2_is_unavailable(peer: Peer) -> None:
    assert ask_raw(peer).status == UNAVAILABLE


def test_a_stream_reset_by_the_shadow_is_internal() -> None:
    assert ask_raw(resets_streams([])).status == INTERNAL


def test_a_stream_that_the_shadow_refuses_is_not_tried_again() -> None:
    blocks: list[bytes] = []
    refused_stream = 7  # what a client may retry without asking anyone

    seen = ask_raw(resets_streams(blocks, refused_stream))

    assert seen.status == UNAVAILABLE
    assert len(blocks) == 1


def test_no_environment_variable_leads_a_copy_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("grpc_proxy", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{nobody()}")

    assert ask_grpc(last, b"x").status == OK


def test_a_message_over_the_limit_is_resource_exhausted() -> None:
    seen = ask_grpc(last, bytes(2000), max_response_bytes=1999)

    assert (seen.status, seen.messages) == (RESOURCE_EXHAUSTED, ())


def test_a_message_at_the_limit_is_read() -> None:
    seen = ask_grpc(last, bytes(2000), max_response_bytes=2000)

    assert (seen.status, seen.messages) == (OK, (bytes(2000),))


def test_a_compressed_message_over_the_limit_is_not_inflated_into_memory() -> None:
    async def bomb(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        context.set_compression(grpc.Compression.Gzip)
        yield bytes(50_000_000)

    seen = ask_grpc(bomb, b"x", max_response_bytes=1_000_000)

    assert seen.status != OK
    assert seen.messages == ()


def test_a_stream_over_the_limit_in_all_is_cut_off() -> None:
    async def endless(_: AsyncIterator[bytes], __: Any) -> AsyncIterator[bytes]:
        while True:
            yield bytes(100)

    seen = ask_grpc(endless, b"x", max_response_bytes=1000)

    assert (seen.status, seen.messages) == (RESOURCE_EXHAUSTED, ())
    assert "1000 bytes" in seen.detail


@pytest.mark.parametrize(
    ("method", "metadata"),
    [("/p.S/\ud800", ()), ("/p.S/M", (("Not A Name", "x"),)), ("/p.S/M", ((1, 2),))],
)
def test_what_cannot_be_sent_is_an_internal_error(method: str, metadata: Any) -> None:
    seen = ask_grpc(last, b"x", method=method, metadata=metadata)

    assert seen.status == INTERNAL
    assert seen.detail


def test_the_shadow_sees_the_policy_and_its_own_metadata_stays_in_the_observation() -> None:
    received: dict[str, str | bytes] = {}

    async def notes(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        received.update({field.key: field.value for field in context.invocation_metadata()})
        await context.send_initial_metadata((("model", "v2"),))
        async for message in requests:
            yield message
        context.set_trailing_metadata((("cost-bin", b"\xff\x00"), ("set-cookie", "mine")))

    policy = MetadataPolicy(ShadowSettings(name="next", address="h:1", add_metadata={"Team": "ml"}))
    caller = (
        ("authorization", "Bearer secret"),
        ("cookie", "a=b"),
        ("x-tenant", "acme"),
        ("blob-bin", "/wA"),
        ("grpc-timeout", "1n"),
        ("user-agent", "caller/1"),
        ("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-00"),
        ("tracestate", "v=1"),
    )
    ours = "00-" + "a" * 32 + "-" + "c" * 16 + "-01"

    seen = ask_grpc(notes, b"x", metadata=policy.outgoing(caller, (("traceparent", ours),)))

    agent = received.pop("user-agent")
    assert isinstance(agent, str)
    assert agent.startswith("shadow-sidecar/")
    assert received == {
        "x-tenant": "acme",
        "blob-bin": b"\xff\x00",
        "tracestate": "v=1",
        "traceparent": ours,
        "x-shadow": "next",
        "team": "ml",
    }
    assert seen.messages == (b"x",)
    assert seen.headers == (("model", "v2"),)
    assert seen.trailers == (("cost-bin", "/wA"), ("set-cookie", "mine"))


def test_the_authority_can_be_set() -> None:
    blocks: list[bytes] = []

    ask_raw(resets_streams(blocks), authority="models.example")

    fields = dict(hpack.Decoder().decode(blocks[0], raw=True))
    assert fields[b":authority"] == b"models.example"


def test_a_call_can_be_cancelled() -> None:
    async def main() -> bool:
        reached, dropped = asyncio.Event(), asyncio.Event()

        async def waits(_: AsyncIterator[bytes], __: Any) -> AsyncIterator[bytes]:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                dropped.set()
            yield b""

        async with grpc_server(waits) as address:
            call = asyncio.create_task(ask(address, b"x"))
            await reached.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return await dropped.wait()

    assert asyncio.run(main())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "stranger")


def over_tls(authority: Authority, client: TLSSettings, *, mutual: bool = False) -> Observation:
    cert, key = authority.sign("shadow.test")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())],
        root_certificates=authority.ca.read_bytes() if mutual else None,
        require_client_auth=mutual,
    )

    async def main() -> Observation:
        async with grpc_server(last, credentials) as address:
            return await ask(address, b"x", tls=client)

    return asyncio.run(main())


def test_tls_with_the_right_authority_works(authority: Authority) -> None:
    seen = over_tls(authority, TLSSettings(ca=authority.ca, server_name="shadow.test"))

    assert (seen.status, seen.messages) == (OK, (b"x",))


def test_tls_with_the_wrong_authority_is_unavailable(
    authority: Authority, stranger: Authority
) -> None:
    seen = over_tls(authority, TLSSettings(ca=stranger.ca, server_name="shadow.test"))

    assert seen.status == UNAVAILABLE


def test_tls_to_a_server_of_another_name_is_unavailable(authority: Authority) -> None:
    seen = over_tls(authority, TLSSettings(ca=authority.ca, server_name="other.test"))

    assert seen.status == UNAVAILABLE


def test_mutual_tls_shows_the_client_certificate(authority: Authority) -> None:
    cert, key = authority.sign("sidecar.test")
    tls = TLSSettings(ca=authority.ca, server_name="shadow.test", cert=cert, key=key)

    assert over_tls(authority, tls, mutual=True).status == OK


def test_mutual_tls_with_a_strangers_certificate_is_unavailable(
    authority: Authority, stranger: Authority
) -> None:
    cert, key = stranger.sign("sidecar.test")
    tls = TLSSettings(ca=authority.ca, server_name="shadow.test", cert=cert, key=key)

    assert over_tls(authority, tls, mutual=True).status == UNAVAILABLE


def test_a_tls_file_that_cannot_be_read_fails_at_start(
    authority: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.ca.read_bytes())
    settings = ShadowSettings(address="127.0.0.1:1", tls=TLSSettings(ca=ca))
    ca.unlink()

    async def main() -> None:
        ShadowClient(settings)

    with pytest.raises(OSError, match=r"ca\.pem"):
        asyncio.run(main())


async def _late_by(seconds: float, delay: float) -> Observation:
    """Ask a server that takes `delay`; our own event loop stands still for `seconds`."""

    async def slow(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for message in requests:
            await asyncio.sleep(delay)
            yield message

    async def main() -> Observation:
        client = ShadowClient(ShadowSettings(address=address))
        observation: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()

        def done(seen: Observation, _: object) -> None:
            if not observation.done():
                observation.set_result(seen)

        def call() -> None:
            client.call(
                "/p.S/M", (b"x",), (), deadline_seconds=LATE, now=time.monotonic_ns, done=done
            )

        try:
            call()
            await observation  # connected
            observation = asyncio.get_running_loop().create_future()
            call()
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # it is sent
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
            return await observation
        finally:
            await client.close()

    async with grpc_server(slow) as address:
        return await asyncio.to_thread(asyncio.run, main())


def test_what_the_observer_adds_is_no_part_of_a_shadows_latency() -> None:
    """Its loop stands still for a second after it has asked; the answer came long before."""
    seen = asyncio.run(_late_by(1.0, 0.05))
    assert seen.status == OK
    assert 50_000_000 <= seen.latency_ns < 900_000_000


def test_a_streamed_answer_tells_when_its_messages_came() -> None:
    async def slowly(_: AsyncIterator[bytes], __: Any) -> AsyncIterator[bytes]:
        for i in range(3):
            await asyncio.sleep(0.05)
            yield bytes([i])

    seen = ask_grpc(slowly, b"x")
    assert seen.first_message_latency_ns is not None
    assert seen.message_gap_ns is not None
    assert seen.first_message_latency_ns >= 50_000_000
    assert seen.message_gap_ns >= 45_000_000
    assert seen.first_message_ns <= seen.last_message_ns <= seen.ended_ns


def test_an_answer_of_one_message_has_nothing_between() -> None:
    seen = ask_grpc(last, b"x")
    assert seen.message_gap_ns is None
    assert seen.first_message_latency_ns is not None
    assert ask_raw(resets_connection).first_message_latency_ns is None
