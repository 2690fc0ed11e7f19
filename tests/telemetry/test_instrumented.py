"""Production that sends spans itself is found by its connections, over real sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.telemetry.instrumented import Neighbours
from tests.telemetry.collectors import listening

SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
spans = socket.create_connection(("127.0.0.1", int(sys.argv[1]))) if sys.argv[1] != "0" else None
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def production(collector: int) -> Iterator[str]:
    """A server in another process, with a connection to a collector or (0) without."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(collector)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.communicate()


def neighbours(collector: int, **environ: str) -> Neighbours:
    return Neighbours({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}", **environ})


def test_a_production_with_a_connection_to_the_collector_sends_spans() -> None:
    with listening() as collector, production(collector) as upstream:
        assert neighbours(collector).send_spans([upstream])
        assert not neighbours(collector).send_spans(["127.0.0.1:1"])  # another's server
        assert not neighbours(collector).send_spans([])


def test_a_production_without_one_does_not() -> None:
    with listening() as collector, production(0) as upstream, production(collector):
        assert not neighbours(collector).send_spans([upstream])


def test_in_a_pod_whoever_has_one_counts_and_our_own_do_not(tmp_path: Path) -> None:
    """Another container's process cannot be seen, its sockets can."""
    with listening() as collector:
        (tmp_path / "net").mkdir()
        (tmp_path / "self" / "fd").mkdir(parents=True)
        row = "{}: 0100007F:{:04X} 0100007F:{:04X} 01 0:0 0:0 0 0 0 {}\n"
        head = "  sl  local_address rem_address st\n"
        table = tmp_path / "net" / "tcp"
        (tmp_path / "self" / "fd" / "3").symlink_to("socket:[11]")
        in_pod = Neighbours(
            {"POD_NAME": "p", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://c:{collector}"}, tmp_path
        )
        table.write_text(head + row.format(0, 50000, collector, 11))
        assert not in_pod.send_spans(["127.0.0.1:9000"])  # ours
        table.write_text(head + row.format(0, 50000, collector, 12))
        assert in_pod.send_spans(["127.0.0.1:9000"])
        table.write_text(head + row.format(0, 50000, 5432, 12))
        assert not in_pod.send_spans(["127.0.0.1:9000"])  # to something else
        table.write_text("junk\n:\n 1 2 3")
        assert not in_pod.send_spans(["127.0.0.1:9000", "nonsense", "unix:/x"])


def test_where_nothing_can_be_read_nothing_is_found(tmp_path: Path) -> None:
    assert not Neighbours({}, tmp_path).send_spans(["127.0.0.1:9000"])
