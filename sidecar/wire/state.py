"""How far a connection is looked at.

Counterparts: `frames`, which does it; `stats`, where connections are counted by it.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What the walk still does for a connection."""

    OBSERVED = 1  # copies
    BLIND = 2  # counts the client's new streams, and knows where frames end
    OPAQUE = 3  # nothing: the bytes are not HTTP/2
    UNCOUNTED = 4  # nothing; its calls are assumed: too many frames, or a mistake in the walk
