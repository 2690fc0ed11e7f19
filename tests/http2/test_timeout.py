"""grpc-timeout."""

from __future__ import annotations

import pytest

from sidecar.http2.timeout import parse_timeout


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1H", 3_600_000_000_000),
        ("2M", 120_000_000_000),
        ("30S", 30_000_000_000),
        ("99999999m", 99_999_999_000_000),
        ("5u", 5_000),
        ("7n", 7),
        ("0S", 0),
    ],
)
def test_each_unit(text: str, nanoseconds: int) -> None:
    assert parse_timeout(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S", "²S"])
def test_anything_else_is_no_timeout(text: str) -> None:
    assert parse_timeout(text) is None
