"""Asks a server's reflection service for the descriptors of methods that have no reader.

Rule: off the hot path, and bounded, for names come from clients and answers from shadows: so many
look-ups at once, each within a time and a number of files; so many bytes for all services together,
in memory up to `MEMORY_FACTOR` times as many. A service is asked for once; one that was not found,
not again for a while, and while as many are remembered as unknown as may be, none is. The first
look-up of a method is `wants`, which costs nothing; `resolve` asks, in a task of its own, and on a
connection that ends with it. Each question is a call of its own: one request, one answer.
Protocol: grpc.reflection.v1 and v1alpha, whose messages are the same on the wire. Counterparts:
`tee.client`, which talks; `descriptors`, which reads with what is found; `registry`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from sidecar.call import Observation
from sidecar.compare.readers.descriptors import WELL_KNOWN, readers_of
from sidecar.compare.readers.registry import Registry

AT_ONCE: Final = 2  # look-ups
MAX_FILES: Final = 256  # of one service
MAX_SERVICES: Final = 64  # found; what a shadow serves is rarely more than a few
MAX_REFUSED: Final = 256  # services remembered as unknown, and so the look-ups in `retry_seconds`
MAX_NAME: Final = 256  # characters
MAX_BYTES: Final = 1 << 20  # of descriptors, unless told otherwise
MEMORY_FACTOR: Final = 90  # measured: 30 to 82 bytes of memory for each byte of a descriptor

_OK: Final = 0
_UNIMPLEMENTED: Final = 12
_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

SERVICES: Final = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)


class Server(Protocol):
    """Whom one look-up asks; its answers have a bound in bytes."""

    async def ask(
        self, method: str, messages: tuple[bytes, ...], *, deadline_seconds: float
    ) -> Observation:
        """One call; every failure is a status."""

    async def close(self) -> None:
        """Let the server go."""


class Reflection:
    """Finds readers through one server's reflection service and registers them."""

    def __init__(
        self,
        connect: Callable[[], Server],
        registry: Registry,
        *,
        clock: Callable[[], float],
        max_bytes: int = MAX_BYTES,
        timeout_seconds: float = 5.0,
        retry_seconds: float = 60.0,
    ) -> None:
        """Ask nothing yet.

        Args:
            connect: makes what one look-up asks.
            registry: gets the readers.
            clock: seconds of a monotonic clock.
            max_bytes: of descriptors, all services together.
            timeout_seconds: for one look-up.
            retry_seconds: how long no means no.
        """
        self._connect = connect
        self._registry = registry
        self._clock = clock
        self._timeout = timeout_seconds
        self._retry = retry_seconds
        self._left = max_bytes
        self._found: set[str] = set()
        self._refused: dict[str, float] = {}  # service to when it may be asked for again, in order
        self._asking: set[str] = set()

    def wants(self, method: str) -> bool:
        """Whether `resolve` is worth a task: unknown, and within every bound."""
        if self._registry.knows(method) or len(self._asking) >= AT_ONCE or self._left <= 0:
            return False
        service = _service(method)
        if service in self._asking or service in self._found or len(self._found) >= MAX_SERVICES:
            return False
        self._forget_refusals()
        if service in self._refused or len(self._refused) >= MAX_REFUSED:
            return False
        return len(service) <= MAX_NAME and _NAME.fullmatch(service) is not None

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
            # A thread, because a large set takes longer than the loop should stand still.
            self._registry.register(dict(await asyncio.to_thread(readers_of, files)))
            self._found.add(service)
        except (OSError, DecodeError, ValueError):  # TimeoutError is an OSError
            # No reflection, no such service, or nothing to be read.
            self._refused[service] = self._clock() + self._retry
        finally:
            self._asking.discard(service)
        return self._registry.knows(method)

    def _forget_refusals(self) -> None:
        now = self._clock()
        while self._refused and self._refused[next(iter(self._refused))] <= now:
            del self._refused[next(iter(self._refused))]

    async def _files(self, service: str) -> list[descriptor_pb2.FileDescriptorProto]:
        """Fetch the file that declares the service, and all that it depends on.

        Raises:
            OSError: the server cannot be asked: a file of its TLS is gone.
            ValueError: it has no reflection, or not the service, or more than we take.
        """
        server = self._connect()
        version = SERVICES[0]
        try:
            found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
            request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
            while True:
                answer = await self._ask(server, version, request)
                if answer.status == _UNIMPLEMENTED and not found and version != SERVICES[-1]:
                    version = SERVICES[-1]
                    continue
                if answer.status != _OK or len(answer.messages) != 1:
                    raise ValueError(f"not answered: status {answer.status}, {answer.detail}")
                for file in self._taken(answer.messages[0], service):
                    found[file.name] = file
                if len(found) > MAX_FILES:
                    raise ValueError("more descriptors than we take")
                missing = _missing(found)
                if missing is None:
                    return list(found.values())
                if request.file_by_filename == missing:
                    raise ValueError(f"the server does not send {missing}")
                request = reflection_pb2.ServerReflectionRequest(file_by_filename=missing)
        finally:
            await server.close()

    async def _ask(
        self, server: Server, version: str, request: reflection_pb2.ServerReflectionRequest
    ) -> Observation:
        return await server.ask(
            f"/{version}/ServerReflectionInfo",
            (request.SerializeToString(),),
            deadline_seconds=self._timeout,
        )

    def _taken(self, said: bytes, service: str) -> list[descriptor_pb2.FileDescriptorProto]:
        """The files of one answer, if they are few enough bytes: known before they become more."""
        if len(said) > self._left:
            raise ValueError("more descriptors than we take")
        response = reflection_pb2.ServerReflectionResponse.FromString(said)
        if not response.HasField("file_descriptor_response"):
            raise ValueError(f"not known to the server: {service}")
        self._left -= len(said)  # also if nothing comes of it: memory may have
        files = response.file_descriptor_response.file_descriptor_proto
        return [descriptor_pb2.FileDescriptorProto.FromString(each) for each in files]


def _service(method: str) -> str:
    return method.lstrip("/").rpartition("/")[0]


def _missing(found: dict[str, descriptor_pb2.FileDescriptorProto]) -> str | None:
    needed = {name for file in found.values() for name in file.dependency}
    return min(needed - found.keys() - WELL_KNOWN, default=None)
