"""The committed manifests, as they are and as kustomize puts them together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
KUSTOMIZATIONS = sorted(
    path.parent.relative_to(K8S).as_posix()
    for path in K8S.rglob("kustomization.yaml")
    if "kind: Component" not in path.read_text()
)


def need(*tools: str) -> None:
    """Say which Debian packages are missing, before a test fails for an obscure reason."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    assert not missing, f"not installed: {missing} (apt-get install prometheus iptables iproute2)"


def kustomize(directory: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    need("kubectl")
    command = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def committed() -> list[tuple[str, dict[str, Any]]]:
    """Every object in every committed manifest, with where it stands."""
    found = []
    for path in sorted(K8S.rglob("*.yaml")):
        if path.name in {"kustomization.yaml", "patch.yaml"} or "helm" in path.parts:
            continue
        for number, document in enumerate(yaml.safe_load_all(path.read_text())):
            found.append((f"{path.relative_to(K8S)}#{number}", document))
    return found


def is_core(document: dict[str, Any]) -> bool:
    """Whether Kubernetes itself defines the object's kind."""
    group, slash, _ = document["apiVersion"].rpartition("/")
    return not slash or "." not in group or (group.endswith(".k8s.io") and "gateway" not in group)
