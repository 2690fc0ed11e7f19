"""The sidecar out of a pod again: what `inject` does, undone. Pure.

Rule: `uninject(inject(pod))` is the pod, to the last probe, from what `inject` noted on it; of one
that an older version injected, which noted less, what follows from the rest: a probe that named its
port has the number then. Label and annotations that ask stay, so that `inject` of it is the same
again. Counterpart: `inject`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from sidecar.kube import patch
from sidecar.kube.containers import OBSERVER, REDIRECT, TAP_VOLUME, WIRE
from sidecar.kube.inject import DEFAULT_GRACE, Pod, is_injected
from sidecar.kube.options import (
    PREFIX,
    REASON_ANNOTATION,
    STATUS_ANNOTATION,
    UNDO_ANNOTATION,
    Options,
    parse_options,
)

_ROUTE = re.compile(r"--route=.*:(\d+)=.*:(\d+)")
_OURS = frozenset({WIRE, OBSERVER, REDIRECT})
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def uninject(pod: Pod) -> Pod:
    """The pod without the sidecar; the same pod if it has none. The argument is not changed."""
    if not is_injected(pod):
        return pod
    made = copy.deepcopy(pod)
    spec, metadata = made["spec"], made.setdefault("metadata", {})
    annotations = metadata.get("annotations") or {}
    wire = next(c for c in spec["initContainers"] if c.get("name") == WIRE)
    _without(spec, "initContainers", lambda c: c.get("name") in _OURS)
    _without(spec, "volumes", lambda v: str(v.get("name", "")).startswith(TAP_VOLUME))
    if not _from_note(spec, annotations):
        _by_inference(spec, annotations, wire)
    for name in _noted_defaults(annotations):
        annotations.pop(PREFIX + name, None)
    for note in (STATUS_ANNOTATION, UNDO_ANNOTATION, REASON_ANNOTATION):
        annotations.pop(note, None)
    if not annotations and "annotations" in metadata:
        del metadata["annotations"]
    return made


def injected_by(pod: Pod) -> str:
    """The version that injected the pod; empty where nobody noted it."""
    notes = (pod.get("metadata") or {}).get("annotations") or {}
    try:
        return str(json.loads(notes[STATUS_ANNOTATION])["version"])
    except (KeyError, TypeError, ValueError):
        return ""


def _without(spec: dict[str, Any], key: str, ours: Any) -> None:
    spec[key] = [one for one in spec.get(key) or () if not ours(one)]
    if not spec[key]:
        del spec[key]


def _note(annotations: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(annotations[UNDO_ANNOTATION])
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _noted_defaults(annotations: Mapping[str, Any]) -> list[str]:
    return list(_note(annotations).get("defaults") or ())


def _from_note(spec: dict[str, Any], annotations: Mapping[str, Any]) -> bool:
    """Undo by the note; False where there is none, or somebody has changed the container since."""
    note = _note(annotations)
    containers = spec.get("containers") or []
    for number, container in enumerate(containers):
        if note and container.get("name") == note.get("container"):
            try:
                restored = patch.apply(copy.deepcopy(container), note["model"])
            except (KeyError, IndexError, ValueError, TypeError):
                return False
            containers[number] = restored
            _set_grace(spec, note.get("grace"))
            return True
    return False


def _set_grace(spec: dict[str, Any], grace: Any) -> None:
    spec.pop("terminationGracePeriodSeconds", None)
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace


def _by_inference(
    spec: dict[str, Any], annotations: Mapping[str, Any], wire: Mapping[str, Any]
) -> None:
    options, _ = parse_options(annotations, {})
    listen, upstream = _ports(annotations, wire)
    if not listen or not upstream:
        return
    model = _model(spec, options, listen, upstream)
    if model is None:
        return
    moved = not (isinstance(options.upstream_port, int) and options.listen_port == listen)
    for port in model.get("ports") or ():
        if options.intercept == "port" and moved and port.get("containerPort") == listen:
            port["containerPort"] = upstream
            if spec.get("hostNetwork") and port.get("hostPort") == listen:
                port["hostPort"] = upstream
    if options.intercept == "redirect":
        for probe in _PROBES:
            check = (model.get(probe) or {}).get("tcpSocket") or {}
            if check.get("port") == options.probe_port:
                check["port"] = upstream
    _let_it_go(spec, model, options)


def _let_it_go(spec: dict[str, Any], model: dict[str, Any], options: Options) -> None:
    """The model's preStop and the grace time, where they are what `inject` would have added."""
    added = options.drain_seconds
    lifecycle = model.get("lifecycle") or {}
    if lifecycle.get("preStop") == {"sleep": {"seconds": options.pre_stop_seconds}}:
        added += options.pre_stop_seconds
        rest = {k: v for k, v in lifecycle.items() if k != "preStop"}
        model["lifecycle"] = rest
        if not rest:
            del model["lifecycle"]
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace >= added:
        left = grace - added
        _set_grace(spec, None if left == DEFAULT_GRACE else left)


def _ports(annotations: Mapping[str, Any], wire: Mapping[str, Any]) -> tuple[int, int]:
    """The wire's and the model's: as noted, or as the wire was told."""
    try:
        status = json.loads(annotations[STATUS_ANNOTATION])
        return int(status["listen"]), int(status["upstream"])
    except (KeyError, TypeError, ValueError):
        pass
    for argument in wire.get("args") or ():
        if found := _ROUTE.fullmatch(str(argument)):
            return int(found[1]), int(found[2])
    return 0, 0


def _model(
    spec: Mapping[str, Any], options: Options, listen: int, upstream: int
) -> dict[str, Any] | None:
    containers = [c for c in spec.get("containers") or () if isinstance(c, dict)]
    if options.container is not None:
        return next((c for c in containers if c.get("name") == options.container), None)
    wanted = listen if options.intercept == "port" else upstream
    for container in containers:
        if any(p.get("containerPort") == wanted for p in container.get("ports") or ()):
            return container
    return containers[0] if len(containers) == 1 else None
