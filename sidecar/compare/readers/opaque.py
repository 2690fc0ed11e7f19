"""The reader of last resort: a message is its bytes, equal or not.

Rule: reads everything. Counterpart: `registry`, which turns to it for a method it does not know.
"""

from __future__ import annotations

from typing import Final

from sidecar.compare.payload import BYTES, Decoded, Output, bytes_array

OUTPUT = "message"
OPAQUE: Final = "opaque"


class OpaqueReader:
    """Reads any message as one BYTES output named "message", of no dimensions."""

    name = OPAQUE

    def read_response(self, message: bytes) -> Decoded:
        """Return the bytes as they are."""
        return Decoded((Output(OUTPUT, BYTES, bytes_array([message]).reshape(())),))

    def read_request(self, message: bytes) -> Decoded:
        """Return the bytes as they are."""
        return self.read_response(message)
