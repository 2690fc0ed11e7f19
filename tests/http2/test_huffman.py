"""Huffman strings, held against hpack's own coder."""

from __future__ import annotations

import pytest
from hpack import HPACKDecodingError, huffman_table
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as reference
from hpack.table import HeaderTable
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2.huffman import COMPLETE, EMIT, FAIL, HuffmanError, decode_huffman
from sidecar.http2.static_table import STATIC

encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary())
def test_reads_what_was_written(text: bytes) -> None:
    assert decode_huffman(encoder.encode(text)) == text


@given(st.binary())
def test_agrees_with_hpack_on_arbitrary_bytes(data: bytes) -> None:
    try:
        expected = reference(data)
    except HPACKDecodingError:
        with pytest.raises(HuffmanError):
            decode_huffman(data)
    else:
        assert decode_huffman(data) == expected


def test_the_marks_and_the_static_table_are_those_of_hpack() -> None:
    assert (COMPLETE, EMIT, FAIL) == (
        huffman_table.HUFFMAN_COMPLETE,
        huffman_table.HUFFMAN_EMIT_SYMBOL,
        huffman_table.HUFFMAN_FAIL,
    )
    theirs = [(name.decode(), value.decode()) for name, value in HeaderTable.STATIC_TABLE]
    assert list(STATIC) == theirs
    assert len(STATIC) == 61
