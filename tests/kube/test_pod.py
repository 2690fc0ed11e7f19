"""The example's pod, injected, its containers run on this machine as its manifest says.

Load all the time; an observer killed for its memory, again and again; the end of the pod in
Kubernetes' order. Not one call may fail.
"""

from __future__ import annotations

import copy
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml

from sidecar.demo.client import METHOD, request_of
from sidecar.demo.process import Process
from sidecar.kube.inject import inject
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.kube.container import NODE, POD, PodOnThisMachine
from tests.kube.manifests_in import K8S, ROOT, need
from tests.kube.pods import container
from tests.processes import http_json, is_ready

CLIENTS = 4
CALLS_A_CONNECTION = 50
TOO_SMALL = {"shadow-sidecar/observer-memory": "24Mi/48Mi"}  # it needs more only to start


class Load:
    """Clients that call without pause, and remember every failure."""

    def __init__(self, address: str) -> None:
        self.failures: list[str] = []
        self.done = 0
        self._ending = threading.Event()
        self._address = address
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(CLIENTS)]

    def _call(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        while not self._ending.is_set():
            # A new observer sees new connections only: those that are open are blind to it.
            self._call_on_one_connection(draw)

    def _call_on_one_connection(self, draw: np.random.Generator) -> None:
        with grpc.insecure_channel(
            self._address, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            infer: grpc.UnaryUnaryMultiCallable[oip.ModelInferRequest, oip.ModelInferResponse] = (
                channel.unary_unary(
                    METHOD,
                    request_serializer=oip.ModelInferRequest.SerializeToString,
                    response_deserializer=oip.ModelInferResponse.FromString,
                )
            )
            for _ in range(CALLS_A_CONNECTION):
                if self._ending.is_set():
                    return
                image = draw.uniform(0, 16, 64).astype(np.float32)
                try:
                    infer(request_of(image, self.done), timeout=30)
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                self.done += 1

    def end(self) -> None:
        """Let each client finish the call it is in."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Keep the clients calling."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self.end()


def example() -> tuple[dict[str, Any], dict[str, dict[str, str]], list[str]]:
    """The example's pod template, its ConfigMaps, and the candidate's arguments."""
    documents = [
        d
        for name in ("models", "shadow")
        for d in yaml.safe_load_all((K8S / "example" / f"{name}.yaml").read_text())
    ]
    named = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    candidate = named["Deployment", "digits-candidate"]["spec"]["template"]["spec"]["containers"]
    configs = {n: d["data"] for (kind, n), d in named.items() if kind == "ConfigMap"}
    pod = named["Deployment", "digits"]["spec"]["template"]
    return copy.deepcopy(pod), configs, list(candidate[0]["args"])


def demo_entrypoint() -> list[str]:
    """What the demo image runs, from the Dockerfile."""
    stage = (ROOT / "Dockerfile").read_text().partition("AS demo\n")[2]
    line = next(x for x in stage.splitlines() if x.startswith("ENTRYPOINT "))
    entrypoint: list[str] = json.loads(line.removeprefix("ENTRYPOINT "))
    return entrypoint


def compared() -> int:
    """How many calls the observer that runs now has compared; 0 when it does not answer."""
    try:
        calls = http_json(f"{POD}:9095", "/status")["calls"]
    except OSError:
        return 0
    return int(calls["compared"])


def answers() -> bool:
    """Whether the observer is there and attached."""
    try:
        return is_ready(f"{POD}:9095")()
    except OSError:
        return False


def killed(observer: Process, times: int) -> bool:
    """Whether the observer has been killed for its memory so often, by the guard or the kernel."""
    lines = observer.tail(2000).splitlines()
    return sum("was killed" in x or "ended by signal 9" in x for x in lines) >= times


@pytest.mark.interop
@pytest.mark.timeout(300)
def test_no_call_fails_through_load_an_observer_killed_for_memory_and_a_drain(
    tmp_path: Path,
) -> None:
    need("ip", "setpriv")
    template, configs, candidate_args = example()
    pod = inject(template)
    small = copy.deepcopy(template)
    small["metadata"]["annotations"] |= TOO_SMALL
    hosts = {"digits-candidate": NODE, "otel-collector.observability": NODE}
    with PodOnThisMachine(pod, configs, hosts, tmp_path) as machine:
        wire = machine.start(container(pod, "shadow-wire"))
        observer = machine.start(container(pod, "shadow-observer"))
        model = machine.start(container(pod, "server"), demo_entrypoint())
        listen = candidate_args.index("--listen") + 1
        candidate_args[listen] = candidate_args[listen].replace("0.0.0.0", NODE)
        entrypoint = [sys.executable, *demo_entrypoint()[1:]]
        model.wait_ready(60)
        with (
            Process([*entrypoint, *candidate_args]) as candidate,
            Load(f"{POD}:9094").running() as load,
        ):
            candidate.wait_ready(60)
            observer.wait_until(answers, 60)
            observer.wait_until(lambda: compared() >= 100, 60)

            assert "starting again" not in observer.tail(2000)
            assert observer.stop() == 0
            starved = machine.start(container(inject(small), "shadow-observer"))
            starved.wait_until(lambda: killed(starved, 3), 60)
            before = load.done
            starved.wait_until(lambda: load.done > before + 100, 60)
            assert starved.stop() == 0

            again = machine.start(container(pod, "shadow-observer"))
            again.wait_until(answers, 60)
            again.wait_until(lambda: compared() >= 100, 60)

            assert "starting again" not in again.tail(2000)

            # The pod's end: it has left its service, so no new calls; the model goes first.
            load.end()
            model.send(signal.SIGTERM)
            assert model.wait(60) == 0
            for process in (again, wire):
                process.send(signal.SIGTERM)
                assert process.wait(60) == 0
            assert load.failures == []
            assert load.done > 300
