"""Pod in, pod out: puts the sidecar between a pod's service and its model server.

Rule: a pure function of the pod and the defaults; it never changes its argument, and injecting
twice is injecting once. Three faces use it: `command` (manifests), `webhook` (admission) and the
kustomize components, which are its output, committed.

Two facts of Kubernetes shape what is injected, because production comes first:
- A pod is Ready only while each of its containers is, native sidecars included, so an observer
  that exits would take production out of its service. The observer's container is therefore
  held by `guard`, which restarts the observer inside the container, and has no probe.
- A Service's named target port does not see a native sidecar's ports before Kubernetes 1.32. The
  name stays where it is, on the model's container, and its number becomes the wire's: container
  ports are declarations, and both containers share the pod's address.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from sidecar import __version__
from sidecar.kube import patch
from sidecar.kube.containers import (
    OBSERVER,
    WIRE,
    observer_container,
    redirect_container,
    volumes,
    wire_container,
)
from sidecar.kube.obstacles import MESH_CONTAINERS, find_model, obstacles, port_conflicts
from sidecar.kube.options import (
    FOLLOWED,
    INJECT_LABEL,
    PREFIX,
    REASON_ANNOTATION,
    STATUS_ANNOTATION,
    UNDO_ANNOTATION,
    InjectError,
    Options,
    parse_options,
    quantity,
)

Pod: TypeAlias = dict[str, Any]
"""`metadata` and `spec` of a pod or a pod template, as plain dicts, lists, strings and numbers."""

DEFAULT_LISTEN = 9094
DEFAULT_GRACE = 30  # Kubernetes' own


def wants_injection(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's label asks for the sidecar."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return bool(labels.get(INJECT_LABEL) == "true")


def is_injected(pod: Mapping[str, Any]) -> bool:
    """Whether the sidecar is there already, by whichever way it came."""
    spec = pod.get("spec") or {}
    names = {c.get("name") for c in spec.get("initContainers") or ()}
    return {WIRE, OBSERVER} <= names


def inject(pod: Pod, defaults: Mapping[str, str] | None = None) -> Pod:
    """The pod with the sidecar in it; the same pod if it does not ask for it or has it already.

    Args:
        pod: `metadata` and `spec`; it is not changed.
        defaults: option values by name, as in `options`; the pod's annotations overrule them.

    Raises:
        InjectError: with everything that stands against it.
    """
    if not wants_injection(pod) or is_injected(pod):
        return pod
    options, wrong = parse_options(pod["metadata"].get("annotations") or {}, defaults or {})
    pod = copy.deepcopy(pod)
    spec = pod.get("spec") or {}
    for key in [key for key, value in spec.items() if value is None]:
        del spec[key]  # a key that was left empty: to Kubernetes it is not there
    errors = obstacles(spec, options)
    model, upstream = find_model(spec, options, errors)
    listen = options.listen_port or DEFAULT_LISTEN
    errors += port_conflicts(spec, options, listen, upstream)
    if wrong or errors:
        # What cannot be read was not missing: one complaint about a key is enough.
        told = {line.partition(":")[0] for line in wrong}
        raise InjectError(wrong + [e for e in errors if e.partition(":")[0] not in told])

    model_before = copy.deepcopy(model)
    grace_before = spec.get("terminationGracePeriodSeconds")
    mesh = _has_mesh(pod) if options.mesh == "auto" else options.mesh == "true"
    if options.intercept == "port":
        declared = _point_ports_at(spec, model, upstream, listen)
    else:
        declared = _tcp_probes_around_the_wire(model, upstream, options.probe_port)
    sidecars = [
        wire_container(options, listen, upstream, declare=not declared),
        observer_container(options, _service_name(pod, model, options), (listen, upstream)),
    ]
    if options.intercept == "redirect":
        sidecars.insert(0, redirect_container(options, listen, upstream, inbound=not mesh))
    if _is_guaranteed(spec):
        for container in sidecars:
            container["resources"]["requests"] = dict(container["resources"]["limits"])
    present = spec.setdefault("initContainers", [])
    place = 1 + max((i for i, c in enumerate(present) if c["name"] in MESH_CONTAINERS), default=-1)
    present[place:place] = sidecars
    spec.setdefault("volumes", []).extend(volumes(options))
    _let_it_drain(spec, model, options)
    status = {
        "version": __version__,
        "intercept": options.intercept,
        "listen": listen,
        "upstream": upstream,
    }
    annotations = pod["metadata"].get("annotations") or {}
    annotations = annotations | {STATUS_ANNOTATION: json.dumps(status)}
    # The observer's guard reads them from the pod, also where they are defaults.
    written = [n for n in FOLLOWED if n in (defaults or {}) and PREFIX + n not in annotations]
    annotations |= {PREFIX + name: (defaults or {})[name] for name in written}
    annotations[UNDO_ANNOTATION] = _undo_note(model, model_before, grace_before, written)
    pod["metadata"]["annotations"] = annotations
    return pod


def _undo_note(
    model: Mapping[str, Any], before: Mapping[str, Any], grace: Any, names: list[str]
) -> str:
    """What `uninject` needs to know.

    Args:
        model: the model's container, injected.
        before: as it was.
        grace: the pod's grace time as it was; None: it said none.
        names: options that came from defaults and were written as annotations.
    """
    note = {
        "container": before.get("name"),
        "model": patch.diff(model, before),
        "grace": grace,
        "defaults": names,
    }
    return json.dumps(note, separators=(",", ":"))


def with_reason(pod: Pod, errors: list[str]) -> Pod:
    """The pod as it came, with an annotation that says why it was not injected."""
    metadata = pod.get("metadata") or {}
    annotations = (metadata.get("annotations") or {}) | {REASON_ANNOTATION: "; ".join(errors)}
    return {**pod, "metadata": {**metadata, "annotations": annotations}}


def _has_mesh(pod: Mapping[str, Any]) -> bool:
    """Whether Istio or Linkerd has put, or will put, its proxy into the pod."""
    spec, metadata = pod["spec"], pod["metadata"]
    names = {c.get("name") for key in ("initContainers", "containers") for c in spec.get(key) or ()}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return (
        not names.isdisjoint(MESH_CONTAINERS)
        or "true" in {x.get("sidecar.istio.io/inject") for x in (labels, annotations)}
        or "sidecar.istio.io/status" in annotations
        or bool(labels.get("istio.io/rev"))
        or annotations.get("linkerd.io/inject") in {"enabled", "ingress"}
    )


def _point_ports_at(
    spec: Mapping[str, Any], model: dict[str, Any], upstream: int, listen: int
) -> bool:
    """Make the declaration of the model's port say the wire's. True if `listen` is declared."""
    declared = False
    for port in model.get("ports") or ():
        if port["containerPort"] == upstream and port.get("protocol", "TCP") == "TCP":
            port["containerPort"] = listen
            if spec.get("hostNetwork") and "hostPort" in port:
                port["hostPort"] = listen  # the two must be equal on the host's network
            name = port.get("name")
            for check in _checks(model):
                if name is not None and check.get("port") == name:
                    check["port"] = upstream  # a probe is about the model, not about the wire
        declared = declared or port["containerPort"] == listen
    return declared


def _tcp_probes_around_the_wire(model: dict[str, Any], upstream: int, probe_port: int) -> bool:
    """The wire accepts before the model listens: a bare connect would always succeed."""
    names = {
        p["name"]
        for p in model.get("ports") or ()
        if "name" in p and p["containerPort"] == upstream
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        check = (model.get(probe) or {}).get("tcpSocket") or {}
        if check.get("port") in {upstream, *names}:
            check["port"] = probe_port
    return False


def _checks(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Everything in the container that names one of its ports."""
    handlers = [model.get(p) or {} for p in ("startupProbe", "readinessProbe", "livenessProbe")]
    handlers += [h for h in (model.get("lifecycle") or {}).values() if isinstance(h, dict)]
    return [h[k] for h in handlers for k in ("httpGet", "tcpSocket") if isinstance(h.get(k), dict)]


def _service_name(pod: Mapping[str, Any], model: Mapping[str, Any], options: Options) -> str:
    labels = pod["metadata"].get("labels") or {}
    named = (labels.get(key) for key in ("app.kubernetes.io/name", "app"))
    return options.service_name or next(filter(None, named), model.get("name") or "model")


def _is_guaranteed(spec: Mapping[str, Any]) -> bool:
    """Whether the pod has the Guaranteed quality of service, which we must not take from it."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    for container in containers:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for kind in ("cpu", "memory"):
            if kind not in limits or not _equal(requests.get(kind, limits[kind]), limits[kind]):
                return False
    return True


def _equal(one: Any, other: Any) -> bool:
    """Of two quantities: 1, "1" and "1000m" are the same."""
    try:
        return quantity(str(one)) == quantity(str(other))
    except ValueError:  # a form that we do not read
        return bool(one == other)


def _let_it_drain(spec: dict[str, Any], model: dict[str, Any], options: Options) -> None:
    """Keep serving while the pod leaves its service; then let the last answers go out.

    Kubernetes ends native sidecars after the other containers, in reverse order, so the wire
    outlives the model by itself. What it cannot do is hold the model back: that takes the
    model's own preStop, which is added only where there is none.
    """
    grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE)
    added = options.drain_seconds
    if options.pre_stop_seconds and not (model.get("lifecycle") or {}).get("preStop"):
        lifecycle = model.get("lifecycle") or {}
        model["lifecycle"] = lifecycle | {
            "preStop": {"sleep": {"seconds": options.pre_stop_seconds}}
        }
        added += options.pre_stop_seconds
    spec["terminationGracePeriodSeconds"] = grace + added
