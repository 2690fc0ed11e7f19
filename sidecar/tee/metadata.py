"""What of the caller's metadata a shadow may see, and what is put on top.

Rule: copied is what is neither gRPC's or the connection's own, nor denied; what names a trace and
`x-shadow` are always ours, so that a shadow can always refuse side effects. A field that grpcio
would refuse is left out, because it would fail the whole call. Nothing flows the other way: what a
shadow answers ends in its `Observation`.
"""

from __future__ import annotations

import binascii
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidecar.call import GrpcMetadata, Metadata
from sidecar.tee.settings import ShadowSettings

# gRPC over HTTP/2 writes these itself, or they belong to the hop that they arrived on.
OWNED = (
    "*:*",  # pseudo-headers: no other name may hold a colon
    "grpc-*",
    "te",
    "content-type",
    "content-length",
    "user-agent",
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "trailer",
)
TRACE_FIELDS = frozenset(
    {
        "traceparent",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
        "uber-trace-id",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "ot-tracer-traceid",
        "ot-tracer-spanid",
        "ot-tracer-sampled",
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "sw8",
    }
)
"""Fields that name a trace in one format or another. With the caller's own a shadow's
spans would stand in production's trace."""

MAX_NAMES = 1024  # names come from clients: what is remembered of them has a bound

# Legal in gRPC: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Header-Name,
# ASCII-Value). grpcio fails a call that carries anything else.
_NAME = re.compile(r"[a-z0-9_.-]+")
_AS_IT_IS: Final = "as it is"
_ASCII = re.compile(r"[\x20-\x7e]*")


class MetadataPolicy:
    """One shadow's policy, compiled."""

    __slots__ = ("_added", "_copied", "_denied", "_owned")

    def __init__(self, settings: ShadowSettings) -> None:
        self._owned = _any_glob(OWNED)
        self._denied = _any_glob(settings.deny_metadata)
        self._copied: dict[str, bool | str] = {}
        added = [(name.lower(), value) for name, value in settings.add_metadata.items()]
        ours = {*TRACE_FIELDS, "x-shadow"}
        self._added: GrpcMetadata = tuple(
            field
            for name, value in added
            if name not in ours and not self._owned(name)
            for field in _legal(name, value)
        )
        self._added += (("x-shadow", settings.name),)

    def outgoing(self, metadata: Metadata, trace: GrpcMetadata = ()) -> GrpcMetadata:
        """Build what the shadow receives.

        Args:
            metadata: the caller's, as read from the wire; `-bin` values are base64.
            trace: the fields that name the shadow's span.
        """
        copied: list[tuple[str, str | bytes]] = []
        for field in metadata:
            name, value = field
            copies = self._copied.get(name)
            if copies is None:
                copies = self._copies(name)
            # Most fields by far are printable ASCII, and most names are legal.
            if copies is _AS_IT_IS:
                if value.isascii() and value.isprintable():
                    copied.append(field)
            elif copies:
                copied += _legal(name, value)
        return (*copied, *self._added, *trace)

    def _copies(self, name: str) -> bool | str:
        """Whether a field of that name is copied; `_AS_IT_IS` where its value needs no reading."""
        if len(self._copied) >= MAX_NAMES:
            self._copied.clear()
        copies: bool | str = not (
            name in TRACE_FIELDS
            or self._owned(name)
            or self._denied(name)
            or any(name == added for added, _ in self._added)
        )
        if copies and _NAME.fullmatch(name) and not name.endswith("-bin"):
            copies = _AS_IT_IS
        self._copied[name] = copies
        return copies


def _any_glob(globs: Iterable[str]) -> Callable[[str], bool]:
    pattern = re.compile(
        "|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)", re.IGNORECASE
    )
    return lambda text: pattern.match(text) is not None


def _legal(name: str, value: str) -> Iterator[tuple[str, str | bytes]]:
    if not _NAME.fullmatch(name) or name == "-bin":
        return
    if not name.endswith("-bin"):
        if _ASCII.fullmatch(value):
            yield name, value
        return
    # Several binary values may stand in one field, with commas between.
    for part in value.split(","):
        data = part.strip().rstrip("=")
        try:
            yield name, binascii.a2b_base64(data + "=" * (-len(data) % 4), strict_mode=True)
        except (binascii.Error, ValueError):
            continue
