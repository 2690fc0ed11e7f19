"""The containers and volumes that are injected, as Kubernetes writes them.

Rule: each is a function of the options and two port numbers, nothing else. Counterparts:
`inject`, which places them, and the processes that run in them: `sidecar.wire`, `guard` with
`shadow-sidecar observe`, `redirect` and `listening`.
"""

from __future__ import annotations

from typing import Any

from sidecar.kube.options import FOLLOWED, PREFIX, Amount, Options, quantity

WIRE = "shadow-wire"
WIRE_SHARE = 7 / 8
OBSERVER = "shadow-observer"
REDIRECT = "shadow-redirect"
TAP_VOLUME = "shadow-tap"
CONFIG_VOLUME = "shadow-tap-config"
POD_VOLUME = "shadow-tap-pod"
TLS_VOLUME, TLS_PATH = "shadow-tap-tls", "/etc/shadow-sidecar-tls"
STATE_VOLUME = "shadow-tap-state"
STATE_MOUNT = "/var/lib/shadow-sidecar"
STATE_PATH = f"{STATE_MOUNT}/state"  # the volume itself is open to all users of the pod
WIRE_PORT_NAME = "shadow-wire"
HTTP_PORT_NAME = "shadow-http"
ADMIN_PORT_NAME = "shadow-admin"
ADMIN_PORT = 9096
TAP_MOUNT = "/run/shadow-sidecar"
# Kubernetes opens the volume to everybody; the wire makes a folder in it that is its user's alone.
TAP_PATH = f"{TAP_MOUNT}/tap/tap.sock"
LEAVE_PATH = f"{TAP_MOUNT}/wire.pid"
POD_PATH = "/etc/shadow-sidecar-pod"
CONFIG_PATH = "/etc/shadow-sidecar/config.yaml"
# A socket on [::] takes IPv4 as well; a pod without IPv4 addresses still has 127.0.0.1.
LOOPBACK = {"auto": "127.0.0.1", "ipv4": "127.0.0.1", "ipv6": "[::1]"}
ANY = {"auto": "[::]", "ipv4": "0.0.0.0", "ipv6": "[::]"}


def wire_container(options: Options, listen: int, upstream: int, declare: bool) -> dict[str, Any]:
    """Production's path. `declare` says that no container declares the listening port yet."""
    family = options.ip_family
    route = f"{ANY[family]}:{listen}={LOOPBACK[family]}:{upstream}"
    accepting = {"exec": {"command": ["python", "-m", "sidecar.kube.listening", str(listen)]}}
    container: dict[str, Any] = {
        "name": WIRE,
        "image": options.image,
        "restartPolicy": "Always",
        "command": ["python", "-m", "sidecar.wire"],
        "args": [
            f"--route={route}",
            f"--tap={TAP_PATH}",
            f"--memory-bytes={wire_bytes(options)}",
            f"--drain-seconds={options.drain_seconds}",
            f"--resync={options.resync}",
            *([f"--leave={LEAVE_PATH}"] if options.leave == "goaway" else []),
        ],
        **_leaving(options),
        "startupProbe": accepting
        | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 60},
        # Fails only if connections wait and nobody accepts them; opens none itself.
        "livenessProbe": accepting
        | {
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
            "terminationGracePeriodSeconds": 5,
        },
        "resources": _resources(options.wire_cpu, options.wire_memory),
        "securityContext": _unprivileged(options),
        "volumeMounts": [{"name": TAP_VOLUME, "mountPath": TAP_MOUNT}],
    }
    if declare:
        container["ports"] = [_port(WIRE_PORT_NAME, listen)]
    return container


def _leaving(options: Options) -> dict[str, Any]:
    """What the wire does while the model sleeps in its own preStop: clients are asked to go.

    Both hooks begin when the pod's end does. By then the pod leaves its service, but connections
    that are open stay, and calls on them fail once the model has been told to end. Not at once,
    for until every node knows, a new connection might lead back here.
    """
    if options.leave != "goaway" or options.pre_stop_seconds < 2:
        return {}
    pause = min(10, options.pre_stop_seconds // 2)
    told = f'sleep {pause}; kill -USR1 "$(cat {LEAVE_PATH})"'
    return {"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", told]}}}}


def wire_bytes(options: Options) -> int:
    """What the wire may hold, of its container's memory; the kernel has the rest for sockets."""
    return int(quantity(options.wire_memory.limit) * WIRE_SHARE)


def observer_container(
    options: Options, service_name: str, own_ports: tuple[int, int]
) -> dict[str, Any]:
    """Everything behind the tap, held by the guard. `own_ports`: the wire's and the model's."""
    args = [f"--tap={TAP_PATH}", f"--http={ANY[options.ip_family]}:{options.http_port}"]
    args.append(f"--state={STATE_PATH}")
    args += [f"--config={CONFIG_PATH}"] if options.config_map else []
    if options.admin_port is not None or options.admin_secret is not None:
        hosts = LOOPBACK if options.admin_secret is None else ANY
        args.append(f"--admin={hosts[options.ip_family]}:{options.admin_port or ADMIN_PORT}")
    guard = ["python", "-m", "sidecar.kube.guard"]
    guard.append(f"--memory={int(quantity(options.observer_memory.limit) * 0.9)}")
    guard.append(f"--live=http://{LOOPBACK[options.ip_family]}:{options.http_port}/livez")
    guard.append(f"--annotations={POD_PATH}")
    guard += [f"--own-port={port}" for port in own_ports]
    mounts: list[dict[str, Any]] = [
        {"name": TAP_VOLUME, "mountPath": TAP_MOUNT},
        {"name": POD_VOLUME, "mountPath": POD_PATH, "readOnly": True},
        {"name": STATE_VOLUME, "mountPath": STATE_MOUNT},
    ]
    if options.config_map:
        directory = CONFIG_PATH.rpartition("/")[0]
        mounts.append({"name": CONFIG_VOLUME, "mountPath": directory, "readOnly": True})
    ports = [_port(HTTP_PORT_NAME, options.http_port)]
    if options.admin_secret is not None:
        ports.append(_port(ADMIN_PORT_NAME, options.admin_port or ADMIN_PORT))
        mounts.append({"name": TLS_VOLUME, "mountPath": TLS_PATH, "readOnly": True})
    return {
        "name": OBSERVER,
        "image": options.image,
        "restartPolicy": "Always",
        "command": [*guard, "--", "shadow-sidecar", "observe"],
        "args": args,
        "env": _environment(options, service_name),
        "ports": ports,
        "resources": _resources(options.observer_cpu, options.observer_memory),
        "securityContext": _unprivileged(options),
        "volumeMounts": mounts,
    }


def redirect_container(
    options: Options, listen: int, upstream: int, inbound: bool
) -> dict[str, Any]:
    """Sets the packet filter and ends. `inbound` is False where a mesh takes inbound traffic."""
    args = [f"--listen={listen}", f"--upstream={upstream}", f"--probe={options.probe_port}"]
    args += [f"--uid={options.run_as_user}", f"--family={options.ip_family}"]
    args += [] if inbound else ["--loopback-only"]
    return {
        "name": REDIRECT,
        "image": options.image,
        "command": ["python", "-m", "sidecar.kube.redirect"],
        "args": args,
        "resources": _resources(Amount("10m", "500m"), Amount("32Mi", "64Mi")),
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def volumes(options: Options) -> list[dict[str, Any]]:
    """The tap's directory, in memory; the pod's annotations; what was counted; the configuration.

    What was counted lives as long as the pod, so that a container's restart loses nothing. It has
    no limit of size: a pod that goes over one is evicted, and the model with it. A ConfigMap that
    is not there must not keep the model from starting, hence `optional`.
    """
    items = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.annotations['{PREFIX}{name}']"}}
        for name in FOLLOWED
    ]
    made: list[dict[str, Any]] = [
        {"name": TAP_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": POD_VOLUME, "downwardAPI": {"items": items}},
        {"name": STATE_VOLUME, "emptyDir": {}},
    ]
    if options.config_map is not None:
        config = {"name": options.config_map, "optional": True}
        made.append({"name": CONFIG_VOLUME, "configMap": config})
    if options.admin_secret is not None:
        secret = {"secretName": options.admin_secret, "optional": True}
        made.append({"name": TLS_VOLUME, "secret": secret})
    return made


def _environment(options: Options, service_name: str) -> list[dict[str, Any]]:
    def field(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    resource = {
        "k8s.pod.name": "$(POD_NAME)",
        "k8s.namespace.name": "$(POD_NAMESPACE)",
        "k8s.node.name": "$(NODE_NAME)",
        "k8s.pod.uid": "$(POD_UID)",
    }
    environment = [
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_UID", "metadata.uid"),
        field("NODE_NAME", "spec.nodeName"),
        field("POD_IPS", "status.podIPs"),
        # Production's version, where answers do not tell it; empty without the label.
        field("POD_VERSION", "metadata.labels['app.kubernetes.io/version']"),
        # The sidecar's spans are the sidecar's: the model's own name would count its calls twice.
        {"name": "SHADOW_SIDECAR_TELEMETRY__WORKLOAD", "value": service_name},
        {
            "name": "OTEL_RESOURCE_ATTRIBUTES",
            "value": ",".join(f"{key}={value}" for key, value in resource.items()),
        },
    ]
    if options.admin_secret is not None:
        environment += [
            {"name": f"SHADOW_SIDECAR_ADMIN__TLS__{key}", "value": f"{TLS_PATH}/{file}"}
            for key, file in (("CERT", "tls.crt"), ("KEY", "tls.key"), ("CA", "ca.crt"))
        ]
    if options.otlp is not None:
        environment.append({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": options.otlp})
        if options.otlp_protocol != "grpc":
            name = "OTEL_EXPORTER_OTLP_PROTOCOL"
            environment.append({"name": name, "value": options.otlp_protocol})
        if options.otlp_metrics == "true":
            environment.append({"name": "OTEL_METRICS_EXPORTER", "value": "otlp"})
    else:  # the standard's default is this pod's own port 4317, where nobody listens
        environment.append({"name": "OTEL_TRACES_EXPORTER", "value": "none"})
    return environment


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _resources(cpu: Amount, memory: Amount) -> dict[str, Any]:
    return {
        "requests": {"cpu": cpu.request, "memory": memory.request},
        "limits": {"cpu": cpu.limit, "memory": memory.limit},
    }


def _unprivileged(options: Options) -> dict[str, Any]:
    """One user for both, so that the observer may open the wire's socket, and nobody else."""
    user = options.run_as_user
    numbers = {} if user is None else {"runAsUser": user, "runAsGroup": user}
    return {
        **numbers,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
