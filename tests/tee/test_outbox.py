"""Which requests a socket has taken to their end, and when."""

from __future__ import annotations

import socket
import time

from sidecar.tee.outbox import Outbox


def pair() -> tuple[socket.socket, socket.socket]:
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    return here, there


def drain(sock: socket.socket) -> bytes:
    got = b""
    try:
        while piece := sock.recv(1 << 20):
            got += piece
    except BlockingIOError:
        pass
    return got


def test_requests_that_leave_in_one_write_are_handed_over_together() -> None:
    here, there = pair()
    with here, there:
        box = Outbox()
        box.push([b"head", b"one", b"two", b"more"], [(2, 1), (3, 3)])
        before = time.monotonic_ns()
        handed = box.send(here)
        assert [stream for stream, _ in handed] == [1, 3]
        assert all(before <= at <= time.monotonic_ns() for _, at in handed)
        assert not box
        assert drain(there) == b"headonetwomore"


def test_a_request_that_the_socket_takes_in_parts_is_handed_over_with_its_last() -> None:
    here, there = pair()
    with here, there:
        box = Outbox()
        small, large = b"a" * 10, bytes(8 << 20)
        box.push([small, memoryview(large)], [(1, 1), (2, 3)])
        first = box.send(here)
        assert [stream for stream, _ in first] == [1]
        assert box
        got, later = b"", []
        while box:
            got += drain(there)
            later += box.send(here)
        got += drain(there)
        assert got == small + large
        assert [stream for stream, _ in later] == [3]
        assert later[0][1] > first[0][1]


def test_an_empty_request_is_handed_over_with_what_comes_before_it() -> None:
    here, there = pair()
    with here, there:
        box = Outbox()
        box.push([b"head", b""], [(2, 1)])
        assert [stream for stream, _ in box.send(here)] == [1]
        drain(there)
