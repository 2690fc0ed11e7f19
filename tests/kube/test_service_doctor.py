"""What `doctor --service` says of the objects of a namespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sidecar.kube.inject import inject, with_reason
from sidecar.kube.service_doctor import examine
from sidecar.run.commands import app
from sidecar.serve.diagnosis import Finding
from tests.kube.pods import pod

SERVICE: dict[str, Any] = {
    "kind": "Service",
    "metadata": {"name": "digits", "namespace": "m"},
    "spec": {"selector": {"app": "digits"}, "ports": [{"port": 80, "targetPort": "grpc"}]},
}
WEBHOOK = {
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "shadow-sidecar"},
    "webhooks": [{"clientConfig": {"caBundle": "eA=="}}],
}


def running(name: str, made: dict[str, Any]) -> dict[str, Any]:
    metadata = {**made["metadata"], "name": name, "namespace": "m"}
    return {"kind": "Pod", **made, "metadata": metadata, "status": {"phase": "Running"}}


WELL = running("a", inject(pod()))


def wrong(*objects: Any) -> list[str]:
    return [f"{c.what}: {c.seen}" for c in examine(objects, "digits") if c.finding is Finding.WRONG]


def test_a_service_that_is_well_has_nothing_wrong() -> None:
    found = examine([SERVICE, WEBHOOK, WELL], "digits")
    assert [check.finding for check in found] == [Finding.GOOD] * 4


def test_pods_without_it_are_named_with_the_reason() -> None:
    refused = running("b", with_reason(pod(), ["shadow-sidecar/sample: no"]))
    unasked = running("c", pod())
    plain = pod()
    del plain["metadata"]["labels"]["shadow-sidecar/inject"]
    found = wrong(SERVICE, WEBHOOK, WELL, refused, unasked, running("d", plain))
    assert found == [
        "pod b: was not injected: shadow-sidecar/sample: no",
        "pod c: asked for the sidecar, and nobody asked the webhook",
    ]


def test_ways_past_the_wire_are_told_once_however_many_pods_there_are() -> None:
    numeric = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"port": 9000}]}}
    others = [running(name, inject(pod())) for name in "bcd"]
    (line,) = wrong(numeric, WEBHOOK, WELL, *others)
    assert "targetPort 9000 goes to the model" in line


def test_a_webhook_that_is_not_trusted_is_wrong() -> None:
    empty = {**WEBHOOK, "webhooks": [{"clientConfig": {}}]}
    assert wrong(SERVICE, empty, WELL) == ["webhook: the API server does not trust it: no caBundle"]


def test_no_such_service_says_which_there_are() -> None:
    (check,) = examine([SERVICE], "digitz")
    assert check.finding is Finding.WRONG
    assert check.next_step == "there are: digits"


@pytest.mark.parametrize("well", [True, False])
def test_the_command_reads_what_kubectl_printed(well: bool, tmp_path: Path) -> None:
    file = tmp_path / "objects.json"
    pods = [WELL] if well else [running("c", pod())]
    file.write_text(json.dumps({"kind": "List", "items": [SERVICE, WEBHOOK, *pods]}))
    done = CliRunner().invoke(app, ["doctor", "--service", "digits.m", "-f", str(file)])
    assert done.exit_code == (0 if well else 1), done.output
    assert ("pod c" in done.output) is not well
    done = CliRunner().invoke(app, ["doctor", "--service", "digits", "-f", str(file), "--json"])
    assert {check["finding"] for check in json.loads(done.output)} <= {"ok", "WRONG"}


def test_without_kubectl_or_a_file_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(app, ["doctor", "--service", "digits.m"])
    assert done.exit_code == 5
    assert "--file" in done.output
    file = tmp_path / "kubectl"
    file.write_text("#!/bin/sh\necho no such cluster >&2; exit 1\n")
    file.chmod(0o755)
    done = CliRunner().invoke(app, ["doctor", "--service", "digits.m"])
    assert done.exit_code == 5
    assert "no such cluster" in done.output
    file.write_text("#!/bin/sh\n" + f"/bin/cat {tmp_path}/objects\n")
    (tmp_path / "objects").write_text(yaml.safe_dump_all([SERVICE, WEBHOOK, WELL]))
    done = CliRunner().invoke(app, ["doctor", "--service", "digits.m"])
    assert done.exit_code == 0, done.output
