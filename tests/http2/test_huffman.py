"""Huffman strings, held against hpack's own coder."""

from __future__ import annotations

import pytest
from hpack import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as reference
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2.huffman import HuffmanError, decode_huffman

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
