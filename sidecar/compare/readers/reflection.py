"""Asks a server's reflection service for the descriptors of methods that have no reader.

Rule: off the hot path, and bounded: one look-up a service at a time, within a time, a number of
files and of bytes; what was not found is not asked again for a while. The first look-up of a
method is `wants`, which costs nothing; `resolve` does the asking, in a task of its own. This is
the one part of the package that talks. Protocol: grpc.reflection.v1 and v1alpha, whose messages
are the same on the wire. Counterparts: `descriptors`, which reads with what is found; `registry`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from sidecar.compare.readers.descriptors import WELL_KNOWN, readers_of
from sidecar.compare.readers.registry import Registry

MAX_FILES: Final = 256
MAX_BYTES: Final = 8 << 20
MAX_REFUSED: Final = 1024  # services remembered as unknown; their names come from outside

SERVICES: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)


class Reflection:
    """Finds readers through one server's reflection service and registers them."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        registry: Registry,
        *,
        clock: Callable[[], float],
        timeout_seconds: float = 5.0,
        retry_seconds: float = 60.0,
    ) -> None:
        """`clock` gives seconds of a monotonic clock; `retry_seconds` is how long no means no."""
        self._channel = channel
        self._registry = registry
        self._clock = clock
        self._timeout = timeout_seconds
        self._retry = retry_seconds
        self._refused: dict[str, float] = {}  # service to when it may be asked for again
        self._asking: set[str] = set()

    def wants(self, method: str) -> bool:
        """Whether `resolve` is worth a task: unknown, not being asked for, not refused lately."""
        if self._registry.knows(method):
            return False
        service = _service(method)
        if service in self._asking:
            return False
        return self._refused.get(service, float("-inf")) <= self._clock()

    async def resolve(self, method: str) -> bool:
        """Ask for the method's service; True when the registry knows the method afterwards.

        Never raises, but for cancellation.
        """
        if not self.wants(method):
            return self._registry.knows(method)
        service = _service(method)
        self._asking.add(service)
        try:
            async with asyncio.timeout(self._timeout):
                files = await self._files(service)
            self._registry.register(dict(readers_of(files)))
        except (grpc.aio.AioRpcError, TimeoutError, DecodeError, ValueError):
            pass  # no reflection, no such service, or nothing to be read: refused below
        finally:
            self._asking.discard(service)
        if not self._registry.knows(method):
            self._refuse(service)
            return False
        return True

    def _refuse(self, service: str) -> None:
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        self._refused[service] = self._clock() + self._retry

    async def _files(self, service: str) -> list[descriptor_pb2.FileDescriptorProto]:
        for version in SERVICES:
            try:
                return await self._ask(version, service)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNIMPLEMENTED or version == SERVICES[-1]:
                    raise
        raise AssertionError("the last version returns or raises")

    async def _ask(self, version: str, service: str) -> list[descriptor_pb2.FileDescriptorProto]:
        """Fetch the file that declares the service, and all that it depends on.

        Raises:
            ValueError: the server does not have it, or it is more than we take.
        """
        requests: asyncio.Queue[reflection_pb2.ServerReflectionRequest | None] = asyncio.Queue()

        async def outgoing() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
            while (request := await requests.get()) is not None:
                yield request

        talk = self._channel.stream_stream(
            f"/{version}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(outgoing(), timeout=self._timeout)
        try:
            found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
            size = 0
            request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
            while True:
                requests.put_nowait(request)
                response = await talk.read()
                if not isinstance(response, reflection_pb2.ServerReflectionResponse):
                    raise ValueError("the stream ended early")
                if not response.HasField("file_descriptor_response"):
                    raise ValueError(f"not known to the server: {service}")
                for serialized in response.file_descriptor_response.file_descriptor_proto:
                    size += len(serialized)
                    file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
                    found[file.name] = file
                if size > MAX_BYTES or len(found) > MAX_FILES:
                    raise ValueError("more descriptors than we take")
                missing = _missing(found)
                if missing is None:
                    return list(found.values())
                if request.file_by_filename == missing:
                    raise ValueError(f"the server does not send {missing}")
                request = reflection_pb2.ServerReflectionRequest(file_by_filename=missing)
        finally:
            requests.put_nowait(None)
            talk.cancel()


def _service(method: str) -> str:
    return method.lstrip("/").rpartition("/")[0]


def _missing(found: dict[str, descriptor_pb2.FileDescriptorProto]) -> str | None:
    needed = {name for file in found.values() for name in file.dependency}
    return min(needed - found.keys() - WELL_KNOWN, default=None)
