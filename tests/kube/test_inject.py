"""Pod in, pod out."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sidecar.kube.inject import inject
from sidecar.kube.options import InjectError, quantity
from sidecar.settings.sources import load
from tests.kube.pods import container, pod


def init_names(made: dict[str, Any]) -> list[str]:
    return [c["name"] for c in made["spec"]["initContainers"]]


def test_the_argument_is_not_changed_and_twice_is_once() -> None:
    before = pod()
    kept = copy.deepcopy(before)
    once = inject(before)
    assert before == kept
    assert once != kept
    assert inject(once) == once


def test_a_pod_that_does_not_ask_is_the_same_pod() -> None:
    for labels in ({}, {"shadow-sidecar/inject": "false"}, None):
        plain = pod()
        plain["metadata"]["labels"] = labels
        assert inject(plain) is plain
    assert inject({"spec": {}}) == {"spec": {}}


def test_both_sidecars_are_native_the_wire_first_so_that_it_ends_last() -> None:
    made = inject(pod())
    assert init_names(made) == ["shadow-wire", "shadow-observer"]
    assert all(c["restartPolicy"] == "Always" for c in made["spec"]["initContainers"])


def test_the_named_port_leads_to_the_wire_and_the_probe_to_the_model() -> None:
    made = inject(pod())
    server = container(made, "server")
    assert server["ports"] == [{"name": "grpc", "containerPort": 9094, "protocol": "TCP"}]
    assert server["readinessProbe"] == {"tcpSocket": {"port": 9000}}
    assert "--route=[::]:9094=127.0.0.1:9000" in container(made, "shadow-wire")["args"]
    assert "ports" not in container(made, "shadow-wire"), "declared twice, kubectl would warn"


def test_an_undeclared_port_is_declared_by_the_wire() -> None:
    plain = pod({"upstream-port": "8033"})
    del plain["spec"]["containers"][0]["ports"]
    wire = container(inject(plain), "shadow-wire")
    assert [p["containerPort"] for p in wire["ports"]] == [9094]
    assert "--route=[::]:9094=127.0.0.1:8033" in wire["args"]


def test_the_wire_may_take_over_a_number_that_the_model_has_left() -> None:
    made = inject(pod({"listen-port": "9000", "upstream-port": "9001"}))
    assert container(made, "server")["ports"][0]["containerPort"] == 9000
    assert "--route=[::]:9000=127.0.0.1:9001" in container(made, "shadow-wire")["args"]


def test_the_model_is_found_among_several_containers_and_ports() -> None:
    many = pod({"upstream-port": "h2c"})
    many["spec"]["containers"].insert(0, {"name": "logger", "ports": [{"containerPort": 80}]})
    many["spec"]["containers"][1]["ports"] = [
        {"name": "http1", "containerPort": 8080},
        {"name": "h2c", "containerPort": 8033},
    ]
    assert "127.0.0.1:8033" in container(inject(many), "shadow-wire")["args"][0]
    del many["metadata"]["annotations"]["shadow-sidecar/upstream-port"]
    assert "127.0.0.1:8033" in container(inject(many), "shadow-wire")["args"][0], "by its name"


def test_what_was_asked_for_reaches_the_observer() -> None:
    made = inject(
        pod(
            {
                "shadow": "candidate=c:9000 control=d:9000",
                "sample": "0.1",
                "rate": "50",
                "config-map": "digits-shadow",
                "otlp": "http://otel-collector.observability:4317",
            }
        )
    )
    observer = container(made, "shadow-observer")
    assert observer["command"][-2:] == ["shadow-sidecar", "observe"]
    assert "--annotations=/etc/shadow-sidecar-pod" in observer["command"]
    live = next(v for v in made["spec"]["volumes"] if "downwardAPI" in v)["downwardAPI"]["items"]
    assert {
        "path": "sample",
        "fieldRef": {"fieldPath": "metadata.annotations['shadow-sidecar/sample']"},
    } in live
    for arg in (
        "--config=/etc/shadow-sidecar/config.yaml",
        "--http=[::]:9095",
    ):
        assert arg in observer["args"]
    environment = {e["name"]: e.get("value") for e in observer["env"]}
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector.observability:4317"
    assert environment["SHADOW_SIDECAR_TELEMETRY__WORKLOAD"] == "digits"
    assert "OTEL_SERVICE_NAME" not in environment
    config = next(v for v in made["spec"]["volumes"] if "configMap" in v)
    assert config["configMap"] == {"name": "digits-shadow", "optional": True}
    settings = load(environ={k: v or "x" for k, v in environment.items()})
    assert settings.sample.fraction == 1.0, "none of our variables is taken for a setting"


def test_what_was_counted_lives_as_long_as_the_pod_and_never_evicts_it() -> None:
    made = inject(pod())
    observer = container(made, "shadow-observer")
    assert "--state=/var/lib/shadow-sidecar/state" in observer["args"]
    assert {"name": "shadow-tap-state", "mountPath": "/var/lib/shadow-sidecar"} in observer[
        "volumeMounts"
    ]
    assert {"name": "shadow-tap-state", "emptyDir": {}} in made["spec"]["volumes"]
    assert "shadow-tap-state" not in str(container(made, "shadow-wire"))


def test_productions_version_is_the_pods_label_unless_it_is_configured() -> None:
    (version,) = [e for e in container(inject(pod()), "shadow-observer")["env"]
                  if e["name"] == "POD_VERSION"]  # fmt: skip
    path = version["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['app.kubernetes.io/version']"
    assert load(environ={"POD_VERSION": "7"}).judge.production_version == "7"
    assert load(environ={"POD_VERSION": ""}).judge.production_version == ""
    configured = {"POD_VERSION": "7", "SHADOW_SIDECAR_JUDGE__PRODUCTION_VERSION": "v8"}
    assert load(environ=configured).judge.production_version == "v8"


def test_a_default_of_what_is_followed_live_is_written_on_the_pod() -> None:
    made = inject(pod({"rate": "5"}), {"sample": "0.5", "rate": "9"})["metadata"]["annotations"]
    assert made["shadow-sidecar/sample"] == "0.5"
    assert made["shadow-sidecar/rate"] == "5"


def test_nothing_of_the_observer_can_decide_over_the_pod() -> None:
    observer = container(inject(pod()), "shadow-observer")
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & observer.keys()
    assert observer["command"][:3] == ["python", "-m", "sidecar.kube.guard"]
    assert f"--memory={int(768 * 2**20 * 0.9)}" in observer["command"]


def test_both_containers_are_confined() -> None:
    made = inject(pod())
    for name in ("shadow-wire", "shadow-observer"):
        context = container(made, name)["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        resources = container(made, name)["resources"]
        assert {"cpu", "memory"} == resources["limits"].keys() == resources["requests"].keys()
    tap = next(v for v in made["spec"]["volumes"] if v["name"] == "shadow-tap")
    assert tap["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Mi"}


def test_a_guaranteed_pod_stays_guaranteed() -> None:
    guaranteed = pod()
    amount = {"cpu": "2", "memory": "1Gi"}
    guaranteed["spec"]["containers"][0]["resources"] = {"limits": amount, "requests": amount}
    for made in inject(guaranteed)["spec"]["initContainers"]:
        assert made["resources"]["requests"] == made["resources"]["limits"]
    burstable = inject(pod())["spec"]["initContainers"][0]["resources"]
    assert burstable["requests"] != burstable["limits"]


def test_the_model_serves_on_while_the_pod_leaves_its_service() -> None:
    made = inject(pod({"drain-seconds": "20"}, terminationGracePeriodSeconds=60))
    assert container(made, "server")["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert made["spec"]["terminationGracePeriodSeconds"] == 60 + 20 + 5
    assert "--drain-seconds=20" in container(made, "shadow-wire")["args"]


def test_a_prestop_of_its_own_is_kept() -> None:
    own = {"preStop": {"exec": {"command": ["sleep", "9"]}}}
    plain = pod()
    plain["spec"]["containers"][0]["lifecycle"] = own
    made = inject(plain)
    assert container(made, "server")["lifecycle"] == own
    assert made["spec"]["terminationGracePeriodSeconds"] == 30 + 10


def test_a_redirect_leaves_the_ports_and_leads_connect_probes_around_the_wire() -> None:
    made = inject(pod({"intercept": "redirect"}))
    assert init_names(made) == ["shadow-redirect", "shadow-wire", "shadow-observer"]
    server = container(made, "server")
    assert server["ports"][0]["containerPort"] == 9000
    assert server["readinessProbe"] == {"tcpSocket": {"port": 9093}}
    redirect = container(made, "shadow-redirect")
    assert "restartPolicy" not in redirect
    assert redirect["securityContext"]["capabilities"]["add"] == ["NET_ADMIN", "NET_RAW"]
    assert "--loopback-only" not in redirect["args"]


@pytest.mark.parametrize(
    ("present", "order"),
    [
        (
            ["istio-init", "istio-proxy", "fetch"],
            [
                "istio-init",
                "istio-proxy",
                "shadow-redirect",
                "shadow-wire",
                "shadow-observer",
                "fetch",
            ],
        ),
        (
            ["fetch", "linkerd-init"],
            ["fetch", "linkerd-init", "shadow-redirect", "shadow-wire", "shadow-observer"],
        ),
    ],
)
def test_beside_a_mesh_it_stands_behind_the_meshs_own(present: list[str], order: list[str]) -> None:
    init = [{"name": name, "image": "x"} for name in present]
    made = inject(pod({"intercept": "redirect"}, initContainers=init))
    assert init_names(made) == order
    assert "--loopback-only" in container(made, "shadow-redirect")["args"]


def test_a_mesh_that_is_yet_to_come_is_known_by_its_own_label() -> None:
    coming = pod({"intercept": "redirect"})
    coming["metadata"]["labels"]["sidecar.istio.io/inject"] = "true"
    assert "--loopback-only" in container(inject(coming), "shadow-redirect")["args"]
    told = inject(pod({"intercept": "redirect", "mesh": "true"}))
    assert "--loopback-only" in container(told, "shadow-redirect")["args"]


def test_ipv6_is_listened_on_and_forwarded_to() -> None:
    made = inject(pod({"ip-family": "ipv6"}))
    assert "--route=[::]:9094=[::1]:9000" in container(made, "shadow-wire")["args"]


def test_the_status_says_what_was_done() -> None:
    status = json.loads(inject(pod())["metadata"]["annotations"]["shadow-sidecar/status"])
    assert status == {"version": "0.1.0", "intercept": "port", "listen": 9094, "upstream": 9000}


def test_every_obstacle_is_told_at_once() -> None:
    bad = pod({"sample": "2", "container": "nobody"}, hostNetwork=True)
    bad["spec"]["os"] = {"name": "windows"}
    bad["spec"]["volumes"] = [{"name": "shadow-tap"}]
    bad["spec"]["containers"].append({"name": "shadow-wire"})
    with pytest.raises(InjectError) as raised:
        inject(bad)
    text = "\n".join(raised.value.errors)
    for part in ("sample", "container", "windows", "shadow-tap", "'shadow-wire'"):
        assert part in text


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"upstream-port": "nope"}, "names 0 ports; the pod's TCP ports: grpc"),
        ({"listen-port": "9095"}, "9095 is also"),
        ({"listen-port": "9000"}, "is also"),
        ({"container": "nobody"}, "have: server"),
        ({"intercept": "redirect", "probe-port": "9000"}, "is also"),
    ],
)
def test_a_wrong_port_or_container_is_refused(annotations: dict[str, str], says: str) -> None:
    with pytest.raises(InjectError, match=says):
        inject(pod(annotations))


def test_a_default_port_never_takes_over_a_declared_one() -> None:
    crowded = pod()
    crowded["spec"]["containers"].append({"name": "other", "ports": [{"containerPort": 9095}]})
    with pytest.raises(InjectError, match="9095 is a port of container 'other'"):
        inject(crowded)


def test_redirect_is_refused_on_the_nodes_network() -> None:
    with pytest.raises(InjectError, match="packet filter"):
        inject(pod({"intercept": "redirect"}, hostNetwork=True))


def test_without_a_shadow_there_must_be_a_configuration() -> None:
    alone = pod()
    alone["metadata"]["annotations"] = {}
    with pytest.raises(InjectError, match="shadow: required"):
        inject(alone)
    alone["metadata"]["annotations"] = {"shadow-sidecar/config-map": "digits"}
    assert inject(alone)


@pytest.mark.parametrize(
    "key", ["initContainers", "volumes", "terminationGracePeriodSeconds", "securityContext"]
)
def test_a_key_that_was_left_empty_is_not_there(key: str) -> None:
    assert inject(pod(**{key: None})) == inject(pod())


def test_a_container_without_a_name_is_refused_by_its_place() -> None:
    nameless = pod(initContainers=[{"image": "x"}])
    nameless["spec"]["containers"].append({"image": "y", "name": ""})
    with pytest.raises(InjectError) as raised:
        inject(nameless)
    assert raised.value.errors == [
        "initContainers[0]: a container without a name",
        "containers[1]: a container without a name",
    ]


def test_the_guard_knows_what_would_be_the_pod_itself() -> None:
    observer = container(inject(pod()), "shadow-observer")
    assert {"--own-port=9094", "--own-port=9000"} <= set(observer["command"])
    ips = next(e for e in observer["env"] if e["name"] == "POD_IPS")
    assert ips["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIPs"}}


def test_a_quantity_is_the_same_however_it_is_written() -> None:
    """A Guaranteed pod stays one: 1, "1" and "1000m" are the same."""
    amounts = {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1024Mi"}}
    asked = pod()
    asked["spec"]["containers"][0]["resources"] = amounts
    for name in ("shadow-wire", "shadow-observer"):
        found = container(inject(asked), name)["resources"]
        assert found["requests"] == found["limits"]


def test_istio_by_revision_is_a_mesh() -> None:
    asked = pod({"intercept": "redirect"})
    assert "--loopback-only" not in container(inject(asked), "shadow-redirect")["args"]
    asked["metadata"]["labels"]["istio.io/rev"] = "1-24"
    assert "--loopback-only" in container(inject(asked), "shadow-redirect")["args"]


def test_the_admin_apis_port_is_known_to_conflict_and_can_be_moved() -> None:
    asked = pod({"upstream-port": "grpc"})
    asked["spec"]["containers"][0]["ports"].append({"name": "other", "containerPort": 9096})
    with pytest.raises(InjectError, match="admin-port: 9096 is a port of container 'server'"):
        inject(asked)
    asked["metadata"]["annotations"]["shadow-sidecar/admin-port"] = "9196"
    assert "--admin=127.0.0.1:9196" in container(inject(asked), "shadow-observer")["args"]
    assert not [a for a in container(inject(pod()), "shadow-observer")["args"] if "admin" in a]


def test_a_secret_opens_the_admin_api_with_mutual_tls_and_its_absence_stops_no_pod() -> None:
    made = inject(pod({"admin-secret": "digits-tls"}))
    observer = container(made, "shadow-observer")
    assert "--admin=[::]:9096" in observer["args"]
    values = {e["name"]: e.get("value", "") for e in observer["env"]}
    files = {k.rpartition("__")[2]: v for k, v in values.items() if "ADMIN__TLS" in k}
    (mount,) = (m["mountPath"] for m in observer["volumeMounts"] if m["name"] == "shadow-tap-tls")
    assert files == {
        "CERT": f"{mount}/tls.crt",
        "KEY": f"{mount}/tls.key",
        "CA": f"{mount}/ca.crt",
    }
    (volume,) = (v for v in made["spec"]["volumes"] if v["name"] == "shadow-tap-tls")
    assert volume["secret"] == {"secretName": "digits-tls", "optional": True}
    assert {p["containerPort"] for p in observer["ports"]} == {9095, 9096}


def test_where_the_namespace_gives_the_user_none_is_named() -> None:
    """OpenShift: one user for the whole pod, whom nobody knows beforehand."""
    made = inject(pod({"run-as-user": "auto"}))
    for name in ("shadow-wire", "shadow-observer"):
        context = container(made, name)["securityContext"]
        assert not {"runAsUser", "runAsGroup"} & context.keys()
        assert context["runAsNonRoot"] is True
    with pytest.raises(InjectError, match="auto does not go with redirect"):
        inject(pod({"run-as-user": "auto", "intercept": "redirect"}))


def test_on_a_full_node_the_wire_stands_above_the_observer_behind_it() -> None:
    """Requests are weights there, and no process's own priority reaches out of its container."""
    made = inject(pod())
    wire, observer = (container(made, name) for name in ("shadow-wire", "shadow-observer"))
    asked = [quantity(it["resources"]["requests"]["cpu"]) for it in (wire, observer)]
    assert asked[0] >= 2 * asked[1]
