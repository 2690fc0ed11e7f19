"""A request's header block: literals that touch no dynamic table, so encoding has no state. Pure.

Rule: what repeats from call to call is encoded once; a field that gRPC forbids raises before
anything was sent. Counterpart: `conversation`. Source: RFC 7541, and gRPC's PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import base64
import re

from sidecar.call import GrpcMetadata

MAX_NAMES = 1024  # names come from clients: what is remembered of them has a bound

_NAME = re.compile(r"[a-z0-9_.-]+")


class RequestBlock:
    """Encodes the blocks of one connection.

    Args:
        scheme: "http" or "https".
        authority: for `:authority`.
        agent: for `user-agent`.
    """

    def __init__(self, scheme: str, authority: str, agent: str) -> None:
        # RFC 7541: `:method` POST and `:scheme` are in the static table, so are the other names.
        self._head = b"\x83" + (b"\x87" if scheme == "https" else b"\x86")
        self._after_path = b"".join(
            (
                b"\x01" + _string(authority.encode()),
                b"\x00" + _string(b"te") + _string(b"trailers"),
                b"\x0f\x10" + _string(b"application/grpc"),
                b"\x0f\x2b" + _string(agent.encode()),
                b"\x00" + _string(b"grpc-accept-encoding") + _string(b"identity, deflate, gzip"),
                b"\x00" + _string(b"grpc-timeout"),
            )
        )
        self._paths: dict[str, bytes] = {}
        self._names: dict[str, bytes] = {}

    def encode(self, method: str, metadata: GrpcMetadata, timeout_ns: int) -> bytes:
        """Encode one.

        Raises:
            ValueError: a field that cannot be sent.
        """
        head = self._paths.get(method)
        if head is None:
            if len(self._paths) >= MAX_NAMES:
                self._paths.clear()
            head = self._head + b"\x04" + _string(method.encode()) + self._after_path
            self._paths[method] = head
        parts = [head, _string(_timeout(timeout_ns))]
        for name, value in metadata:
            known = self._names.get(name)
            parts.append(self._name(name) if known is None else known)
            parts.append(_string(_value(value)))
        return b"".join(parts)

    def _name(self, name: str) -> bytes:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name of metadata: {name!r}")
        if len(self._names) >= MAX_NAMES:
            self._names.clear()
        encoded = self._names[name] = b"\x00" + _string(name.encode())
        return encoded


def _string(raw: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541, section 5.2)."""
    size = len(raw)
    if size < 0x7F:
        return bytes((size,)) + raw
    prefix = bytearray((0x7F,))
    size -= 0x7F
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + raw


def _value(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return base64.b64encode(value).rstrip(b"=")
    if not (value.isascii() and value.isprintable()):
        raise ValueError("a value of metadata that is not printable ASCII")
    return value.encode()


def _timeout(ns: int) -> bytes:
    """`grpc-timeout`: at most eight digits and a unit."""
    micros = max(1, ns // 1000)
    for size, unit in ((1, b"u"), (1000, b"m"), (1_000_000, b"S")):
        if micros // size < 100_000_000:
            return b"%d%b" % (micros // size, unit)
    return b"99999999S"
