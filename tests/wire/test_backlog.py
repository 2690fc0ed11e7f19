"""What waits for an observer arrives whole and in order, however little is taken at once."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

import pytest

from sidecar.wire.backlog import CHUNK_BYTES, Backlog


def read_all(sock: socket.socket) -> bytes:
    data = b""
    with suppress(BlockingIOError):
        while more := sock.recv(1 << 20):
            data += more
    return data


@pytest.mark.parametrize("seed", range(5))
def test_records_added_and_lent_arrive_in_order_and_leave_nothing(seed: int) -> None:
    draw = random.Random(seed)
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10)
    for sock in (near, far):
        sock.setblocking(False)
    backlog = Backlog()
    buffer = bytearray(CHUNK_BYTES)  # what is lent is overwritten afterwards, as a read buffer is
    put, got, full = b"", b"", 0
    for number in range(120):
        header = b"%06d" % number
        payload = draw.randbytes(draw.choice((0, 3, 300, 40_000)))
        put += header + payload
        if payload and draw.random() < 0.5:
            buffer[: len(payload)] = payload
            try:
                backlog.send_with(near, header, memoryview(buffer)[: len(payload)])
            except BlockingIOError:
                full += 1
            buffer[: len(payload)] = bytes(len(payload))
        elif draw.random() < 0.3:
            backlog.add_large(header, payload)
        else:
            backlog.add(header, payload)
        assert backlog.size >= len(put) - backlog.sent
        if backlog.sent > len(got) and draw.random() < 0.4:
            got += far.recv(1 << 14)
    assert full  # or nothing of it was tried
    while backlog.size:
        with suppress(BlockingIOError):
            backlog.send(near)
        got += read_all(far)
    assert got + read_all(far) == put
    assert backlog.sent == len(put)
    near.close()
    far.close()


def test_what_is_let_go_of_costs_nothing() -> None:
    backlog = Backlog()
    backlog.add(b"header", b"x" * CHUNK_BYTES)
    backlog.add(b"header", b"payload")
    backlog.clear()
    assert backlog.size == 0
