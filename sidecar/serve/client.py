"""Asks many sidecars at once: counts for a report, labels, and what is wanted of them.

Rule: one sidecar that is slow, gone or of another version takes nothing from the others; what went
wrong is told by address. Addresses are `host[:port]` for the Admin API, or `http://host:port` for
the counts alone, which a sidecar also gives over HTTP. Counterparts: `admin.grpc`, `admin.http`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import grpc

from sidecar.address import format_address, is_loopback, nth_address, parse_address
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.as_json import from_json
from sidecar.report.part import Part
from sidecar.report.report import Report
from sidecar.serve.convert import part_of_message
from sidecar.serve.token import HEADER, SCHEME

PORT = 9096
HERE = "127.0.0.1"
HTTP = "http://"
MAX_BYTES = 64 << 20  # of one sidecar's answer
AT_ONCE = 64
_METHOD = "/shadow.v1.Admin/"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reach:
    """How to reach a sidecar."""

    timeout: float = 5.0  # seconds, for each sidecar
    ca: Path | None = None  # with cert and key: mutual TLS; None: no TLS
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None  # in the sidecars' certificates
    token: str = ""  # of this user's sidecars; sent to nobody but this machine's
    max_bytes: int = MAX_BYTES  # of one answer

    def metadata(self, address: str) -> tuple[tuple[str, str], ...]:
        """What goes with a call."""
        if not self.token or not is_loopback(parse_address(address)):
            return ()
        return ((HEADER, SCHEME + self.token),)

    def channel(self, address: str) -> grpc.aio.Channel:
        """Open a channel.

        Raises:
            OSError: a TLS file cannot be read.
        """
        options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", self.max_bytes)]
        if self.ca is None and self.cert is None:
            return grpc.aio.insecure_channel(address, options)
        if self.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.ca.read_bytes() if self.ca else None,
            private_key=self.key.read_bytes() if self.key else None,
            certificate_chain=self.cert.read_bytes() if self.cert else None,
        )
        return grpc.aio.secure_channel(address, credentials, options)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came back: answers by address, and what went wrong by address."""

    answers: dict[str, Any]
    missing: dict[str, str]


def with_port(address: str, port: int = PORT) -> str:
    """The address with its port, the Admin API's where it names none.

    Raises:
        ValueError: saying what is allowed.
    """
    if address.startswith(HTTP):
        parse_address(address.removeprefix(HTTP).rstrip("/"))
        return address.rstrip("/")
    if not address.startswith("unix:") and ":" not in address.rpartition("]")[2]:
        address = f"{address}:{port}"
    parse_address(address)
    return address


async def resolve(service: str) -> list[str]:
    """Every address behind a DNS name, as a headless service has one for each pod.

    Args:
        service: `name[:port]`, or `http://name:port`.

    Raises:
        OSError: the name is not known.
        ValueError: it is no name and port.
    """
    scheme = HTTP if service.startswith(HTTP) else ""
    host, _, port = with_port(service).removeprefix(HTTP).rpartition(":")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    return sorted({scheme + format_address(str(e[4][0]), int(e[4][1])) for e in found})


async def pull(addresses: Iterable[str], reach: Reach) -> Asked:
    """Pull every sidecar's counts; the answers are lists of parts."""

    async def one(address: str) -> list[Part]:
        if address.startswith(HTTP):
            answer = pb.GetCountsResponse.FromString(await _get(f"{address}/counts", reach))
        else:
            answer = await call(address, "GetCounts", pb.GetCountsRequest(), reach)
        return [part_of_message(message, address) for message in answer.shadows]

    return await ask(addresses, one)


async def pull_here(reach: Reach, first: str = HERE) -> Asked:
    """Pull the counts of the sidecar on this machine, of every observer that it has."""
    asked = await pull([with_port(first)], reach)
    others = max((p.observers for parts in asked.answers.values() for p in parts), default=1)
    if others > 1:
        rest = [nth_address(with_port(first), number) for number in range(1, others)]
        more = await pull(rest, reach)
        return Asked({**asked.answers, **more.answers}, {**asked.missing, **more.missing})
    return asked


async def ask(
    addresses: Iterable[str], one: Callable[[str], Awaitable[T]], at_once: int = AT_ONCE
) -> Asked:
    """Ask every address, several at a time."""
    room = asyncio.Semaphore(at_once)
    asked = Asked({}, {})

    async def guarded(address: str) -> None:
        async with room:
            try:
                asked.answers[address] = await one(address)
            except grpc.aio.AioRpcError as error:
                detail = " ".join((error.details() or "").split())
                asked.missing[address] = f"{error.code().name}: {detail}".rstrip(": ")
            except TimeoutError:
                asked.missing[address] = "no answer in time"
            except Exception as error:  # it comes from outside: what it does to us is its fault
                asked.missing[address] = " ".join(str(error).split()) or type(error).__name__

    await asyncio.gather(*(guarded(address) for address in dict.fromkeys(addresses)))
    return asked


async def call(address: str, method: str, request: Any, reach: Reach) -> Any:
    """One call of the Admin API.

    Raises:
        grpc.aio.AioRpcError: it failed.
        OSError: a TLS file cannot be read.
    """
    descriptor = pb.DESCRIPTOR.services_by_name["Admin"].methods_by_name[method]
    answers = getattr(pb, descriptor.output_type.name)
    async with reach.channel(address) as channel:
        stub: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
            _METHOD + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answers.FromString,
        )
        return await stub(request, timeout=reach.timeout, metadata=reach.metadata(address))


async def ask_collector(url: str, reach: Reach) -> dict[str, Report]:
    """The reports of `shadow-sidecar collect`, by shadow.

    Raises:
        OSError: it does not answer as it should.
    """
    try:
        plain = json.loads(await _get(f"{url}/reports.json", reach))
        return {name: from_json(report) for name, report in plain.items()}
    except TimeoutError:
        raise OSError("no answer in time") from None
    except (ValueError, AttributeError, aiohttp.ClientError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from None


async def _get(url: str, reach: Reach) -> bytes:
    timeout = aiohttp.ClientTimeout(total=reach.timeout)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
        if answer.status != 200:
            raise OSError(f"HTTP status {answer.status}")
        return await answer.read()


def parts_of(asked: Asked, shadow: str) -> tuple[list[Part], dict[str, str]]:
    """The parts about one shadow, and the sidecars that have nothing to say about it."""
    missing = dict(asked.missing)
    chosen: list[Part] = []
    for address, parts in asked.answers.items():
        found = [part for part in parts if part.shadow == shadow]
        chosen += found
        if not found:
            missing[address] = f"has no shadow called {shadow!r}"
    return chosen, missing


def shadow_names(asked: Asked) -> Sequence[str]:
    """The shadows that the sidecars told of."""
    return sorted({part.shadow for parts in asked.answers.values() for part in parts})
