"""How the end of an answer becomes a gRPC status: code and detail.

Rule: the code is the one a gRPC client would report for the same bytes, so that production's
status, read off the wire, can be compared with a shadow's, reported by a client.
Sources: gRPC's http-grpc-status-mapping.md, and PROTOCOL-HTTP2.md, "Errors" and "Responses".
"""

from __future__ import annotations

from urllib.parse import unquote

OK = 0
CANCELLED = 1
UNKNOWN = 2
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16

STATUS_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

REFUSED_STREAM = 7  # HTTP/2 error code: the server says that it did nothing

_BY_HTTP_STATUS = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}

# STREAM_CLOSED (5) has no mapping of its own.
_BY_RESET_CODE = {
    0: INTERNAL,
    1: INTERNAL,
    2: INTERNAL,
    3: INTERNAL,
    4: INTERNAL,
    6: INTERNAL,
    REFUSED_STREAM: UNAVAILABLE,
    8: CANCELLED,
    9: INTERNAL,
    10: INTERNAL,
    11: RESOURCE_EXHAUSTED,
    12: PERMISSION_DENIED,
}


def from_trailers(grpc_status: str | None, grpc_message: str, http_status: int) -> tuple[int, str]:
    """Status of an answer that ended in order, with trailers or without.

    Args:
        grpc_status: the field's value, None when there is none.
        grpc_message: the field's value, percent-encoded, "" when there is none.
        http_status: `:status`, 0 when it could not be read.

    Codes that gRPC does not define are UNKNOWN, as clients report them.
    """
    if grpc_status is None:
        return from_http_status(http_status)
    detail = unquote(grpc_message, errors="replace") if "%" in grpc_message else grpc_message
    if not (len(grpc_status) <= 2 and grpc_status.isascii() and grpc_status.isdigit()):
        return UNKNOWN, detail
    code = int(grpc_status)
    return (code if code <= UNAUTHENTICATED else UNKNOWN), detail


def from_http_status(http_status: int) -> tuple[int, str]:
    """Status of an answer without `grpc-status`."""
    detail = f"no grpc-status, HTTP status {http_status}"
    return _BY_HTTP_STATUS.get(http_status, UNKNOWN), detail


def from_reset(code: int) -> tuple[int, str]:
    """Status of an answer cut off by the server's RST_STREAM with this HTTP/2 error code."""
    return _BY_RESET_CODE.get(code, UNKNOWN), f"RST_STREAM with error code {code}"


def from_lost_connection() -> tuple[int, str]:
    """Status of an answer that ended with the server's side of the connection."""
    return UNAVAILABLE, "the server closed the connection"


def status_name(code: int) -> str:
    """Give a gRPC status code its name; a code that gRPC does not define stays a number."""
    return STATUS_NAMES[code] if 0 <= code < len(STATUS_NAMES) else str(code)
