"""Length-prefixed messages, cut anywhere."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import SkipReason
from sidecar.http2.budget import Budget
from sidecar.http2.limits import ReadLimits
from sidecar.http2.messages import MessageReader
from tests.observe.peers import message

TOO_LARGE = SkipReason.RESPONSE_TOO_LARGE
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def reader(
    encoding: str = "identity", max_bytes: int = 10_000, budget: Budget | None = None
) -> MessageReader:
    return MessageReader(encoding, max_bytes, TOO_LARGE, ReadLimits(), budget or Budget())


def raw_deflate(text: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(text) + deflater.flush()


@given(st.data(), st.sampled_from(sorted(COMPRESS)))
def test_messages_survive_any_cut(data: st.DataObject, encoding: str) -> None:
    compress = COMPRESS[encoding]
    texts = data.draw(st.lists(st.binary(max_size=200), max_size=6))
    body = b"".join(message(compress(text), encoding != "identity") for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    messages = reader(encoding)
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        piece = body[start:stop]
        assert messages.feed(memoryview(piece) if start % 2 else piece) is None
    assert messages.end() is None
    assert messages.messages == texts


def test_deflate_without_zlibs_header() -> None:
    messages = reader("deflate")
    assert messages.feed(message(raw_deflate(b"hello " * 99), True)) is None
    assert messages.messages == [b"hello " * 99]


def test_a_call_may_mix_compressed_and_plain() -> None:
    messages = reader("gzip")
    assert messages.feed(message(b"plain") + message(gzip.compress(b"small"), True)) is None
    assert messages.messages == [b"plain", b"small"]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)],
)
def test_the_bound_is_exact_when_decompressing(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    for size, reason in ((10_000, None), (10_001, TOO_LARGE)):
        assert reader(encoding).feed(message(compress(bytes(size)), True)) is reason


def test_the_bound_is_on_all_messages() -> None:
    messages = reader(max_bytes=10)
    assert messages.feed(message(b"x" * 6) + message(b"x" * 4)) is None
    assert messages.feed(message(b"")) is None
    assert messages.feed(message(b"x")) is TOO_LARGE


def test_a_message_that_is_too_large_is_never_held() -> None:
    messages = reader(max_bytes=10)
    assert messages.feed(b"\0\0\0\0") is None
    assert messages.feed(b"\x0b") is TOO_LARGE
    assert messages.held == 0


def test_what_is_held() -> None:
    messages = reader()
    messages.feed(message(b"x" * 100)[:55])
    assert messages.held == 50
    messages.feed(message(b"x" * 100)[55:])
    assert 100 <= messages.held < 200


def test_what_would_grow_beyond_the_budget_is_not_decompressed() -> None:
    budget = Budget(5_000)
    bomb = message(gzip.compress(bytes(8_000)), compressed=True)
    assert reader("gzip", budget=budget).feed(bomb) is SkipReason.PAIRS_FULL
    budget.held = 6_000  # more than there may be
    assert reader("gzip", budget=budget).feed(bomb) is SkipReason.PAIRS_FULL
    assert reader("gzip", 4_000, budget=Budget(5_000)).feed(bomb) is TOO_LARGE
    assert reader("gzip", budget=Budget(8_000)).feed(bomb) is None
