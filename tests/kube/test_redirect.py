"""Interception by redirect: a pod's network made of a namespace, with the real packet filter."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from sidecar.kube.containers import redirect_container, wire_container
from sidecar.kube.options import Options
from sidecar.kube.redirect import jumps, rules

MODEL_PORT, WIRE_PORT, PROBE_PORT, UID = 9000, 9094, 9093, 10095
POD, NODE = "10.255.77.2", "10.255.77.1"
NEEDS = ("ip", "iptables", "setpriv")

# Tells each client who it seems to be: "127.0.0.1" is the wire, anything else is not.
MODEL = f"""
import asyncio
async def serve(reader, writer):
    writer.write((writer.get_extra_info("peername")[0] + "\\n").encode())
    await writer.drain()
    await reader.read()
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", {MODEL_PORT}) as server:
        print("up", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""

# What Istio's proxy does with a connection from outside, once it has ended the mutual TLS.
MESH = f"""
import asyncio
async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def serve(reader, writer):
    up, down = await asyncio.open_connection("{POD}", {MODEL_PORT}, local_addr=("127.0.0.6", 0))
    writer.write(b"mesh\\n")
    await asyncio.gather(copy(reader, down), copy(up, writer))
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 15006) as server:
        print("up", flush=True)
        await server.serve_forever()
asyncio.run(main())
"""
ISTIO = """\
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
"""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network of its own, joined to ours by a pair of devices."""

    name: str
    stack: ExitStack

    def run(self, *command: str, text: str = "") -> str:
        """Run a command in it as root; returns its output."""
        inside = ["ip", "netns", "exec", self.name, *command]
        done = subprocess.run(inside, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def as_user(self, uid: int, *command: str) -> list[str]:
        """The command under another user, who may still read where Python is installed."""
        reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *reading]
        return ["ip", "netns", "exec", self.name, *user, *command]

    def start(self, uid: int, *command: str) -> subprocess.Popen[str]:
        """Start a process that lives as long as the namespace."""
        process = self.stack.enter_context(
            subprocess.Popen(self.as_user(uid, *command), stdout=subprocess.PIPE, text=True)
        )
        self.stack.callback(process.kill)
        return process

    def redirect(self, inbound: bool) -> None:
        """Run the init container's own command."""
        made = redirect_container(Options(run_as_user=UID), WIRE_PORT, MODEL_PORT, inbound)
        self.run(sys.executable, *made["command"][1:], *made["args"])

    def peer_from_inside(self, uid: int, port: int, host: str = "127.0.0.1") -> str:
        """Who the model says a process of the pod is."""
        connect = f"socket.create_connection(('{host}', {port}))"
        script = f"import socket; print({connect}.makefile().readline())"
        command = self.as_user(uid, sys.executable, "-c", script)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def pod() -> Iterator[Namespace]:
    """A pod's network with a model and the wire in it, and no rules yet."""
    assert os.geteuid() == 0, "network namespaces are made by root"
    assert all(map(shutil.which, NEEDS)), f"needs {NEEDS}"
    name = f"pod-{uuid.uuid4().hex[:8]}"
    device = f"v{name[-8:]}"
    with ExitStack() as stack:
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        namespace = Namespace(name, stack)
        for command in (
            f"ip link add {device} type veth peer name eth0 netns {name}",
            f"ip addr add {NODE}/30 dev {device}",
            f"ip link set {device} up",
        ):
            subprocess.run(command.split(), check=True)
        for command in (
            "ip link set lo up",
            f"ip addr add {POD}/30 dev eth0",
            "ip link set eth0 up",
        ):
            namespace.run(*command.split())
        model = namespace.start(1000, sys.executable, "-c", MODEL)
        assert model.stdout is not None
        assert model.stdout.readline() == "up\n"
        wire = wire_container(Options(), WIRE_PORT, MODEL_PORT, declare=False)
        route = [a for a in wire["args"] if a.startswith("--route")]
        namespace.start(UID, sys.executable, *wire["command"][1:], *route)
        probe = [sys.executable, *wire["startupProbe"]["exec"]["command"][1:]]
        deadline = 100
        while subprocess.run(["ip", "netns", "exec", name, *probe], stderr=-3).returncode:
            deadline -= 1
            assert deadline, "the wire does not listen"
        yield namespace


def peer(port: int) -> str:
    """Who the model says a client outside the pod is."""
    with socket.create_connection((POD, port), timeout=30) as client:
        return client.makefile().readline().strip()


def test_the_probe_port_is_looked_at_before_the_wires_user() -> None:
    text = rules(WIRE_PORT, MODEL_PORT, PROBE_PORT, UID)
    out = [line for line in text.splitlines() if line.startswith("-A SHADOW_SIDECAR_OUT")]
    assert "--uid-owner 10095 -j RETURN" in out[0]
    assert [j[0] for j in jumps(loopback_only=True)] == ["OUTPUT"]


@pytest.mark.interop
def test_a_client_that_knows_only_the_models_port_meets_the_wire(pod: Namespace) -> None:
    assert peer(MODEL_PORT) == NODE, "no rules yet: the model sees the client itself"
    pod.redirect(inbound=True)
    assert peer(MODEL_PORT) == "127.0.0.1", "the model sees the wire"
    assert peer(PROBE_PORT) == NODE, "a probe goes around the wire"


@pytest.mark.interop
def test_inside_the_pod_everybody_but_the_sidecar_meets_the_wire(pod: Namespace) -> None:
    pod.redirect(inbound=True)
    assert pod.peer_from_inside(1000, MODEL_PORT, POD) == "127.0.0.1"
    assert pod.peer_from_inside(UID, MODEL_PORT, POD) == POD, "the sidecar's user goes straight"
    assert pod.peer_from_inside(1000, PROBE_PORT, POD) == POD


@pytest.mark.interop
def test_twice_is_once(pod: Namespace) -> None:
    pod.redirect(inbound=True)
    once = pod.run("iptables", "-t", "nat", "-S")
    pod.redirect(inbound=True)
    assert pod.run("iptables", "-t", "nat", "-S") == once
    assert peer(MODEL_PORT) == "127.0.0.1"


@pytest.mark.interop
@pytest.mark.parametrize("ours_first", [True, False])
def test_beside_istio_the_mesh_comes_first_whatever_the_order_of_the_rules(
    pod: Namespace, ours_first: bool
) -> None:
    mesh = pod.start(1337, sys.executable, "-c", MESH)
    assert mesh.stdout is not None
    assert mesh.stdout.readline() == "up\n"
    if ours_first:
        pod.redirect(inbound=False)
    pod.run("iptables-restore", "--noflush", text=ISTIO)
    if not ours_first:
        pod.redirect(inbound=False)
    with socket.create_connection((POD, MODEL_PORT), timeout=30) as client:
        lines = client.makefile()
        assert lines.readline() == "mesh\n"
        assert lines.readline() == "127.0.0.1\n", "the mesh has met the wire, not the model"
