"""The kernel's word on which sockets are ready, through a real loop."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic

from sidecar.wire.poll import READ, WRITE, Poller, run
from tests.wire.harness import reset


def test_a_reset_behind_the_last_bytes_is_told_after_them() -> None:
    async def scenario(poller: Poller) -> list[object]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        far.sendall(b"last words")
        reset(far)
        heard: list[object] = []
        done = asyncio.Event()

        def ready(_: int) -> None:
            try:
                heard.append(near.recv(100))
            except ConnectionResetError as error:
                heard.append(type(error))
            if len(heard) == 2:
                poller.want(near.fileno(), READ, 0, ready)
                done.set()

        poller.want(near.fileno(), 0, READ, ready)
        await asyncio.wait_for(done.wait(), 60)
        near.close()
        return heard

    assert run(scenario) == [b"last words", ConnectionResetError]


def test_a_socket_closed_by_another_ones_owner_is_heard_of_no_more() -> None:
    async def scenario(poller: Poller) -> list[int]:
        pairs = [socket.socketpair() for _ in range(2)]
        heard: list[int] = []
        done = asyncio.Event()

        def forget_both(number: int) -> None:
            heard.append(number)
            for near, _ in pairs:
                poller.want(near.fileno(), READ, 0, owner)
            done.set()

        def owner(_: int) -> None:
            forget_both(len(heard))

        for near, far in pairs:
            far.send(b"x")
            poller.want(near.fileno(), 0, READ, owner)
        await asyncio.wait_for(done.wait(), 60)
        for pair in pairs:
            for sock in pair:
                sock.close()
        return heard

    assert run(scenario) == [0]


def test_what_is_wanted_can_change() -> None:
    async def scenario(poller: Poller) -> int:
        near, far = socket.socketpair()
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def owner(events: int) -> None:
            poller.want(near.fileno(), WRITE, 0, owner)
            told.set_result(events)

        far.send(b"x")
        poller.want(near.fileno(), 0, READ, owner)
        poller.want(near.fileno(), READ, WRITE, owner)
        events = await asyncio.wait_for(told, 60)
        near.close()
        far.close()
        return events

    assert run(scenario) == WRITE


def test_an_owner_that_fails_does_not_keep_others_from_being_served() -> None:
    async def scenario(poller: Poller) -> tuple[list[str], bytes]:
        loop = asyncio.get_running_loop()
        said: list[str] = []
        loop.set_exception_handler(lambda _, context: said.append(str(context["exception"])))
        pairs = [socket.socketpair() for _ in range(2)]
        served: asyncio.Future[bytes] = loop.create_future()

        def fails(_: int) -> None:
            poller.want(pairs[0][0].fileno(), READ, 0, fails)
            raise ValueError("a defect")

        def reads(_: int) -> None:
            poller.want(pairs[1][0].fileno(), READ, 0, reads)
            served.set_result(pairs[1][0].recv(10))

        for (near, far), owner in zip(pairs, (fails, reads), strict=True):
            poller.want(near.fileno(), 0, READ, owner)
            far.send(b"x")
        data = await asyncio.wait_for(served, 60)
        for pair in pairs:
            for sock in pair:
                sock.close()
        return said, data

    assert run(scenario) == (["a defect"], b"x")


def test_asyncio_has_its_turn_beside_a_connection_that_is_never_silent() -> None:
    async def scenario(poller: Poller) -> list[str]:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        far.send(b"x")  # never read: ready each time it is asked for
        heard: list[str] = []
        done = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0))

        def owner(_: int) -> None:
            if not heard:
                heard.append("owner")
                loop.call_soon(heard.append, "soon")

        def accepted() -> None:
            loop.remove_reader(listener.fileno())
            heard.append("reader")
            loop.call_later(0.001, late)

        def late() -> None:
            heard.append("timer")
            done.set()

        poller.want(near.fileno(), 0, READ, owner)
        loop.add_reader(listener.fileno(), accepted)
        client = socket.create_connection(listener.getsockname())
        await asyncio.wait_for(done.wait(), 60)
        poller.want(near.fileno(), READ, 0, owner)
        for sock in (near, far, client, listener):
            sock.close()
        return sorted(heard)

    assert run(scenario) == ["owner", "reader", "soon", "timer"]


def test_an_owner_is_called_at_its_time_once_and_not_after_it_was_called_off() -> None:
    async def scenario(poller: Poller) -> list[str]:
        heard: list[str] = []
        done = asyncio.Event()

        def fails() -> None:
            heard.append("fails")
            raise ValueError("a defect")

        def last() -> None:
            heard.append("last")
            done.set()

        asyncio.get_running_loop().set_exception_handler(lambda *_: heard.append("told"))
        began = monotonic()
        poller.call_at(began + 0.03, 3, last)
        poller.call_at(began + 0.01, 1, lambda: heard.append("not this one"))
        poller.call_at(began + 0.01, 2, lambda: heard.append("nor this"))
        poller.call_at(began + 0.02, 1, lambda: heard.append("later"))
        poller.call_at(0.0, 4, fails)
        poller.call_off(2)
        poller.call_off(5)
        await asyncio.wait_for(done.wait(), 60)
        assert monotonic() >= began + 0.03
        return heard

    assert run(scenario) == ["fails", "told", "later", "last"]


def test_an_owner_is_called_at_its_time_beside_a_socket_that_is_never_silent() -> None:
    async def scenario(poller: Poller) -> list[int]:
        near, far = socket.socketpair()
        far.send(b"x")  # never read: ready each time it is asked for
        done = asyncio.Event()
        served = 0

        def owner(_: int) -> None:
            nonlocal served
            served += 1
            if served == 10:
                poller.call_at(0.0, near.fileno(), called)

        def called() -> None:
            heard.append(served)
            done.set()

        heard: list[int] = []
        poller.want(near.fileno(), 0, READ, owner)
        await asyncio.wait_for(done.wait(), 60)
        poller.want(near.fileno(), READ, 0, owner)
        near.close()
        far.close()
        return heard

    assert run(scenario) == [10]
