"""A gRPC call in the words of OpenTelemetry's semantic conventions for RPC. Pure.

Rule: names come from the conventions (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/), and
nothing of a payload gets in. Counterpart: `spans`, which puts them on spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import TypeAlias

from sidecar.address import Unix, parse_address

Value: TypeAlias = str | int | float | bool

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# For a server, the other codes say that the caller was at fault.
SERVER_ERRORS = frozenset(
    {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)


def failed(status: str, *, server: bool) -> bool:
    """Whether a span with this status is an error, seen from the server's or the client's side."""
    return status in SERVER_ERRORS if server else status != "OK"


# Addresses of servers recur for ever, those of clients for as long as a connection lasts.
@lru_cache(maxsize=256)
def server_attributes(address: str) -> Mapping[str, Value]:
    """Describe the server that a call is for; nothing for an address that cannot be read."""
    return _attributes(address, "server.address", "server.port")


@lru_cache(maxsize=256)
def peer_attributes(address: str) -> Mapping[str, Value]:
    """Describe the other end of the connection: an IP address or a Unix socket, never a name."""
    attributes = _attributes(address, "network.peer.address", "network.peer.port")
    if "network.peer.port" in attributes:
        try:
            ip_address(str(attributes["network.peer.address"]))
        except ValueError:
            return MappingProxyType({})
    return attributes


def _attributes(address: str, host: str, port: str) -> Mapping[str, Value]:
    try:
        parsed = parse_address(address)
    except ValueError:
        return MappingProxyType({})
    if isinstance(parsed, Unix):
        return MappingProxyType({host: parsed.path})
    return MappingProxyType({host: parsed.host, port: parsed.port})
