"""The webhook's certificate, read again when its files change.

Rule: a connection gets the last pair that was good. The new pair is loaded into a context of its
own, so that a pair caught in the middle of a rotation (new certificate, old key) harms nobody:
it is refused, told, and tried again at the next look. Counterpart: `webhook`, which listens with
`context` and calls `look` from time to time.
"""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateError(Exception):
    """The files do not make a certificate and its key."""


class Certificate:
    """A certificate and its key on disk, and the TLS context that serves them."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Load both.

        Raises:
            CertificateError: naming the file and what is wrong with it.
        """
        self._cert, self._key = cert, key
        self._seen = self._stamp()
        self._current = self._load()
        # The context that listens never changes; each handshake is moved to the current one.
        self.context = self._load()
        self.context.sni_callback = self._choose
        self.reloads = 0

    def look(self) -> bool:
        """Read the files again if they have changed; returns whether they had.

        Raises:
            CertificateError: the pair is not good; the old one stays, and is tried again.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._current = self._load()
        self._seen = stamp
        self.reloads += 1
        return True

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        connection.context = self._current

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when a file is written, moved over, or its symbolic link turned."""
        stamps = []
        for path in (self._cert, self._key):
            try:
                stat = path.stat()
            except OSError as error:
                raise CertificateError(f"{path}: {error.strerror}") from None
            stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"{self._cert} and {self._key}: {error}") from None
        return context
