"""What `examples/` gives its users: configurations that are good, manifests that can be injected.

Counterpart: `tests/interop`, where those whose servers install here are run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from sidecar.run.commands import app

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/sidecar.yaml"))
MANIFESTS = [path for folder in FOLDERS for path in sorted(folder.glob("[!sk]*.yaml"))]
VERSIONS = ("1.30", "1.37")


def name(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_configuration_is_good_and_requires_something(folder: Path) -> None:
    done = CliRunner().invoke(app, ["check-config", str(folder / "sidecar.yaml")])
    assert done.exit_code == 0, done.output
    (settings,) = documents((folder / "sidecar.yaml").read_text(encoding="utf-8"))
    assert any(criterion.get("required") for criterion in settings["judge"]["criteria"])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name)
def test_a_manifest_is_injected_without_a_warning_and_stays_valid(manifest: Path) -> None:
    done = CliRunner().invoke(app, ["inject", "-f", str(manifest)])
    assert done.exit_code == 0, done.stderr
    assert "warning" not in done.stderr
    workload, *others = documents(done.stdout)
    assert "shadow-observer" in done.stdout
    for document in (workload, *others):
        if document["kind"] != "InferenceService":  # not Kubernetes' own
            for version in VERSIONS:
                kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_the_config_map_that_a_manifest_names_is_made_of_the_configuration(folder: Path) -> None:
    (kustomization,) = documents((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    (made,) = kustomization["configMapGenerator"]
    assert made["files"] == ["config.yaml=sidecar.yaml"]
    assert kustomization.get("resources", []) == [
        path.name for path in folder.glob("deployment.yaml")
    ]
    named = [
        line.split(": ")[1]
        for manifest in folder.glob("[!sk]*.yaml")
        for line in manifest.read_text(encoding="utf-8").splitlines()
        if "shadow-sidecar/config-map: " in line
    ]
    assert named == [made["name"]]


def test_every_example_stands_in_the_table_with_whether_it_was_run() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| [")]
    assert [row.split("](")[1].split(")")[0] for row in rows] == [
        name(folder) for folder in FOLDERS
    ]
