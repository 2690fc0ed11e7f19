"""What in a pod stands against the sidecar, and which of its ports is the model's.

Rule: pure; a pod is only looked at, and everything that is wrong is told at once, each after the
annotation or the part of the pod that it is about. Counterpart: `inject`, which acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.kube.containers import (
    ADMIN_PORT,
    OBSERVER,
    REDIRECT,
    TAP_VOLUME,
    WIRE,
    WIRE_SHARE,
    wire_bytes,
)
from sidecar.kube.options import PREFIX, Options
from sidecar.wire.memory import waiting_limit

MODEL_CONTAINERS = ("kserve-container", "mlserver", "triton", "tfserving", "model")
MODEL_PORT_NAMES = ("grpc", "h2c")  # as prefixes
MESH_CONTAINERS = (
    "istio-init",
    "istio-validation",
    "istio-proxy",
    "linkerd-init",
    "linkerd-network-validator",
    "linkerd-proxy",
)


def obstacles(spec: Mapping[str, Any], options: Options) -> list[str]:
    """What in the pod, whatever its ports are, cannot be lived with."""
    found = []
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    found += [
        f"{key}[{number}]: a container without a name"
        for key in ("initContainers", "containers")
        for number, container in enumerate(spec.get(key) or ())
        if not container.get("name")
    ]
    taken = {c.get("name") for c in containers} & {WIRE, OBSERVER, REDIRECT}
    found += [f"container {name!r}: the name belongs to the sidecar" for name in sorted(taken)]
    if any(v.get("name", "").startswith(TAP_VOLUME) for v in spec.get("volumes") or ()):
        found.append(f"volume {TAP_VOLUME!r}: the name belongs to the sidecar")
    if (spec.get("os") or {}).get("name") == "windows":
        found.append("os: windows is not supported")
    if options.intercept == "redirect" and spec.get("hostNetwork"):
        found.append(f"{PREFIX}intercept: redirect would change the node's own packet filter")
    if options.intercept == "redirect" and options.run_as_user is None:
        found.append(
            f"{PREFIX}run-as-user: auto does not go with redirect, which tells the sidecar's "
            "connections from others' by their user"
        )
    if not options.shadow and options.config_map is None:
        found.append(f"{PREFIX}shadow: required, unless {PREFIX}config-map names the shadows")
    try:
        waiting_limit(wire_bytes(options))
    except ValueError as error:
        limit = options.wire_memory.limit
        found.append(f"{PREFIX}wire-memory: {WIRE_SHARE:.1%} of {limit} is the wire's: {error}")
    if options.otlp_metrics == "true" and options.otlp is None:
        found.append(f"{PREFIX}otlp-metrics: goes with {PREFIX}otlp, which says where to")
    if options.rate is not None and not options.shadow:
        found.append(f"{PREFIX}rate: goes with {PREFIX}shadow; else the config map sets it")
    return found


def find_model(
    spec: Mapping[str, Any], options: Options, errors: list[str]
) -> tuple[dict[str, Any], int]:
    """The model's container and the number of its port; (`{}`, 0) with an error if not found."""
    containers = [c for c in spec.get("containers") or () if c.get("name") not in MESH_CONTAINERS]
    if options.container is not None:
        names = [c.get("name") for c in containers]
        containers = [c for c in containers if c.get("name") == options.container]
        if not containers:
            allowed = ", ".join(map(str, names))
            errors.append(f"{PREFIX}container: no container {options.container!r}; have: {allowed}")
            return {}, 0
    if not containers:
        errors.append("containers: the pod has none")
        return {}, 0
    ports = [
        (container, port)
        for container in containers
        for port in container.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    ]
    wanted = options.upstream_port
    if isinstance(wanted, int):
        found = [c for c, p in ports if p["containerPort"] == wanted]
        return (found[0] if found else _likely(containers)), wanted
    if wanted is not None:
        matching = [(c, p) for c, p in ports if p.get("name") == wanted]
    elif len(ports) == 1:
        matching = ports
    else:
        matching = [(c, p) for c, p in ports if p.get("name", "").startswith(MODEL_PORT_NAMES)]
    if len(matching) == 1:
        container, port = matching[0]
        return container, port["containerPort"]
    have = ", ".join(f"{p.get('name', 'unnamed')} ({p['containerPort']})" for _, p in ports)
    what = "required" if wanted is None else f"{wanted!r} names {len(matching)} ports"
    errors.append(f"{PREFIX}upstream-port: {what}; the pod's TCP ports: {have or 'none declared'}")
    return {}, 0


def _likely(containers: list[dict[str, Any]]) -> dict[str, Any]:
    named = {c.get("name"): c for c in containers}
    return next((named[n] for n in MODEL_CONTAINERS if n in named), containers[0])


def port_conflicts(
    spec: Mapping[str, Any], options: Options, listen: int, upstream: int
) -> list[str]:
    """Ports of the sidecar's own that somebody has already."""
    own = {
        "listen-port": listen,
        "http-port": options.http_port,
        "admin-port": options.admin_port or ADMIN_PORT,
    }
    if options.intercept == "redirect":
        own["probe-port"] = options.probe_port
    declared = {
        port["containerPort"]: container["name"]
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
    }
    # A listen port that was asked for may take over a declared number: the model has moved away.
    asked = {options.listen_port} if options.intercept == "port" else set()
    conflicts = [
        f"{PREFIX}{name}: {port} is a port of container {declared[port]!r}"
        for name, port in own.items()
        if port in declared and port != upstream and port not in asked
    ]
    own["upstream-port"] = upstream
    for name, port in own.items():
        same = [other for other, number in own.items() if number == port and other < name]
        conflicts += [f"{PREFIX}{name}: {port} is also {PREFIX}{other}" for other in same]
    return conflicts
