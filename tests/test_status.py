"""How an answer's end becomes a status."""

from __future__ import annotations

import grpc
import pytest

from sidecar import status
from sidecar.status import from_http_status, from_reset, from_trailers


def test_the_codes_are_grpcs() -> None:
    known = {code.name: code.value[0] for code in grpc.StatusCode}
    ours = {name: getattr(status, name) for name in known if hasattr(status, name)}
    assert len(ours) == 9
    assert ours == {name: known[name] for name in ours}


def test_trailers_come_first() -> None:
    assert from_trailers("0", "", 503) == (0, "")
    assert from_trailers("16", "who?", 200) == (16, "who?")
    assert from_trailers(None, "", 503) == (14, "no grpc-status, HTTP status 503")


@pytest.mark.parametrize(
    ("encoded", "detail"),
    [
        ("plain", "plain"),
        ("50%25", "50%"),
        ("%E2%82%AC", "€"),
        ("%e2%82%ac", "€"),
        ("%", "%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("%FF", "\ufffd"),
        ("é%25", "é%"),
        ("a+b", "a+b"),
    ],
)
def test_the_message_is_percent_encoded(encoded: str, detail: str) -> None:
    assert from_trailers("2", encoded, 200) == (2, detail)


def test_http_statuses() -> None:
    expected = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
    assert {code: from_http_status(code)[0] for code in expected} == expected
    assert {from_http_status(code)[0] for code in (0, 200, 301, 405, 500)} == {2}


def test_reset_codes() -> None:
    expected = {0: 13, 1: 13, 2: 13, 3: 13, 4: 13, 5: 2, 6: 13}
    expected |= {7: 14, 8: 1, 9: 13, 10: 13, 11: 8, 12: 7, 13: 2, 0xFFFFFFFF: 2}
    assert {code: from_reset(code)[0] for code in expected} == expected
