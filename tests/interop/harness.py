"""Peers that we did not write, with `shadow-sidecar run` between them.

Rule: what a client gets through the sidecar is compared with what the same client gets without it,
and what the sidecar says about a pair with what the client itself got from both servers.
Counterpart: `tests.interop.peers`, the scripts that run in the peers' environments.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.environments import PEERS, ROOT, make
from tests.processes import Process, accepts, drained, free_port, http_json, is_ready, sidecar_run

CLIENT_SECONDS = 60.0
EXAMPLES = ROOT / "examples"
LIBPYTHON = Path(
    str(sysconfig.get_config_var("LIBDIR")), str(sysconfig.get_config_var("INSTSONAME"))
)
"""What Triton's Python backend loads; not every Python is built with it."""
# Two servers may leave no core for an observer that steps back: what is late is waited for.
PATIENT = ("shadows.0.deadline_seconds=60", "observer.priority=normal")
SERVICE = """
service GRPCInferenceService {
  rpc ModelInfer(ModelInferRequest) returns (ModelInferResponse) {}
  rpc ModelStreamInfer(stream ModelInferRequest) returns (stream ModelStreamInferResponse) {}
}
"""

Traffic = dict[str, Any]
"""What a client script prints: `calls`, and `answers` with `outputs` by name."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """One run of a client through the sidecar."""

    traffic: Traffic
    status: dict[str, Any]
    pairs: list[dict[str, Any]]
    report: dict[str, Any]

    @property
    def differing(self) -> list[dict[str, Any]]:
        """The pairs that do not agree."""
        return [pair for pair in self.pairs if not pair["agrees"]]

    def differing_outputs(self) -> dict[str, int]:
        """How many pairs differ at each output."""
        counts: dict[str, int] = {}
        for pair in self.differing:
            for output in pair["outputs"]:
                if output["outcome"] != "equal":
                    counts[output["name"]] = counts.get(output["name"], 0) + 1
        return counts


def client(environment: str, script: str, address: str, *arguments: str) -> Traffic:
    """Run a client script to its end and return what it printed."""
    command = _peer(environment, script, address, *arguments)
    done = subprocess.run(command, text=True, capture_output=True, timeout=CLIENT_SECONDS)
    assert done.returncode == 0, done.stderr
    traffic: Traffic = json.loads(done.stdout)
    return traffic


def _peer(environment: str, script: str, *arguments: str) -> list[str]:
    return [str(make(environment).python), str(PEERS / script), *arguments]


def through_sidecar(
    production: str, shadow: str, send: Callable[[str], Traffic], *arguments: str
) -> Shadowed:
    """Let `send` talk to production through a sidecar, and wait until every call has its fate."""
    patient = (word for flag in PATIENT for word in ("--set", flag))
    with sidecar_run(production, [f"candidate={shadow}"], *patient, *arguments) as sidecar:
        ready = sidecar.wait_ready(60)
        http = ready["http"]
        sidecar.wait_until(is_ready(http))
        traffic = send(ready["listen"][0])
        sidecar.wait_until(drained(http, seen=traffic["calls"]))
        status, pairs = http_json(http, "/status"), http_json(http, "/pairs?limit=1000")
        return Shadowed(traffic, status, pairs, http_json(http, "/report.json"))


def captured_and_replayed(
    production: str, candidate: str, send: Callable[[str], Traffic], folder: Path
) -> tuple[Traffic, dict[str, Any]]:
    """Capture what `send` asks production, and ask the candidate the same again.

    Returns:
        What the client got through the sidecar, and the replay's result.
    """
    flags = {"dir": folder, "what": "all", "payloads": "true"}
    words = [word for k, v in flags.items() for word in ("--set", f"capture.{k}={v}")]
    seen = through_sidecar(production, production, send, *words)
    out = folder.with_suffix(".json")
    command = [sys.executable, "-m", "sidecar", "replay", str(folder), "--out", str(out)]
    done = subprocess.run(
        [*command, "--shadow", candidate, "--set", "judge.repeat_seconds=0"],
        text=True,
        capture_output=True,
        timeout=CLIENT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return seen.traffic, json.loads(out.read_text())


def assert_asked_again_it_agrees(
    production: str, other: str, send: Callable[[str], Traffic], folder: Path
) -> None:
    """A server agrees with what was captured of it in every call, and another version does not."""
    traffic, result = captured_and_replayed(production, production, send, folder / "c")
    assert result["calls"] == traffic["calls"] > 0
    assert result["reports"][0]["outcomes"] == {"equal": traffic["calls"]}
    assert result["status"] == {"candidate": {"0": traffic["calls"]}}
    _, result = captured_and_replayed(production, other, send, folder / "d")
    assert result["reports"][0]["outcomes"]["value"] > 0, "another version is not taken for it"


def as_in_example(
    name: str, production: str, shadow: str, send: Callable[[str], Traffic]
) -> Shadowed:
    """The same with the configuration that `examples/NAME` gives to its users."""
    return through_sidecar(
        production, shadow, send, "--config", str(EXAMPLES / name / "sidecar.yaml")
    )


def expected_differences(production: Traffic, shadow: Traffic) -> dict[str, int]:
    """At how many calls each output of two servers differs, as their own client saw it."""
    counts: dict[str, int] = {}
    for ours, theirs in zip(production["answers"], shadow["answers"], strict=True):
        for name, value in ours["outputs"].items():
            if theirs["outputs"][name] != value:
                counts[name] = counts.get(name, 0) + 1
    return counts


@contextmanager
def mlserver(role: str, directory: Path) -> Iterator[str]:
    """MLServer with the models of `role`; gives its gRPC address once both are ready."""
    models = _peer("mlserver", "mlserver_models.py", role, str(directory))
    subprocess.run(models, check=True, timeout=CLIENT_SECONDS)
    port = free_port()  # MLServer cannot say which port it got
    settings = {
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (directory / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    address = f"127.0.0.1:{port}"
    command = [str(make("mlserver").path / "bin" / "mlserver"), "start", str(directory)]
    with Process(command, name=f"mlserver {role}", cwd=directory) as server:
        server.wait_until(_serves(address, "iris", "text"), timeout=90)
        yield address


@contextmanager
def triton(bias: float) -> Iterator[str]:
    """The real Triton; gives its gRPC address once both models are ready."""
    ports = [free_port() for _ in range(3)]  # Triton cannot say which ports it got
    command = _peer("pytriton", "triton_server.py", str(bias), *map(str, ports))
    with Process(
        command, name=f"triton {bias:g}", env={"LD_LIBRARY_PATH": str(LIBPYTHON.parent)}
    ) as server:
        address = f"127.0.0.1:{ports[0]}"
        server.wait_until(_serves(address, "doubler", "counter"), timeout=90)
        yield address


@contextmanager
def kserve(bias: float) -> Iterator[str]:
    """KServe's model server; gives its gRPC address once its model is ready."""
    port = free_port()  # KServe cannot say which port it got
    command = _peer("kserve", "kserve_server.py", str(bias), str(port), str(free_port()))
    ask = _peer("kserve", "kserve_client.py", f"127.0.0.1:{port}", "ready")
    is_open = accepts(f"127.0.0.1:{port}")

    def serves() -> bool:
        return is_open() and not subprocess.run(ask, capture_output=True, timeout=60).returncode

    with Process(command, name=f"kserve {bias:g}") as server:
        server.wait_until(serves, timeout=90)
        yield f"127.0.0.1:{port}"


@contextmanager
def seldon(bias: float) -> Iterator[str]:
    """Seldon Core v1's microservice around one model; gives its gRPC address."""
    ports = [free_port() for _ in range(3)]  # it cannot say which ports it got
    command = [str(make("seldon").path / "bin" / "seldon-core-microservice"), "SeldonDoubler"]
    for name, port in zip(("grpc", "http", "metrics"), ports, strict=True):
        command += [f"--{name}-port", str(port)]
    with Process(command, name=f"seldon {bias:g}", cwd=PEERS, env={"BIAS": str(bias)}) as server:
        server.wait_until(accepts(f"127.0.0.1:{ports[0]}"), timeout=90)
        yield f"127.0.0.1:{ports[0]}"


@contextmanager
def torchserve(bias: float, directory: Path) -> Iterator[str]:
    """TorchServe around one model, "doubler"; gives its gRPC address once that is ready.

    Its own server in Java and its own worker in Python, which asks PyTorch for one thing only:
    whether an answer is a Tensor. As no answer is, a module of that name stands in for PyTorch.
    """
    model = directory / "store" / "doubler"
    (model / "MAR-INF").mkdir(parents=True)
    shutil.copy(PEERS / "torchserve_handler.py", model / "handler.py")
    manifest = {"modelName": "doubler", "handler": "handler.py", "modelVersion": "1.0"}
    (model / "MAR-INF" / "MANIFEST.json").write_text(
        json.dumps({"runtime": "python", "model": manifest}), encoding="utf-8"
    )
    (directory / "torch.py").write_text("class Tensor: ...\n", encoding="utf-8")
    names = ("inference_address", "management_address", "metrics_address")
    ports = [free_port() for _ in range(5)]  # TorchServe cannot say which ports it got
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    settings = {
        **dict(zip(names, addresses, strict=False)),
        "grpc_inference_port": ports[3],
        "grpc_management_port": ports[4],
        "default_workers_per_model": 1,
        "load_models": "doubler",
    }
    config = directory / "config.properties"
    lines = (f"{name}={value}\n" for name, value in settings.items())
    config.write_text("".join(lines), encoding="utf-8")
    environment = make("torchserve")
    (home,) = environment.path.glob("lib/python*/site-packages")
    # `torchserve --start` leaves Java behind when it is ended.
    command: list[str | Path] = ["java", f"-Dmodel_server_home={home}"]
    command += [f"-Djava.io.tmpdir={directory}", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", home / "ts" / "frontend" / "*", "org.pytorch.serve.ModelServer"]
    command += ["--python", environment.python, "-f", config, "-s", model.parent]
    command += ["-ncs", "--disable-token-auth"]
    env = {"BIAS": str(bias), "PYTHONPATH": str(directory)}
    with Process(command, name=f"torchserve {bias:g}", cwd=directory, env=env) as server:
        server.wait_until(_has_a_worker(ports[1]), timeout=90)
        yield f"127.0.0.1:{ports[3]}"


def _has_a_worker(management: int) -> Callable[[], bool]:
    """A predicate: whether TorchServe says that a worker of its model is ready."""

    def ready() -> bool:
        if not accepts(f"127.0.0.1:{management}")():
            return False
        (model,) = http_json(f"127.0.0.1:{management}", "/models/doubler")
        return any(worker["status"] == "READY" for worker in model["workers"])

    return ready


def _serves(address: str, *models: str) -> Callable[[], bool]:
    """A predicate: whether a server says that all of its models are ready."""
    ask = _peer("tritonclient", "triton_client.py", address, "ready", *models)
    is_open = accepts(address)

    def serves() -> bool:
        if not is_open():
            return False
        return subprocess.run(ask, capture_output=True, timeout=CLIENT_SECONDS).returncode == 0

    return serves


def inference_proto(directory: Path) -> Path:
    """Write the protocol as its users have it: our messages in its package, with its service."""
    ours = (ROOT / "protos" / "inference" / "open_inference.proto").read_text(encoding="utf-8")
    proto = directory / "inference.proto"
    theirs = ours.replace("package shadow.inference.v2;", "package inference;")
    proto.write_text(theirs + SERVICE, encoding="utf-8")
    return proto


def node(script: str, *arguments: str) -> Process:
    """Start a Node script with the packages of the environment grpc-js."""
    modules = str(make("grpc-js").node_modules)
    return Process(["node", PEERS / script, *arguments], name=script, env={"NODE_PATH": modules})


def node_client(script: str, *arguments: str) -> Traffic:
    """Run a Node client script to its end and return what it printed."""
    with node(script, *arguments) as running:
        line = running.wait_line(lambda line: line.startswith("{"), CLIENT_SECONDS)
        assert running.wait(CLIENT_SECONDS) == 0
    traffic: Traffic = json.loads(line)
    return traffic


def grpcurl(proto: Path, address: str, method: str, requests: list[dict[str, Any]]) -> list[Any]:
    """Call a method of the protocol with grpcurl and return the answers."""
    command: list[str | Path] = [
        make("grpcurl").path / "bin" / "grpcurl",
        "-plaintext",
        "-format",
        "json",
    ]
    command += ["-import-path", proto.parent, "-proto", proto.name, "-d", "@"]
    command += [address, f"inference.GRPCInferenceService/{method}"]
    lines = "\n".join(map(json.dumps, requests))
    done = subprocess.run(
        command, input=lines, text=True, capture_output=True, timeout=CLIENT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return _json_values(done.stdout)


def _json_values(text: str) -> list[Any]:
    """Several JSON values, one after the other, on any number of lines."""
    decoder, values, at = json.JSONDecoder(), [], 0
    text = text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return values


@contextmanager
def tensorflow_api(bias: float) -> Iterator[str]:
    """A server of TensorFlow Serving's API; gives its address."""
    with Process(
        _peer("ovmsclient", "ovms_server.py", str(bias)), name=f"ovms_server {bias:g}"
    ) as server:
        yield server.wait_ready()["address"]
