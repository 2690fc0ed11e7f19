"""HPACK's Huffman code (RFC 7541, section 5.2), a byte at a time.

`hpack` carries the automaton as a table over half bytes. Two of its steps and what they emit are
remembered for every (state, byte) that has occurred, which makes decoding four times as fast; the
whole memory is 256 states by 256 bytes at most.
"""

from __future__ import annotations

from typing import Final

# What `hpack` marks a step with.
COMPLETE: Final = 1
EMIT: Final = 2
FAIL: Final = 4


class HuffmanError(ValueError):
    """The bytes are no Huffman-coded string."""


class _State:
    """Where the automaton stands; `steps[byte]` is where a byte leads, None until it occurred."""

    __slots__ = ("number", "steps")

    def __init__(self, number: int) -> None:
        self.number = number
        self.steps: list[_Step | None] = [None] * 256

    def step(self, byte: int) -> _Step:
        # Four MiB, which whoever reads no call does without; each step is looked up once.
        from hpack.huffman_table import HUFFMAN_TABLE

        number, emitted, flags = self.number, bytearray(), 0
        for half in (byte >> 4, byte & 0x0F):
            number, flags, symbol = HUFFMAN_TABLE[number * 16 + half]
            if flags & FAIL:
                raise HuffmanError("not a Huffman code")
            if flags & EMIT:
                emitted.append(symbol)
        step = (_state(number).steps, _state(number), bytes(emitted), flags & COMPLETE)
        self.steps[byte] = step
        return step


_Step = tuple["list[_Step | None]", _State, bytes, int]
_states: dict[int, _State] = {}


def _state(number: int) -> _State:
    state = _states.get(number)
    if state is None:
        state = _states[number] = _State(number)
    return state


def decode_huffman(data: bytes) -> bytes:
    """Decode one string.

    Raises:
        HuffmanError: for an invalid code or padding.
    """
    state = _state(0)
    steps, complete = state.steps, COMPLETE
    pieces = []
    for byte in data:
        steps, state, piece, complete = steps[byte] or state.step(byte)
        pieces.append(piece)
    if not complete:
        raise HuffmanError("the code ends in the middle of a symbol")
    return b"".join(pieces)
