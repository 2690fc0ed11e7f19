"""What is left of a shadow: only what served it, and nothing is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sidecar.kube.finish import leftovers
from tests.house import House, told
from tests.kube.manifests_in import K8S
from tests.scenarios.verdicts import command
from tests.serve.test_grpc import serving

EXAMPLE = [
    document
    for name in ("models.yaml", "shadow.yaml", "networkpolicy.yaml")
    for document in yaml.safe_load_all((K8S / "example" / name).read_text())
]


def named(documents: list[dict[str, Any]]) -> set[str]:
    return {f"{d['kind']} {d['metadata']['name']}" for d in documents}


def test_of_the_example_what_served_the_candidate_goes_and_production_stays() -> None:
    found = leftovers(EXAMPLE, "candidate")
    assert named(found.delete) == {
        "Service digits-candidate",
        "Deployment digits-candidate",
        "ConfigMap digits-shadow",
        "NetworkPolicy digits-candidate",
    }
    (digits,) = found.apply
    template = digits["spec"]["template"]
    assert template["metadata"]["annotations"] == {}
    assert template["metadata"]["labels"] == {"app": "digits"}
    assert template["spec"] == EXAMPLE[0]["spec"]["template"]["spec"]
    assert "shadow-sidecar/inject" in EXAMPLE[0]["spec"]["template"]["metadata"]["labels"]


def test_a_list_as_kubectl_prints_it_is_looked_through_without_what_the_server_added() -> None:
    served = {**EXAMPLE[0], "status": {"replicas": 2}}
    served["metadata"] = {**served["metadata"], "uid": "x", "resourceVersion": "7"}
    listed = {"kind": "List", "items": [served, *EXAMPLE[1:]]}
    found = leftovers([listed], "candidate")
    assert len(found.delete) == 4
    assert "status" not in found.apply[0]
    assert found.apply[0]["metadata"].keys() == {"name", "namespace"}


def test_what_another_workload_still_shadows_or_is_configured_by_stays() -> None:
    other: dict[str, Any] = yaml.safe_load(yaml.safe_dump(EXAMPLE[0]))
    other["metadata"]["name"] = "letters"
    notes = other["spec"]["template"]["metadata"]["annotations"]
    notes["shadow-sidecar/shadow"] = "rival=digits-candidate.models:9000"
    found = leftovers([*EXAMPLE, other], "candidate")
    assert found.delete == []
    assert named(found.apply) == {"Deployment digits"}


def test_of_several_shadows_the_others_stay() -> None:
    both: dict[str, Any] = yaml.safe_load(yaml.safe_dump(EXAMPLE[0]))
    notes = both["spec"]["template"]["metadata"]["annotations"]
    notes["shadow-sidecar/shadow"] = "candidate=digits-candidate:9000,next=next:9000"
    found = leftovers([both, *EXAMPLE[1:]], "candidate")
    left = found.apply[0]["spec"]["template"]["metadata"]
    assert left["annotations"]["shadow-sidecar/shadow"] == "next=next:9000"
    assert left["labels"]["shadow-sidecar/inject"] == "true"
    assert "ConfigMap digits-shadow" not in named(found.delete)
    assert "Deployment digits-candidate" in named(found.delete)


def test_production_behind_the_same_service_as_the_shadow_is_never_named() -> None:
    """A selector that is too wide: what another service leads to stays."""
    wide: list[dict[str, Any]] = yaml.safe_load(yaml.safe_dump(EXAMPLE))
    for document in wide:
        if document["metadata"]["name"] == "digits-candidate" and document["kind"] == "Service":
            document["spec"]["selector"] = {"app": "digits"}
    assert "Deployment digits" not in named(leftovers(wide, "candidate").delete)


def test_the_command_prints_only_once_it_is_decided(tmp_path: Path) -> None:
    import asyncio

    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(EXAMPLE))

    async def asked(house: House, *more: str) -> Any:
        async with serving(house) as address:
            words = ["finish", "--service", address, "-f", str(file), *more]
            return await asyncio.to_thread(command, *words)

    watching, failed = House({"min_calls": 500}), House({})
    for _ in range(200):
        watching.call(told(1.0))
        failed.call(told(9.0))
    done = asyncio.run(asked(watching))
    assert (done.returncode, done.stdout) == (3, "")
    done = asyncio.run(asked(failed))
    assert done.returncode == 0
    assert len(list(yaml.safe_load_all(done.stdout))) == 4
    assert "Deployment models/digits-candidate: nothing else leads to it" in done.stderr
    done = asyncio.run(asked(failed, "--apply"))
    assert [d["metadata"]["name"] for d in yaml.safe_load_all(done.stdout)] == ["digits"]


def test_rows_of_old_experiments_are_named_with_where_they_last_stood() -> None:
    from dataclasses import replace

    from sidecar.report.build import empty_report
    from sidecar.report.report import ServiceFacts, VerdictChange
    from sidecar.run.finish import _rows

    history = (
        VerdictChange(86400.0 * 3, "candidate", "new", "PASS", "within its margin", 900),
        VerdictChange(86400.0 * 2, "candidate", "old", "FAIL", "worse", 1500),
        VerdictChange(86400.0, "candidate", "old", "WATCHING", "undecided", 10),
    )
    facts = ServiceFacts(
        names=("digits",),
        experiment="new",
        staleness_seconds=1.0,
        answering=2,
        silent=(),
        not_injected={},
        gone=0,
        history=history,
    )
    lines = _rows(replace(empty_report({}, 0.0), service=facts))
    assert [line for line in lines if "experiment" in line] == [
        "rows of experiment old, which nobody asks about: FAIL since 1970-01-03, 1,500 calls"
    ]
