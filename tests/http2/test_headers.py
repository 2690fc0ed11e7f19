"""Our HPACK decoder, held against hpack's own."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.http2.headers import MAX_TABLE_BYTES, Field, HeaderDecoder, HeaderError

BOUND = 64 << 10


def fields_decoder(max_bytes: int = BOUND) -> HeaderDecoder[list[Field]]:
    return HeaderDecoder(list, max_bytes)


def plain(decoder: hpack.Decoder, block: bytes) -> list[Field] | None:
    """What hpack makes of a block, in lower case as ours; None when it refuses it."""
    try:
        return [(str(name).lower(), str(value)) for name, value in decoder.decode(block)]
    except (hpack.HPACKError, IndexError):
        return None


def ours(decoder: HeaderDecoder[list[Field]], block: bytes) -> list[Field] | None:
    try:
        return decoder.decode(block)
    except HeaderError:
        return None


# Few names and values, so that the table is hit; lower case, as HTTP/2 wants it.
names = st.sampled_from([":path", ":status", "te", "content-type", "traceparent", "x"]) | st.text(
    "abcdefgh-", min_size=1, max_size=40
)
values = st.sampled_from(["", "0", "trailers", "application/grpc", "/a.B/C", "z" * 300]) | st.text(
    max_size=60
)
headers = st.lists(st.tuples(names, values, st.booleans()), max_size=12)
sizes = st.none() | st.integers(0, 9000)


@given(st.lists(st.tuples(headers, sizes, st.booleans()), max_size=12))
@settings(max_examples=300)
def test_reads_what_hpack_writes(
    blocks: list[tuple[list[tuple[str, str, bool]], int | None, bool]],
) -> None:
    encoder, reference, decoder = hpack.Encoder(), hpack.Decoder(), fields_decoder()
    reference.max_allowed_table_size = 9000
    decoder.allow_table(9000)
    for fields, size, huffman in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(fields, huffman=huffman)
        expected = [(name, value) for name, value, _ in fields]
        assert decoder.decode(block) == expected
        assert plain(reference, block) == expected


def integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    encoded = hpack.hpack.encode_integer(value, prefix_bits)
    encoded[0] |= pattern
    return bytes(encoded)


def string(text: bytes, huffman: bool) -> bytes:
    if huffman:
        text = hpack.Encoder().huffman_coder.encode(text)
    return integer(len(text), 7, 0x80 if huffman else 0) + text


@st.composite
def representations(draw: st.DrawFn) -> bytes:
    """One header representation of any type, mostly well-formed."""
    kind = draw(st.integers(0, 4))
    index = draw(st.integers(0, 75) | st.integers(0, 1 << 20))
    if kind == 0:
        return integer(index, 7, 0x80)
    if kind == 1:
        return integer(draw(st.integers(0, 5000)), 5, 0x20)
    bits, pattern = {2: (6, 0x40), 3: (4, 0x10), 4: (4, 0x00)}[kind]
    value = string(draw(st.binary(max_size=80).filter(_is_text)), draw(st.booleans()))
    if draw(st.booleans()):
        return integer(index, bits, pattern) + value
    name = draw(st.text("abc-", max_size=70)).encode()
    return bytes([pattern]) + string(name, draw(st.booleans())) + value


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_no_text(fields: list[Field]) -> bool:
    """hpack refuses what is not UTF-8; nothing else may differ."""
    return any(not (name + value).isascii() for name, value in fields)


block_of_representations = st.lists(representations(), max_size=8).map(b"".join)


@given(st.lists(block_of_representations, max_size=10))
@example([b"\x40\x01A\x80"])
@example([b"@\x00\x03\x80\x01\x00"])
@example([b"\x40\x01a\x01b" * 2, b"\xbe\xbf", b"\xbe\xbf", b"\x20\x3f\xe1\x1f", b"\xbe"])
@settings(max_examples=500)
def test_agrees_with_hpack_on_every_representation(blocks: list[bytes]) -> None:
    reference, decoder = hpack.Decoder(BOUND), fields_decoder()
    for block in blocks:
        expected, found = plain(reference, block), ours(decoder, block)
        if expected is None:  # what was cut elsewhere than drawn may hold any bytes
            assert found is None or _has_no_text(found)
            return
        assert found == expected


@given(st.lists(st.binary(max_size=60), max_size=6))
@settings(max_examples=500)
def test_arbitrary_bytes_are_read_or_refused(blocks: list[bytes]) -> None:
    reference, decoder = hpack.Decoder(BOUND), fields_decoder()
    for block in blocks:
        expected, found = plain(reference, block), ours(decoder, block)
        if found is None:
            assert expected is None
            return
        if expected is None:
            assert _has_no_text(found)
            return
        assert found == expected


def test_a_remembered_block_is_forgotten_when_the_table_changes() -> None:
    decoder = fields_decoder()
    assert decoder.decode(b"\x40\x01a\x01b") == [("a", "b")]
    assert decoder.decode(b"\xbe") == [("a", "b")]
    assert decoder.decode(b"\xbe") == [("a", "b")]
    assert decoder.decode(b"\x40\x01c\x01d") == [("c", "d")]
    assert decoder.decode(b"\xbe\xbf") == [("c", "d"), ("a", "b")]
    assert decoder.decode(b"\x20") == []
    assert ours(decoder, b"\xbe") is None


def test_a_block_with_literals_means_the_same_again_until_the_table_changes() -> None:
    decoder = fields_decoder()
    assert decoder.decode(b"\x40\x01a\x01b") == [("a", "b")]
    block = b"\xbe\x0f\x2f\x01c"  # the newest field, and its name with another value
    for _ in range(2):
        assert decoder.decode(block) == [("a", "b"), ("a", "c")]
    assert decoder.decode(b"\x40\x01d\x01e") == [("d", "e")]
    assert decoder.decode(block) == [("d", "e"), ("d", "c")]


def test_many_different_blocks_are_all_read() -> None:
    decoder = fields_decoder()
    for _ in range(2):
        for index in range(1, 62):
            for other in range(1, 62):
                assert len(decoder.decode(bytes([0x80 | index, 0x80 | other]))) == 2


def test_the_table_may_not_grow_beyond_what_was_allowed() -> None:
    assert ours(fields_decoder(), integer(4097, 5, 0x20)) is None
    decoder = fields_decoder()
    decoder.allow_table(8192)
    decoder.allow_table(0)  # the encoder may not have heard of it yet
    assert decoder.decode(integer(8192, 5, 0x20)) == []


def test_the_table_has_a_bound_whatever_the_peers_allow_each_other() -> None:
    decoder = fields_decoder()
    decoder.allow_table(0xFFFFFFFF)
    assert decoder.decode(integer(MAX_TABLE_BYTES, 5, 0x20)) == []
    assert ours(decoder, integer(MAX_TABLE_BYTES + 1, 5, 0x20)) is None


def test_a_list_over_the_bound_is_refused() -> None:
    decoder = fields_decoder(max_bytes=2 * 34)
    assert decoder.decode(b"\x40\x01a\x01b\xbe") == [("a", "b")] * 2
    assert ours(decoder, b"\xbe\xbe\xbe") is None


def test_a_value_that_is_not_utf8_is_kept() -> None:
    assert fields_decoder().decode(b"\x00\x01a\x02\xe9!") == [("a", "\xe9!")]


def test_names_are_lower_case() -> None:
    assert fields_decoder().decode(b"\x00\x01A\x01B") == [("a", "B")]


def test_unencoded_binary_metadata_reads_as_base64() -> None:
    decoder = fields_decoder()
    assert decoder.decode(b"\x00\x05x-bin\x05\x00\x00\xff\xfe\x01") == [("x-bin", "AP/+AQ")]
    assert decoder.decode(b"\x00\x05x-bin\x04AAEC") == [("x-bin", "AAEC")]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # beyond the table
        b"\xff",  # integer cut off
        b"\xff\xff\xff\xff\xff\xff\x01",  # integer too long
        b"\x00\x05ab",  # string cut off
        b"\x00\x01a",  # no value
        b"\x82\x20",  # table size update after a field
        b"\x00\x01a\x81\x00",  # Huffman code cut off
        b"\x00\x01a\x84\xff\xff\xff\xff",  # Huffman's end of string
    ],
    ids=lambda block: block.hex(),
)
def test_a_block_that_breaks_the_rules_is_refused(block: bytes) -> None:
    assert plain(hpack.Decoder(), block) is None
    assert ours(fields_decoder(), block) is None


def test_what_is_remembered_of_blocks_is_bounded_and_counted() -> None:
    decoder = fields_decoder()
    before = decoder.held
    decoder.decode(b"\x82" * 33)  # more fields than are worth it
    assert decoder.held == before
    held = []
    for i in range(65):
        block = bytes([0x90 + i % 40, 0x90 + i // 40]) + b"\x82" * 30
        assert len(decoder.decode(block)) == 32
        held.append(decoder.held - before)
    each = held[0]
    assert each == 256 + 32 + 16 * 32  # a request's head was measured to take 474
    assert held == [*range(each, 64 * each + 1, each), each]
    decoder.decode(block)
    assert decoder.held - before == each  # it is there
    for i in range(5):
        decoder.decode(b"\x00\x01x\x01" + bytes([97 + i]))
    literal = decoder.held - before - each
    assert literal == 256 + 5 + 16 + 260
    decoder.decode(b"\x40\x01x\x01y")  # the table has changed: nothing is remembered
    assert decoder.held - before == 32 + 2 + 260
