"""A pod's end: what its clients' calls meet, and that a starved wire does not make it worse.

A model server that is told to end answers nothing that begins after that, and its clients know it
only when its GOAWAY has reached them. What they begin meanwhile is lost (CANCELLED, from gRPC's C
core). A wire that waits for a core holds both up, so more is lost, unless clients have been asked
to go before the model was told.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from tests.wire.harness import PATIENCE, RunningWire, running_wire
from tests.wire.test_grpc import Service, Unary

CALLS = 40


@dataclass
class Front:
    """A Service of Kubernetes, as far as it matters: new connections go where it points now."""

    target: str = ""
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            host, _, port = self.target.rpartition(":")
            pod = socket.create_connection((host, int(port)))
            for one, other in ((client, pod), (pod, client)):
                threading.Thread(target=_copy, args=(one, other), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # its end is the other's end
    finally:
        source.close()


@contextmanager
def front() -> Iterator[Front]:
    it = Front()
    threading.Thread(target=it.serve, daemon=True).start()
    try:
        yield it
    finally:
        it.close()


@contextmanager
def pod(folder: Path) -> Iterator[tuple[RunningWire, grpc.Server]]:
    """A model server and its wire."""
    folder.mkdir(mode=0o700)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        flags = f"--leave {folder / 'pid'}"
        with running_wire(folder, f"127.0.0.1:{port}", flags=flags) as wire:
            yield wire, server
    finally:
        server.stop(0).wait(PATIENCE)


def codes_at_the_end(tmp_path: Path, *, asked: bool) -> list[str]:
    """What calls end with that begin while the wire has no core and the model is told to end."""
    with ExitStack() as stack:
        service = stack.enter_context(front())
        old, model = stack.enter_context(pod(tmp_path / "old"))
        new, _ = stack.enter_context(pod(tmp_path / "new"))
        service.target = old.target
        channel = stack.enter_context(grpc.insecure_channel(service.address))
        echo: Unary = channel.unary_unary("/test.Service/Echo")
        assert echo(b"before", timeout=PATIENCE) == b"before"
        service.target = new.target  # the pod has left its service
        if asked:
            old.process.send_signal(signal.SIGUSR1)
            while old.stats()["connections_open"]:
                echo(b"meanwhile", timeout=PATIENCE)  # a client goes when its calls are answered
        old.process.send_signal(signal.SIGSTOP)
        calls = [echo.future(b"%d" % n, timeout=PATIENCE) for n in range(CALLS)]
        model.stop(PATIENCE)
        old.process.send_signal(signal.SIGCONT)
        return [call.code().name for call in calls]


def test_a_starved_wire_makes_a_models_end_cost_calls_and_asking_clients_to_go_first_does_not(
    tmp_path: Path,
) -> None:
    for name in ("unasked", "asked"):
        (tmp_path / name).mkdir()
    unasked = codes_at_the_end(tmp_path / "unasked", asked=False)
    asked = codes_at_the_end(tmp_path / "asked", asked=True)
    assert "CANCELLED" in unasked, "what is provoked here"
    assert asked == ["OK"] * CALLS


@pytest.mark.parametrize("observed", [False, True], ids=["unobserved", "observed"])
def test_clients_that_are_asked_to_go_lose_no_call(tmp_path: Path, observed: bool) -> None:
    with ExitStack() as stack:
        service = stack.enter_context(front())
        old, _ = stack.enter_context(pod(tmp_path / "old"))
        new, _ = stack.enter_context(pod(tmp_path / "new"))
        if observed:
            stack.enter_context(old.observer())
        service.target = old.target
        channel = stack.enter_context(grpc.insecure_channel(service.address))
        echo: Unary = channel.unary_unary("/test.Service/Echo")
        echo(b"before", timeout=PATIENCE)
        calls = [echo.future(b"x" * 10_000, timeout=PATIENCE) for _ in range(CALLS)]
        # Some still come here until everybody knows: they are asked, too.
        old.process.send_signal(signal.SIGUSR1)
        while old.stats()["goaways_total"] < 2:
            calls.append(echo.future(b"y", timeout=PATIENCE))
            calls[-1].result()
        service.target = new.target
        while old.stats()["connections_open"]:
            echo(b"meanwhile", timeout=PATIENCE)
        assert {call.code().name for call in calls} == {"OK"}
        assert "Traceback" not in old.log.read_text()


def test_what_is_not_http2_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = f"127.0.0.1:{listener.getsockname()[1]}"
        with running_wire(tmp_path, upstream, flags=f"--leave {tmp_path / 'pid'}") as wire:
            assert int((tmp_path / "pid").read_text()) == wire.process.pid
            with wire.connect() as client, listener.accept()[0] as server:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                server.recv(100)
                os.kill(wire.process.pid, signal.SIGUSR1)
                wire.until(lambda stats: stats["connections_opaque"] == 1)
                server.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                assert client.recv(100) == b"HTTP/1.1 200 OK\r\n\r\n"


def test_without_being_allowed_to_ask_the_signal_is_ignored(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = f"127.0.0.1:{listener.getsockname()[1]}"
        with running_wire(tmp_path, upstream) as wire:
            os.kill(wire.process.pid, signal.SIGUSR1)
            with wire.connect() as client, listener.accept()[0] as server:
                client.sendall(b"x")
                assert server.recv(1) == b"x"
