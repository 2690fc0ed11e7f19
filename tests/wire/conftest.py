"""What most tests of the wire stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.harness import Upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream
