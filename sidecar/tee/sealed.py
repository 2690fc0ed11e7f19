"""TLS over a socket that is read by `recvmsg`: plain bytes on our side, sealed ones on the other.

Rule: bytes in, bytes out; the socket is somebody else's, so that what it receives keeps the
kernel's stamp. Counterparts: `dial`, which shakes hands; `connection`, which goes on.
"""

from __future__ import annotations

import ssl
from typing import Final

_PIECE: Final = 256 << 10


class Sealed:
    """One TLS session as a client."""

    __slots__ = ("_in", "_object", "_out")

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        """`name` is what the server's certificate must have."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=name)

    def shake(self, data: bytes = b"") -> bool:
        """Take what the server said; whether hands are shaken. `outgoing` has what to answer.

        Raises:
            ssl.SSLError: they cannot be.
        """
        self._in.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        return self._out.read()

    def seal(self, data: bytes) -> bytes:
        """Plain bytes to sealed ones, with whatever TLS itself has to say."""
        self._object.write(data)
        return self._out.read()

    def open(self, data: bytes) -> tuple[bytes, bool]:
        """Sealed bytes to plain ones, and whether the server has closed the session.

        Raises:
            ssl.SSLError: they make no sense.
        """
        self._in.write(data)
        plain = []
        try:
            while piece := self._object.read(_PIECE):
                plain.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(plain), False
        except ssl.SSLZeroReturnError:
            pass
        return b"".join(plain), True
