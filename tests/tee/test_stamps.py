"""When the kernel received something, whatever the wall clock does meanwhile."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from sidecar.tee.stamps import LONGEST_NS, SO_TIMESTAMPNS, SPACE, KernelClock, stamp_reads

SECOND = 1_000_000_000


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.offset = 10**18

    def __call__(self) -> int:
        return time.monotonic_ns() + self.offset


def stamped(wall_ns: int) -> list[tuple[int, int, bytes]]:
    spec = struct.pack("@qq", *divmod(wall_ns, SECOND))
    return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, spec)]


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with closing(socket.create_connection(listener.getsockname())) as here:
            there, _ = listener.accept()
            with closing(there):
                yield here, there


def test_a_stamp_is_of_when_it_came_and_not_of_when_it_was_read() -> None:
    clock = KernelClock()
    with connected() as (here, there):
        stamp_reads(here)
        before = time.monotonic_ns()
        there.send(b"x")
        after = time.monotonic_ns()
        while time.monotonic_ns() < after + 50_000_000:  # the reader is late
            pass
        data, ancillary, _, _ = here.recvmsg(16, SPACE)
    assert data == b"x"
    came = clock.received_ns(ancillary)
    assert before - 1_000_000 <= came <= after + 20_000_000


def test_without_a_stamp_it_came_when_it_was_read() -> None:
    before = time.monotonic_ns()
    assert before <= KernelClock().received_ns([]) <= time.monotonic_ns()


@pytest.mark.parametrize("step_ns", [-3600 * SECOND, -SECOND, 3 * SECOND, 3600 * SECOND])
def test_a_step_of_the_wall_clock_between_coming_and_reading_is_noticed(step_ns: int) -> None:
    wall = Wall()
    clock = KernelClock(wall)
    stamp = stamped(wall())
    wall.offset += step_ns
    before = time.monotonic_ns()
    assert before <= clock.received_ns(stamp) <= time.monotonic_ns()
    # The next stamp is from after the step, and is good again.
    then = time.monotonic_ns()
    assert clock.received_ns(stamped(wall())) == pytest.approx(then, abs=SECOND // 2)


def test_a_stamp_from_the_future_or_long_ago_is_none() -> None:
    wall = Wall()
    clock = KernelClock(wall)
    for stamp in (wall() + SECOND, wall() - LONGEST_NS - SECOND, 0):
        before = time.monotonic_ns()
        assert before <= clock.received_ns(stamped(stamp)) <= time.monotonic_ns()
