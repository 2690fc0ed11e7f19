"""Descriptors fetched from a real reflection service, over a real socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from sidecar.compare.readers.reflection import (
    AT_ONCE,
    MAX_REFUSED,
    MEMORY_FACTOR,
    SERVICES,
    Reflection,
)
from sidecar.compare.readers.registry import Registry
from sidecar.tee.client import ShadowClient
from sidecar.tee.settings import ShadowSettings

METHOD = "/grpc.health.v1.Health/Check"  # any method whose descriptors this process has


class Clock:
    """A clock that the test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


Talk = Callable[[Reflection, Registry, Clock], Awaitable[None]]


def _with_server(
    prepare: Callable[[grpc.aio.Server], None], talk: Talk, timeout: float = 5
) -> None:
    async def run() -> None:
        server = grpc.aio.server()
        prepare(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            shadow = ShadowSettings(address=f"127.0.0.1:{port}")
            registry, clock = Registry(), Clock()
            found = Reflection(
                partial(ShadowClient, shadow), registry, clock=clock, timeout_seconds=timeout
            )
            await talk(found, registry, clock)
        finally:
            await server.stop(None)

    asyncio.run(run())


def _v1alpha(server: grpc.aio.Server) -> None:
    reflection.enable_server_reflection(["grpc.health.v1.Health"], server)


def _answering(
    answer: Callable[
        [reflection_pb2.ServerReflectionRequest], reflection_pb2.ServerReflectionResponse | None
    ],
    version: str = SERVICES[0],
) -> Callable[[grpc.aio.Server], None]:
    """A reflection service of its own mind; None is no answer."""

    async def behave(
        requests: AsyncIterator[reflection_pb2.ServerReflectionRequest], _: object
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        async for request in requests:
            response = answer(request)
            if response is None:
                await asyncio.Event().wait()
            else:
                yield response

    handler = grpc.stream_stream_rpc_method_handler(
        behave,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(version, {"ServerReflectionInfo": handler})
    return lambda server: server.add_generic_rpc_handlers((generic,))


def _files(*serialized: bytes) -> reflection_pb2.ServerReflectionResponse:
    response = reflection_pb2.ServerReflectionResponse()
    response.file_descriptor_response.file_descriptor_proto.extend(serialized)
    return response


async def _finds_health(found: Reflection, registry: Registry, _: Clock) -> None:
    assert found.wants(METHOD)
    assert await found.resolve(METHOD)
    assert registry.knows("/grpc.health.v1.Health/Watch")
    assert not found.wants(METHOD)
    message = health_pb2.HealthCheckResponse(status=1).SerializeToString()
    (output,) = registry.reader(METHOD).read_response(message).outputs
    assert (output.name, output.array.item()) == ("status", b"SERVING")


def test_a_method_is_found_through_v1alpha() -> None:
    _with_server(_v1alpha, _finds_health)


def test_a_method_is_found_through_v1() -> None:
    pool = descriptor_pool.Default()

    def answer(
        request: reflection_pb2.ServerReflectionRequest,
    ) -> reflection_pb2.ServerReflectionResponse:
        file = pool.FindFileContainingSymbol(request.file_containing_symbol)
        return _files(file.serialized_pb)

    _with_server(_answering(answer), _finds_health)


def test_dependencies_that_do_not_come_along_are_asked_for() -> None:
    asked: list[str] = []
    base = descriptor_pb2.FileDescriptorProto(name="base.proto", syntax="proto3")
    base.message_type.add(name="Base")
    top = descriptor_pb2.FileDescriptorProto(
        name="top.proto", syntax="proto3", dependency=["base.proto"]
    )
    top.service.add(name="S").method.add(name="M", input_type=".Base", output_type=".Base")

    def answer(
        request: reflection_pb2.ServerReflectionRequest,
    ) -> reflection_pb2.ServerReflectionResponse:
        asked.append(request.file_by_filename or request.file_containing_symbol)
        return _files((base if request.file_by_filename else top).SerializeToString())

    async def talk(found: Reflection, registry: Registry, _: Clock) -> None:
        assert await found.resolve("/S/M")
        assert registry.knows("/S/M")

    _with_server(_answering(answer), talk)
    assert asked == ["S", "base.proto"]


async def _is_refused(found: Reflection, registry: Registry, clock: Clock) -> None:
    method = "/unheard.Of/It"
    assert not await found.resolve(method)
    assert not registry.knows(method)
    assert not found.wants(method)
    assert not await found.resolve(method)
    clock.now += 60
    assert found.wants(method)


def test_an_unknown_service_is_not_asked_for_again_until_later() -> None:
    _with_server(_v1alpha, _is_refused)


def test_a_server_without_reflection_is_not_asked_again_until_later() -> None:
    _with_server(lambda server: None, _is_refused)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    _with_server(_answering(lambda request: None), _is_refused, timeout=0.2)


@pytest.mark.parametrize(
    "serialized",
    [
        b"\xff",
        descriptor_pb2.FileDescriptorProto(
            name="a.proto", dependency=["never.proto"]
        ).SerializeToString(),
        b"\x0a\x01x" + b"\x12\x84\x80\x40" + b"p" * (1 << 20),
    ],
    ids=["garbage", "a dependency that never comes", "endless"],
)
def test_descriptors_that_cannot_be_used_are_refused(serialized: bytes) -> None:
    _with_server(_answering(lambda request: _files(serialized)), _is_refused)


def test_one_service_is_asked_for_once_at_a_time() -> None:
    asked: list[str] = []

    def answer(
        request: reflection_pb2.ServerReflectionRequest,
    ) -> reflection_pb2.ServerReflectionResponse:
        asked.append(request.file_containing_symbol)
        file = descriptor_pool.Default().FindFileContainingSymbol(asked[-1])
        return _files(file.serialized_pb)

    async def talk(found: Reflection, registry: Registry, _: Clock) -> None:
        await asyncio.gather(*(found.resolve(METHOD) for _ in range(5)))
        assert registry.knows(METHOD)

    _with_server(_answering(answer), talk)
    assert asked == ["grpc.health.v1.Health"]


def _counting(asked: list[str], size: int = 0) -> Callable[[grpc.aio.Server], None]:
    """Every service is there, with one method M and so many bytes of names that nobody needs."""

    def answer(
        request: reflection_pb2.ServerReflectionRequest,
    ) -> reflection_pb2.ServerReflectionResponse:
        name = request.file_containing_symbol
        asked.append(name)
        package, _, service = name.rpartition(".")
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{name}.proto", package=package, syntax="proto3"
        )
        file.message_type.add(name="X" + "x" * size)
        kind = f".{package}.{file.message_type[0].name}"
        file.service.add(name=service).method.add(name="M", input_type=kind, output_type=kind)
        return _files(file.SerializeToString())

    return _answering(answer)


def test_a_service_that_was_found_is_not_asked_for_again_whatever_methods_are_made_up() -> None:
    asked: list[str] = []

    async def talk(found: Reflection, registry: Registry, clock: Clock) -> None:
        assert await found.resolve("/a.S/M")
        for n in range(50):
            clock.now += 100
            assert not found.wants(f"/a.S/MadeUp{n}")

    _with_server(_counting(asked), talk)
    assert asked == ["a.S"]


def test_made_up_names_start_a_bounded_number_of_look_ups() -> None:
    asked = 0

    def answer(
        request: reflection_pb2.ServerReflectionRequest,
    ) -> reflection_pb2.ServerReflectionResponse:
        nonlocal asked
        asked += 1
        return reflection_pb2.ServerReflectionResponse(
            error_response=reflection_pb2.ErrorResponse(error_code=5)
        )

    async def talk(found: Reflection, registry: Registry, clock: Clock) -> None:
        names = iter(range(10_000))
        for n in names:
            await found.resolve(f"/made.Up{n}/M")
            if n > MAX_REFUSED + 100:
                break
        assert asked == MAX_REFUSED
        clock.now += 61
        assert await found.resolve("/a.S/M") is False  # asked again, but not found
        assert asked == MAX_REFUSED + 1

    _with_server(_answering(answer), talk)


@pytest.mark.parametrize("name", ["", "a b", "a..b", "1a", "ä.S", "n" * 257, "a/b"])
def test_a_name_that_is_none_is_not_asked_for(name: str) -> None:
    async def talk(found: Reflection, registry: Registry, _: Clock) -> None:
        assert not found.wants(f"/{name}/M")

    _with_server(lambda server: None, talk)


def test_so_many_look_ups_at_once_and_no_more() -> None:
    streams = 0

    def answer(_: reflection_pb2.ServerReflectionRequest) -> None:
        nonlocal streams
        streams += 1

    async def talk(found: Reflection, registry: Registry, _: Clock) -> None:
        results = await asyncio.gather(*(found.resolve(f"/a.S{n}/M") for n in range(100)))
        assert not any(results)
        assert streams <= AT_ONCE

    _with_server(_answering(answer), talk, timeout=0.5)
    assert streams == AT_ONCE


def test_the_bytes_of_all_services_together_have_a_bound() -> None:
    asked: list[str] = []

    async def talk(found: Reflection, registry: Registry, _: Clock) -> None:
        got = [await found.resolve(f"/a.S{n}/M") for n in range(40)]
        assert got == [True] * 6 + [False] * 34  # 150 kB each, 1 MiB for all

    _with_server(_counting(asked, size=50_000), talk)


@pytest.mark.parametrize("kind", ["messages", "methods", "values"])
def test_the_memory_that_descriptors_become_is_what_was_measured(kind: str) -> None:
    """In a process of its own, whose memory nothing else moves."""
    script = Path(__file__).with_name("descriptor_memory.py")
    ran = subprocess.run(
        [sys.executable, str(script), kind], capture_output=True, text=True, timeout=60, check=True
    )
    assert 1 < float(ran.stdout) <= MEMORY_FACTOR
