"""Decoded fields → what gRPC means by them, for a request and for a response.

Rule: nothing here can fail. A field that is missing or senseless reads as empty, and whoever
decides about the call sees that. Counterpart: `sidecar.http2.headers`, which decodes, and which
remembers what these functions return.
"""

from __future__ import annotations

from typing import NamedTuple

from sidecar.call import Metadata
from sidecar.http2.headers import Field
from sidecar.http2.timeout import parse_timeout
from sidecar.status import from_trailers

# HTTP's and gRPC's own fields of an answer; the rest is the server's metadata. The details of a
# status are metadata to a client too.
_RESERVED = frozenset(
    {
        "content-type",
        "grpc-status",
        "grpc-message",
        "grpc-encoding",
        "grpc-accept-encoding",
        "accept-encoding",
    }
)


class RequestHead(NamedTuple):
    """A client's header block."""

    method: str  # `:path`
    authority: str
    metadata: Metadata
    is_grpc: bool
    timeout_ns: int | None
    encoding: str  # `grpc-encoding`


class ResponseHead(NamedTuple):
    """A server's header block: initial metadata or trailers."""

    http_status: int  # 0 in trailers, and when it cannot be read
    metadata: Metadata  # without gRPC's own fields
    is_grpc: bool
    encoding: str
    grpc_status: str | None
    grpc_message: str

    def status(self, http_status: int) -> tuple[int, str]:
        """gRPC status code and detail, these fields being the answer's last."""
        return from_trailers(self.grpc_status, self.grpc_message, http_status)


def request_head(fields: list[Field]) -> RequestHead:
    """Read a request's fields."""
    values = dict(fields)
    return RequestHead(
        values.get(":path", ""),
        values.get(":authority") or values.get("host", ""),
        tuple([field for field in fields if field[0][:1] != ":"]),
        _is_grpc(values.get("content-type", "")),
        parse_timeout(values.get("grpc-timeout", "")),
        values.get("grpc-encoding", "identity"),
    )


def response_head(fields: list[Field]) -> ResponseHead:
    """Read a response's fields, or its trailers."""
    values = dict(fields)
    status = values.get(":status", "")
    return ResponseHead(
        int(status) if len(status) == 3 and status.isascii() and status.isdigit() else 0,
        tuple([f for f in fields if f[0][:1] != ":" and f[0] not in _RESERVED]),
        # gRPC's C core takes an answer without content-type for gRPC, and so do we.
        _is_grpc(values.get("content-type", "application/grpc")),
        values.get("grpc-encoding", "identity"),
        values.get("grpc-status"),
        values.get("grpc-message", ""),
    )


def _is_grpc(content_type: str) -> bool:
    """Whether it is `application/grpc`, `application/grpc+…` or `application/grpc;…`."""
    return content_type[:16] == "application/grpc" and content_type[16:17] in ("", "+", ";")
