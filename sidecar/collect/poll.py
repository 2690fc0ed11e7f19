"""One round of questions: every pod behind a name, and every observer of each pod.

Rules: a pod that is slow, gone, of another version or hostile is a line in `missing` and takes
nothing from the others. Connections stay open from round to round, because a handshake with each
pod costs more than its answer; a certificate that is renewed makes them anew. Counterparts:
`serve.client`, which knows how a sidecar is reached; `told`, which checks; `lives`, which hears.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import aiohttp
import grpc

from sidecar.address import nth_address
from sidecar.collect.cluster import Cluster, ClusterError, Pods
from sidecar.collect.lives import Heard
from sidecar.collect.told import Told, told_by
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.serve.client import HTTP, Asked, Reach, ask, resolve, with_port

MOST_OBSERVERS = 64  # of one pod
MAX_BYTES = 16 << 20  # of one answer
AT_ONCE = 16
_GET_COUNTS = "/shadow.v1.Admin/GetCounts"


class Poller:
    """Asks everybody, again and again; use it within one event loop, and close it."""

    def __init__(
        self,
        services: Sequence[str],
        reach: Reach,
        cluster: Cluster | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            services: `name[:port]`, or `http://name:port`.
            reach: how pods are reached.
            cluster: where to learn of pods that nobody answers for; None: nowhere.
            clock: Unix time in seconds.
        """
        self._services = services
        self._reach = replace(reach, max_bytes=MAX_BYTES)
        self._cluster, self._clock = cluster, clock
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._files: object = None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        await self._drop(list(self._channels))
        if self._session is not None:
            await self._session.close()

    async def round(self) -> Heard:
        """Ask everybody once."""
        began = self._clock()
        addresses, missing = await self._addresses()
        pods = Pods()
        if self._cluster is not None:
            try:
                pods = await self._cluster.pods()
            except ClusterError as error:
                missing["API server"] = str(error)
            _name(addresses, pods, self._services[0])
        wanted = [a for a in addresses if _host(a) not in pods.bare]
        await self._fresh(wanted)
        asked = await self._pull(wanted)
        more = await self._pull(_neighbours(asked))
        told = [t for found in (asked, more) for answer in found.answers.values() for t in answer]
        missing |= asked.missing | more.missing
        answered = {**asked.answers, **more.answers}
        missing |= {address: "has no shadow" for address, answer in answered.items() if not answer}
        named = {
            f"{address} ({addresses[address]})" if addresses.get(address) else address: why
            for address, why in missing.items()
        }
        return Heard(began, told, named, dict(pods.not_injected), max(0.0, self._clock() - began))

    async def _addresses(self) -> tuple[dict[str, str], dict[str, str]]:
        """Addresses behind the names, and names that have none."""
        addresses: dict[str, str] = {}
        missing: dict[str, str] = {}
        for name in self._services:
            try:
                addresses |= dict.fromkeys(await resolve(name), "")
            except OSError as error:
                missing[name] = error.strerror or str(error)
        return addresses, missing

    async def _pull(self, addresses: Iterable[str]) -> Asked:
        async def one(address: str) -> list[Told]:
            raw = await asyncio.wait_for(self._counts(address), self._reach.timeout + 1)
            now = self._clock()
            # In a thread, so that who asks for the page is answered meanwhile.
            return await asyncio.to_thread(_read, raw, address, now)

        return await ask(addresses, one, AT_ONCE)

    async def _counts(self, address: str) -> bytes:
        if address.startswith(HTTP):
            return await self._get(f"{address}/counts")
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._reach.channel(address)
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_GET_COUNTS)
        return await call(
            pb.GetCountsRequest().SerializeToString(),
            timeout=self._reach.timeout,
            metadata=self._reach.metadata(address),
        )

    async def _get(self, url: str) -> bytes:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._reach.timeout)
            self._session = aiohttp.ClientSession(timeout=timeout)
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise OSError(f"HTTP status {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > self._reach.max_bytes:
                    raise OSError(f"more than {self._reach.max_bytes} bytes")
            return bytes(body)

    async def _fresh(self, wanted: Sequence[str]) -> None:
        """Close what nobody needs any more, and everything when a certificate was renewed."""
        files = _stamps(self._reach)
        renewed, self._files = files != self._files, files
        hosts = {_host(address) for address in wanted}
        await self._drop([a for a in self._channels if renewed or _host(a) not in hosts])

    async def _drop(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            await self._channels.pop(address).close()


def _read(raw: bytes, address: str, now: float) -> list[Told]:
    answer = pb.GetCountsResponse.FromString(raw)
    return [told_by(message, address, now) for message in answer.shadows]


def _stamps(reach: Reach) -> object:
    found = []
    for file in (reach.ca, reach.cert, reach.key):
        try:
            found.append(file.stat().st_mtime_ns if file else 0)
        except OSError:  # in the middle of being replaced
            found.append(0)
    return found


def _host(address: str) -> str:
    return address.removeprefix(HTTP).rpartition(":")[0].strip("[]")


def _at(service: str, ip: str) -> str:
    """The service's port at a pod's address."""
    full = with_port(service)
    scheme = HTTP if full.startswith(HTTP) else ""
    port = full.rpartition(":")[2]
    return f"{scheme}[{ip}]:{port}" if ":" in ip else f"{scheme}{ip}:{port}"


def _name(addresses: dict[str, str], pods: Pods, service: str) -> None:
    """Say which pod each address is, and add those that the name does not tell of."""
    known: dict[str, list[str]] = {}
    for address in addresses:
        known.setdefault(_host(address), []).append(address)
    for ip, name in pods.injected.items():
        addresses |= dict.fromkeys(known.get(ip) or [_at(service, ip)], name)


def _neighbours(asked: Asked) -> list[str]:
    """The other observers of pods that have several, each with counts of its own."""
    found = []
    for address, told in asked.answers.items():
        scheme = HTTP if address.startswith(HTTP) else ""
        most = max((one.part.observers for one in told), default=1)
        first = address.removeprefix(HTTP)
        numbers = range(1, min(most, MOST_OBSERVERS))
        found += [scheme + nth_address(first, number) for number in numbers]
    return [address for address in found if address not in asked.answers]
