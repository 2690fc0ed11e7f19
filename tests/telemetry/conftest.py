"""What most tests of telemetry stand on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector import Collector


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running
