"""How observing a connection can end, and that looking never raises."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.wire.frames import Walker
from sidecar.wire.later import Later
from sidecar.wire.poll import Poller, run
from sidecar.wire.records import HEADER, Kind
from sidecar.wire.session import Session
from sidecar.wire.state import State
from sidecar.wire.stats import Counters, Tally
from sidecar.wire.watch import Watch
from tests.wire.walks import OPENINGS


def never(_: object) -> None:
    raise AssertionError("nothing here is too much for one turn")


@contextmanager
def session(poller: Poller) -> Iterator[tuple[Session, socket.socket]]:
    """A session of the running loop, and the observer's socket."""
    near, far = socket.socketpair()
    it = Session(poller, near, 1 << 20, lambda: 0.5, lambda _: None, lambda _: None)
    try:
        yield it, far
    finally:
        it.end()
        far.close()


def kinds(data: bytes) -> list[Kind]:
    found = []
    while data:
        size, kind, *_ = HEADER.unpack_from(data)
        found.append(Kind(kind))
        data = data[HEADER.size + size :]
    return found


def broken(*_: object, **__: object) -> None:
    raise IndexError("a bug in the walk")


@pytest.mark.interpreted
@pytest.mark.parametrize("observed", [True, False])
def test_a_bug_in_the_walk_makes_the_connection_uncounted_and_is_not_raised(
    monkeypatch: pytest.MonkeyPatch, observed: bool
) -> None:
    monkeypatch.setattr(Walker, "feed", broken)

    async def scenario(poller: Poller) -> tuple[Counters, bytes]:
        counters = Counters()
        with session(poller) as (it, far):
            watch = Watch(
                1, it if observed else None, {}, Tally(), counters, Later(never), resync=False
            )
            watch.saw(0, memoryview(b"anything"), 1)
            assert watch.session is None
            watch.close(0, "eof")
            assert not it.watches
            it.flush()
            return counters, far.recv(1000) if observed else b""

    counters, told = run(scenario)
    assert (counters.now[State.UNCOUNTED], counters.ever[State.UNCOUNTED]) == (0, 1)
    assert counters.errors == 1
    assert kinds(told) == ([Kind.OPEN, Kind.COUNTED, Kind.BLIND] if observed else [])


def test_every_end_leaves_the_gauges_at_zero() -> None:
    async def scenario(poller: Poller) -> Counters:
        counters = Counters()
        with session(poller) as (it, _):
            watches = [
                Watch(n, it, {}, Tally(), counters, Later(never), resync=False) for n in range(3)
            ]
            watches.append(Watch(3, None, {}, Tally(), counters, Later(never), resync=False))
            watches[1].saw(0, memoryview(b"GET / HTTP/1.1"), 1)
            watches[2].saw(0, memoryview(OPENINGS[0][1]), 1)
            assert counters.now == {
                State.OBSERVED: 2,
                State.BLIND: 1,
                State.OPAQUE: 1,
                State.UNCOUNTED: 0,
            }
            watches[0].close(0, "eof")
            it.end()
            assert counters.now == {
                State.OBSERVED: 0,
                State.BLIND: 2,
                State.OPAQUE: 1,
                State.UNCOUNTED: 0,
            }
            for watch in watches[1:]:
                watch.close(1, "reset")
        return counters

    counters = run(scenario)
    assert set(counters.now.values()) == {0}
    assert counters.ever == {
        State.OBSERVED: 3,
        State.BLIND: 2,
        State.OPAQUE: 1,
        State.UNCOUNTED: 0,
    }
