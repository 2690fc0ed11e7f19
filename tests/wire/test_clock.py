from __future__ import annotations

import os
import signal
import socket
import struct
from pathlib import Path
from time import monotonic_ns, time_ns

import pytest

from sidecar.wire.clock import STAMP_BYTES, ask_for_stamps, came
from sidecar.wire.records import KERNEL_TIME
from tests.wire.harness import Upstream, exchange, frame, read_exactly, running_wire, through
from tests.wire.walks import HEADERS, OPENINGS

MS = 1_000_000


def kernel(ns: int) -> list[tuple[int, int, bytes]]:
    """What the kernel says with bytes that came at this Unix time."""
    return [(socket.SOL_SOCKET, 35, struct.pack("@2l", *divmod(ns, 1_000_000_000)))]


def test_a_stamp_of_the_kernel_becomes_one_of_the_monotonic_clock() -> None:
    now = monotonic_ns()
    stamp, flags = came(kernel(time_ns() - 5 * MS), now - 60_000 * MS, now)
    assert flags == KERNEL_TIME
    assert now - 6 * MS < stamp <= now


@pytest.mark.parametrize("ago", [-3_600_000, 3_600_000])
def test_after_a_step_of_the_wall_clock_the_reading_stands_for_the_coming(ago: int) -> None:
    now = monotonic_ns()
    assert came(kernel(time_ns() - ago * MS), now - MS, now) == (now, 0)


def test_without_a_stamp_of_the_kernel_the_reading_stands_for_the_coming() -> None:
    assert came([], 1, 7) == (7, 0)


def test_a_unix_socket_has_no_stamps() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert not ask_for_stamps(one)


def test_the_kernel_says_when_bytes_came_however_late_they_are_read() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    with far, near:
        assert ask_for_stamps(near)
        buffer = bytearray(10)
        for _ in range(1000):  # the kernel begins to stamp a moment after it was asked
            before = time_ns()
            far.sendall(b"x")
            _, said, flags, _ = near.recvmsg_into([buffer], STAMP_BYTES)
            assert not flags & socket.MSG_CTRUNC
            if said:
                break
        seconds, nanoseconds = struct.unpack("@2l", said[0][2])
        assert before <= seconds * 1_000_000_000 + nanoseconds <= time_ns()


def test_neither_a_wire_that_is_stopped_nor_its_loop_makes_production_look_slow(
    tmp_path: Path,
) -> None:
    with (
        Upstream() as upstream,
        running_wire(tmp_path, upstream.address) as wire,
        wire.observer() as observer,
        through(wire, upstream) as (client, server),
    ):
        exchange(client, server, OPENINGS[0][1])
        exchange(server, client, OPENINGS[1][1])
        for number in range(1000):  # the kernel begins to stamp a moment after it was asked
            asked_ns = monotonic_ns()
            exchange(client, server, frame(HEADERS, 4, 2 * number + 1, b"a request"))
            had_ns = monotonic_ns()
            os.kill(wire.process.pid, signal.SIGSTOP)
            server.sendall(frame(HEADERS, 5, 2 * number + 1, b"an answer"))
            answered_ns = monotonic_ns()
            os.kill(wire.process.pid, signal.SIGCONT)
            read_exactly(client, 9 + len(b"an answer"))
            request = observer.until(lambda said: b"a request" in said.payload)[-1]
            answer = observer.until(lambda said: b"an answer" in said.payload)[-1]
            assert asked_ns <= request.time_ns <= had_ns
            assert answer.time_ns >= had_ns
            if answer.flags & KERNEL_TIME:
                break
        assert answer.time_ns <= answered_ns
