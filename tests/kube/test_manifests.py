"""YAML in, YAML out: what changes, and above all what does not."""

from __future__ import annotations

import difflib
import io
import json

import pytest
import yaml
from typer.testing import CliRunner

from sidecar.kube.manifests import inject_text
from sidecar.kube.options import InjectError
from sidecar.kube.workloads import inject_object
from sidecar.run.commands import app
from tests.kube.manifests_of import KSERVE, SELDON, TEMPLATED

SERVICE = """\
# The way in.
apiVersion: v1
kind: Service
metadata: {name: digits}   # kept as it is
spec:
    selector: {app: digits}
    ports:
    - {name: grpc, port: 80, targetPort: grpc}
"""


def removed(before: str, after: str) -> list[str]:
    """The lines that are gone."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line[2:] for line in lines if line.startswith("- ")]


@pytest.mark.parametrize("text", [*TEMPLATED.values(), KSERVE, SELDON])
def test_the_text_says_what_the_objects_say_and_twice_is_once(text: str) -> None:
    made = inject_text(text, {"image": "registry.example/shadow-sidecar:1"})
    assert yaml.safe_load(made.text) == inject_object(
        yaml.safe_load(text), {"image": "registry.example/shadow-sidecar:1"}
    )
    assert inject_text(made.text, {}).text == made.text


def test_documents_that_do_not_change_are_printed_byte_for_byte() -> None:
    text = f"# a file\n---\n{SERVICE}--- # the model\n{TEMPLATED['Deployment']}---\n{SERVICE}"
    made = inject_text(text, {})
    assert made.text.startswith(f"# a file\n---\n{SERVICE}--- # the model\n")
    assert made.text.endswith(f"---\n{SERVICE}")
    assert made.injected == ("Deployment digits",)
    assert made.unchanged == ("Service digits", "Service digits")


def test_in_a_changed_document_only_the_port_is_rewritten_and_comments_stay() -> None:
    text = TEMPLATED["Deployment"].replace("  name: digits", "  name: digits # ours", 1)
    made = inject_text(text, {}).text
    assert [line.strip() for line in removed(text, made)] == ["containerPort: 9000"]
    assert "image: model:1  # pinned by the release job" in made
    assert "name: digits # ours" in made


def test_the_files_own_indentation_quotes_and_odd_numbers_stay() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata:
    name: 'digits'
    labels: {app: "digits", shadow-sidecar/inject: 'true'}
    annotations:
        shadow-sidecar/shadow: c:1
        note: |
            two
            lines
spec:
    containers:
    -   name: server
        image: "model:1"
        ports:
        -   containerPort: 9000
            name: grpc
    volumes:
    -   name: keys
        secret: {secretName: keys, defaultMode: 0400}
"""
    made = inject_text(text, {}).text
    assert [line.strip() for line in removed(text, made) if "containerPort" in line]
    for kept in ("name: 'digits'", "'true'", '"model:1"', "defaultMode: 0400", "two\n"):
        assert kept in made


def test_strings_that_cluster_tools_would_misread_are_quoted() -> None:
    text = TEMPLATED["Pod"].replace("app: digits", 'app: "on"')
    assert '"on"' in inject_text(text, {}).text
    assert {"name": "SHADOW_SIDECAR_TELEMETRY__WORKLOAD", "value": "on"} in yaml.safe_load(
        inject_text(text, {}).text
    )["spec"]["initContainers"][1]["env"]


def test_an_anchor_shared_by_two_containers_does_not_change_both() -> None:
    text = TEMPLATED["Pod"].replace(
        "      ports:\n        - name: grpc\n          containerPort: 9000\n",
        "      ports: &ports\n        - name: grpc\n          containerPort: 9000\n"
        "    - name: twin\n      image: twin:1\n      ports: *ports\n",
    )
    text = text.replace("annotations:", 'annotations:\n    shadow-sidecar/container: "server"')
    assert "*ports" in text
    made = yaml.safe_load(inject_text(text, {}).text)
    ports = {c["name"]: c["ports"][0]["containerPort"] for c in made["spec"]["containers"]}
    assert ports == {"server": 9094, "twin": 9000}


def test_json_stays_json() -> None:
    text = json.dumps(yaml.safe_load(TEMPLATED["Deployment"]), indent=2)
    made = json.loads(inject_text(text, {}).text)
    assert made == inject_object(json.loads(text), {})


def test_a_service_that_goes_past_the_wire_is_told() -> None:
    numeric = SERVICE.replace("targetPort: grpc", "targetPort: 9000")
    warnings = inject_text(f"{numeric}---\n{TEMPLATED['Deployment']}", {}).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("Service digits: targetPort 9000 goes to the model")
    assert not inject_text(f"{SERVICE}---\n{TEMPLATED['Deployment']}", {}).warnings


def test_every_error_of_every_document_comes_at_once() -> None:
    bad = TEMPLATED["Deployment"].replace("candidate=candidate:9000", "nowhere")
    with pytest.raises(InjectError) as raised:
        inject_text(f"{bad}---\na: [\n---\n{bad}", {})
    assert len(raised.value.errors) == 3
    assert "not YAML" in raised.value.errors[1]


def test_nothing_becomes_nothing() -> None:
    assert inject_text("", {}).text == ""
    assert inject_text("---\n# only words\n", {}).text == "---\n# only words\n"


def test_the_command_prints_manifests_and_says_what_it_did() -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["inject", "-f", "-", "--set", "sample=0.5"], TEMPLATED["Deployment"])
    assert done.exit_code == 0
    assert 'shadow-sidecar/sample: "0.5"' in done.stdout
    assert "injected: Deployment digits" in done.stderr
    again = runner.invoke(app, ["inject", "-f", "-"], done.stdout)
    assert again.stdout == done.stdout
    assert "nothing asked" in again.stderr


def test_the_command_prints_no_manifest_when_anything_is_wrong(tmp_path: object) -> None:
    bad = TEMPLATED["Deployment"].replace("candidate=candidate:9000", "nowhere")
    runner = CliRunner()
    done = runner.invoke(app, ["inject", "-f", "-", "-f", f"{tmp_path}/missing.yaml"], bad)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "-: Deployment digits: shadow-sidecar/shadow: 'nowhere' is not allowed" in done.stderr
    assert "missing.yaml" in done.stderr
    wrong = runner.invoke(app, ["inject", "-f", "-", "--set", "sample=9", "--set", "x"], bad)
    assert wrong.exit_code == 2
    assert wrong.stderr.count("error:") == 2


def test_several_files_become_one_stream_of_documents(tmp_path: object) -> None:
    first, second = f"{tmp_path}/a.yaml", f"{tmp_path}/b.yaml"
    for name, text in ((first, TEMPLATED["Deployment"]), (second, SERVICE)):
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    done = CliRunner().invoke(app, ["inject", "-f", first, "-f", second])
    kinds = [d["kind"] for d in yaml.safe_load_all(io.StringIO(done.stdout))]
    assert kinds == ["Deployment", "Service"]


def test_the_ends_of_lines_stay_as_they_are() -> None:
    plain = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "a",
                "labels": {"shadow-sidecar/inject": "true"},
                "annotations": {"shadow-sidecar/shadow": "c=d:1"},
            },
            "spec": {"containers": [{"name": "m", "ports": [{"containerPort": 9000}]}]},
        }
    )
    made = inject_text(plain.replace("\n", "\r\n"), {}).text
    assert made.count("\r\n") == made.count("\n") > 50
    assert made.replace("\r\n", "\n") == inject_text(plain, {}).text
