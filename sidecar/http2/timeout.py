"""`grpc-timeout`: how long the client is willing to wait.

Rule: what gRPC does not define is no timeout. Source: gRPC's PROTOCOL-HTTP2.md, "Timeout".
"""

from __future__ import annotations

_UNIT_NS = {
    "H": 3_600_000_000_000,
    "M": 60_000_000_000,
    "S": 1_000_000_000,
    "m": 1_000_000,
    "u": 1_000,
    "n": 1,
}


def parse_timeout(text: str) -> int | None:
    """Nanoseconds, or None when `text` is not one to eight digits and a unit."""
    digits, unit = text[:-1], _UNIT_NS.get(text[-1:])
    if unit is None or not (len(digits) <= 8 and digits.isascii() and digits.isdigit()):
        return None
    return int(digits) * unit
