"""The wire's probe, against real sockets."""

from __future__ import annotations

import socket
import subprocess
import sys

from sidecar.kube.listening import main, waiting

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:2386 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0
   1: 0100007F:2386 0100007F:9C40 01 00000000:00000007 00:00000000 00000000     0
"""


def test_the_queue_of_the_listening_socket_is_read_and_that_of_a_connection_is_not() -> None:
    assert waiting(TABLE.splitlines(), 0x2386) == 3
    assert waiting(TABLE.splitlines(), 9) is None


def test_a_listening_port_passes_without_a_connection_being_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert main([str(server.getsockname()[1])]) == 0
        server.settimeout(0)
        try:
            server.accept()
        except BlockingIOError:
            return
    raise AssertionError("the probe connected")


def test_a_port_nobody_listens_on_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert main([str(port)]) == 1


def test_connections_that_nobody_accepts_fail_it() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
    ):
        command = [sys.executable, "-m", "sidecar.kube.listening", str(server.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 connections wait" in done.stderr


def test_anything_but_a_port_is_refused() -> None:
    assert main(["grpc"]) == 2
