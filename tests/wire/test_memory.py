"""Everything that the wire may hold, held at once."""

from __future__ import annotations

from pathlib import Path

from tests.wire.worst import fill


def test_the_wire_filled_to_every_bound_holds_no_more_than_it_was_told(tmp_path: Path) -> None:
    found = fill(tmp_path, connections=150, memory_bytes=112 << 20)
    assert found.peak <= found.bound, found
