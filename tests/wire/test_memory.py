"""Everything that the wire may hold, held at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wire.harness import Upstream, running_wire, through
from tests.wire.worst import fill


def test_the_wire_filled_to_every_bound_holds_no_more_than_it_was_told(tmp_path: Path) -> None:
    found = fill(tmp_path, connections=150, memory_bytes=112 << 20)
    assert found.peak <= found.bound, found


@pytest.mark.parametrize("library", ["libssl", "libcrypto", "liblzma", "unicodedata"])
def test_a_wire_at_work_has_loaded_nothing_large_that_it_has_no_use_for(
    tmp_path: Path, library: str
) -> None:
    with (
        Upstream() as upstream,
        running_wire(tmp_path, upstream.address) as wire,
        through(wire, upstream),
    ):
        assert library not in Path(f"/proc/{wire.process.pid}/maps").read_text()
