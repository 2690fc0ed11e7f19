"""A client's new connections on a node without a core to spare, by what the wire asks for.

    python -m benchmarks.bench_full_node [--connections 300]

Kubernetes makes a CPU request a weight: of a pod among pods, and of a container in its pod. The
same groups are made here (cgroup v1 or v2, as root): a pod with the model, the wire, and an
observer that takes what it gets, beside pods that take what they get, on all cores of this machine.
A client connects and waits for the server's first frame, which is what gRPC counts as connected;
`late` took over 100 ms, where clients that give a connection no longer fail their calls.

The limit plays no part: one thread never comes near two cores (nr_throttled is printed).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import Process, accepts, free_port, python

ROOT = Path("/sys/fs/cgroup")
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
LATE_SECONDS = 0.1
MODEL_MILLIS = 200
NEIGHBOURS = 4  # pods, each with one process that never rests
NODE_SHARES = 2048


@dataclass(frozen=True)
class Group:
    """A control group for CPU."""

    path: Path

    @classmethod
    @contextmanager
    def made(cls, path: Path, millis: int) -> Iterator[Group]:
        """As the kubelet makes it of a request, in thousandths of a core."""
        path.mkdir()
        try:
            shares = max(2, millis * 1024 // 1000)
            if (path / "cpu.shares").exists():
                (path / "cpu.shares").write_text(str(shares))
            else:
                (path / "cgroup.subtree_control").write_text("+cpu")
                (path / "cpu.weight").write_text(str(1 + (shares - 2) * 9999 // 262142))
            yield cls(path)
        finally:
            for _ in range(100):
                try:
                    path.rmdir()
                    break
                except OSError:  # its processes are ending
                    time.sleep(0.05)

    def take(self, pid: int) -> None:
        """Move a process here."""
        (self.path / "cgroup.procs").write_text(str(pid))

    @property
    def throttled(self) -> str:
        """How often a limit held it back."""
        lines = (self.path / "cpu.stat").read_text().splitlines()
        return next((line for line in lines if line.startswith("nr_throttled")), "no limit")


def burn() -> None:
    """Take what there is."""
    while True:
        pass


@contextmanager
def burning(group: Group) -> Iterator[None]:
    """One process of that."""
    process = multiprocessing.Process(target=burn, daemon=True)
    process.start()
    assert process.pid is not None
    group.take(process.pid)
    try:
        yield
    finally:
        process.kill()
        process.join()


@contextmanager
def wired(upstream: str) -> Iterator[tuple[str, Process]]:
    """The wire before it."""
    address = f"127.0.0.1:{free_port()}"
    with python("sidecar.wire", f"--route={address}={upstream}") as process:
        process.wait_until(accepts(address))
        yield address, process


def connect(address: str) -> float:
    """Seconds from nothing to the server's first frame."""
    host, _, port = address.rpartition(":")
    began = time.perf_counter()
    with socket.create_connection((host, int(port)), timeout=30) as it:
        it.sendall(HELLO)
        assert it.recv(1)
    return time.perf_counter() - began


def measure(count: int, wire: int, observer: int) -> tuple[list[float], str]:
    """Seconds of connections; `wire` 0: past it."""
    with ExitStack() as stack:
        enter = stack.enter_context
        base = ROOT / "cpu" if (ROOT / "cpu").exists() else ROOT
        node = enter(Group.made(base / f"full-node-{os.getpid()}", NODE_SHARES))
        model = wire + observer + MODEL_MILLIS
        pod = enter(Group.made(node.path / "pod", model))
        groups = {
            name: enter(Group.made(pod.path / name, millis))
            for name, millis in (("model", MODEL_MILLIS), ("wire", wire), ("observer", observer))
        }
        server = enter(python("tests.servers", "--kind", "bytes"))
        target = address = server.wait_ready()["address"]
        groups["model"].take(server.pid)
        if wire:
            target, it = enter(wired(address))
            groups["wire"].take(it.pid)
            enter(burning(groups["observer"]))
        for number in range(NEIGHBOURS):
            neighbour = enter(Group.made(node.path / f"neighbour-{number}", MODEL_MILLIS))
            enter(burning(neighbour))
        found = []
        for _ in range(count):
            time.sleep(random.expovariate(50))
            found.append(connect(target))
        return sorted(found), groups["wire"].throttled if wire else ""


def main() -> None:
    """Measure each way, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=300)
    given = parser.parse_args()
    print("| the wire asks for | the observer | p50 ms | p90 | p99 | most | late |")
    print("|---|---|---:|---:|---:|---:|---:|")
    ways = [(0, 0), (50, 100), (100, 50), (200, 50)]
    for wire, observer in random.sample(ways, len(ways)):
        found, throttled = measure(given.connections, wire, observer)
        p50, p90, p99 = (found[int(q * (len(found) - 1))] * 1e3 for q in (0.5, 0.9, 0.99))
        late = sum(x > LATE_SECONDS for x in found)
        name = f"{wire}m ({throttled})" if wire else "no wire"
        row = f"{p50:.1f} | {p90:.1f} | {p99:.1f} | {found[-1] * 1e3:.0f} | {late}"
        print(f"| {name} | {observer}m | {row} |", flush=True)


if __name__ == "__main__":
    main()
