"""Each kind of object that carries a pod: finds it, injects it, puts it back.

Rule: pure; an object that is not known, or asks for nothing, comes back as it was. The label and
the annotations may stand on the pod template or on the object around it; the template's win.
Counterparts: `templates`, which knows where kinds keep their pods; `inject`, which knows pods only;
`manifests` and `webhook`, which know text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sidecar import __version__
from sidecar.kube.inject import Pod, inject, is_injected, wants_injection
from sidecar.kube.options import (
    PREFIX,
    InjectError,
    parse_options,
)
from sidecar.kube.templates import TEMPLATES, Object, at, request_of, title
from sidecar.kube.uninject import injected_by, uninject

Change: TypeAlias = Callable[[Pod], Pod]
"""The same pod where there is nothing to change; may raise `InjectError`."""

# The names under which KServe's predictor keeps a container without saying so.
KSERVE_SHORTHANDS = (
    "model",
    "huggingface",
    "lightgbm",
    "onnx",
    "paddle",
    "pmml",
    "pytorch",
    "sklearn",
    "tensorflow",
    "triton",
    "xgboost",
)
KSERVE_CONTAINER = "kserve-container"
KSERVE_MODE = "serving.kserve.io/deploymentMode"
KNATIVE = ("Service", "Configuration", "Revision")
SERVERLESS = "Knative does not let native sidecars, host ports and probes through to the pod"
SELDON_CORE = (
    "Seldon Core's own orchestrator stands before the model, in a pod that it makes: label the "
    "Deployment that it has made, and the webhook injects that, with intercept: redirect and "
    "upstream-port"
)
PARTIAL = "declare the model's port here, so that the service follows it, or use redirect"


def inject_object(
    document: Object, defaults: Mapping[str, str], *, upgrade: bool = False
) -> Object:
    """The object with every pod in it injected that asks for it. The argument is not changed.

    Args:
        document: the object.
        defaults: option values by name.
        upgrade: what another version injected is taken out and injected anew.

    Raises:
        InjectError: with every error, each after the object's kind and name.
    """
    if upgrade and injected_versions(document) - {"", __version__}:
        document = uninject_object(document)
    return _changed(document, lambda pod: inject(pod, defaults), defaults)


def uninject_object(document: Object) -> Object:
    """The object without the sidecar; the same object where there is none."""
    return _changed(document, uninject, None)


def injected_versions(document: Object) -> set[str]:
    """By which versions pods in the object were injected; empty: nobody noted it."""
    found: set[str] = set()

    def look(pod: Pod) -> Pod:
        if is_injected(pod):
            found.add(injected_by(pod))
        return pod

    _changed(document, look, None)
    return found


def _changed(document: Object, change: Change, defaults: Mapping[str, str] | None) -> Object:
    """The object with its pods changed; `defaults`: by which they are injected, None: they are not.

    Raises:
        InjectError: as `inject_object`.
    """
    kind = document.get("kind")
    group = str(document.get("apiVersion", "")).partition("/")[0]
    if kind == "List" or (isinstance(kind, str) and kind.endswith("List")):
        return _change_list(document, change, defaults)
    try:
        if kind in TEMPLATES:
            return _change_template(document, TEMPLATES[str(kind)], change)
        if defaults is not None and kind in KNATIVE and group == "serving.knative.dev":
            _refuse_knative(document)
        if kind == "InferenceService" and group == "serving.kserve.io":
            return _change_kserve(document, change, defaults)
        if (
            defaults is not None
            and kind == "SeldonDeployment"
            and group == "machinelearning.seldon.io"
        ):
            _refuse_seldon_core(document)
        if kind == "Server" and group == "mlops.seldon.io":
            return _change_seldon(document, change, defaults)
    except InjectError as error:
        raise InjectError([f"{title(document)}: {line}" for line in error.errors]) from None
    return document


def _change_list(document: Object, change: Change, defaults: Mapping[str, str] | None) -> Object:
    errors: list[str] = []
    items = []
    for item in document.get("items") or ():
        try:
            items.append(_changed(item, change, defaults) if isinstance(item, dict) else item)
        except InjectError as error:
            errors += error.errors
    if errors:
        raise InjectError(errors)
    return {**document, "items": items} if "items" in document else document


def _change_template(document: Object, path: tuple[str, ...], change: Change) -> Object:
    template = at(document, path)
    if template is None:
        return document
    mine = request_of(document) if path else {"labels": {}, "annotations": {}}
    metadata = template.get("metadata") or {}
    asking = {half: mine[half] | (metadata.get(half) or {}) for half in mine}
    pod = {**template, "metadata": {**metadata, **asking}}
    made = change(pod)
    if made is pod:
        return document
    if is_injected(pod):  # what stands around the template is its owner's, not the template's
        made = _without_the_owners(made, mine)
        holder = dict(at(document, path) or {})
        for key in [k for k in holder if k in {"metadata", "spec"} and k not in made]:
            del holder[key]
        return _with(document, path, {**holder, **made}) if path else {**document, **made}
    return _with(document, path, made)


def _without_the_owners(made: Pod, mine: Mapping[str, Mapping[str, str]]) -> Pod:
    """A template without the labels and annotations that the workload around it says as well."""
    metadata = dict(made.get("metadata") or {})
    for half in ("labels", "annotations"):
        told = metadata.pop(half, None) or {}
        if kept := {k: v for k, v in told.items() if mine[half].get(k) != v}:
            metadata[half] = kept
    return {**made, "metadata": metadata}


def _change_kserve(document: Object, change: Change, defaults: Mapping[str, str] | None) -> Object:
    predictor = (document.get("spec") or {}).get("predictor")
    if not isinstance(predictor, dict):
        return document
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    asked = (
        request_of(document)["labels"] | request_of({"metadata": predictor})["labels"]
    ).values()
    if "true" in asked and annotations.get(KSERVE_MODE, "").lower() in {"serverless", "knative"}:
        raise InjectError([f"{KSERVE_MODE}: {SERVERLESS}; RawDeployment can be injected"])
    shorthand = next((k for k in KSERVE_SHORTHANDS if isinstance(predictor.get(k), dict)), None)
    spec = {key: value for key, value in predictor.items() if key not in {"labels", "annotations"}}
    if shorthand is not None:
        container = {"name": KSERVE_CONTAINER, **spec.pop(shorthand)}
        spec["containers"] = [container, *(spec.get("containers") or ())]
    pod = _pod(document, predictor, spec if defaults is None else _with_probe(spec))
    _refuse_partial(pod, f"spec.predictor.{shorthand or 'containers'}.ports", defaults)
    made = change(pod)
    if defaults is None and made is not pod:
        made = {**made, "spec": _without_probe(made["spec"])}
    if made is pod:
        return document
    spec = made["spec"]
    if shorthand is not None:
        first, *others = spec.pop("containers")
        if "name" not in predictor[shorthand]:
            del first["name"]
        spec |= {shorthand: first} | ({"containers": others} if others else {})
    kept = {key: predictor[key] for key in ("labels", "annotations") if key in predictor}
    # In the predictor's own order, so that a printed manifest differs where it changed.
    ordered = {k: (kept | spec)[k] for k in predictor if k in kept | spec}
    changed = _put(document, ("spec", "predictor"), ordered | kept | spec)
    return _annotated(changed, pod, made)


def _with_probe(spec: dict[str, Any]) -> dict[str, Any]:
    """A probe of the model's own port where there is none.

    KServe would add one of the first port that is declared, which is the wire's after injection,
    and the wire accepts before there is a model. A number that is declared here still means the
    model, and `inject` leads it around a redirect.
    """
    first, *others = spec.get("containers") or [{}]
    ports = first.get("ports") or ()
    if not ports or first.get("readinessProbe") or "containerPort" not in ports[0]:
        return spec
    probe = {"tcpSocket": {"port": ports[0]["containerPort"]}, "periodSeconds": 10}
    return spec | {"containers": [{**first, "readinessProbe": probe}, *others]}


def _without_probe(spec: dict[str, Any]) -> dict[str, Any]:
    """What `_with_probe` has added is taken away again."""
    first, *others = spec.get("containers") or [{}]
    if not (
        first.get("ports")
        and _with_probe(spec | {"containers": [_unprobed(first)]})
        == (spec | {"containers": [first]})
    ):
        return spec
    return spec | {"containers": [_unprobed(first), *others]}


def _unprobed(container: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in container.items() if key != "readinessProbe"}


def _refuse_knative(document: Object) -> None:
    template = at(document, ("spec", "template")) or document
    if "true" in (request_of(document)["labels"] | request_of(template)["labels"]).values():
        raise InjectError([f"{SERVERLESS}; run the model as a Deployment"])


def _refuse_seldon_core(document: Object) -> None:
    predictors = (document.get("spec") or {}).get("predictors") or ()
    parts = [part for one in predictors for part in (one or {}).get("componentSpecs") or ()]
    if any("true" in request_of(one or {})["labels"].values() for one in (document, *parts)):
        raise InjectError([SELDON_CORE])


def _change_seldon(document: Object, change: Change, defaults: Mapping[str, str] | None) -> Object:
    """`podSpec` is laid over the server configuration's by Seldon, container by container."""
    own = (document.get("spec") or {}).get("podSpec") or {}
    server = str((document.get("spec") or {}).get("serverConfig", "mlserver"))
    spec = {**own, "containers": own.get("containers") or [{"name": server}]}
    pod = _pod(document, {}, spec)
    _refuse_partial(pod, "spec.podSpec.containers.ports", defaults)
    made = change(pod)
    if made is pod:
        return document
    if made["spec"] == {"containers": [{"name": server}]} and defaults is None:
        spec = {key: value for key, value in document["spec"].items() if key != "podSpec"}
        return _annotated(_put(document, ("spec",), spec), pod, made)
    return _annotated(_put(document, ("spec", "podSpec"), made["spec"]), pod, made)


def _refuse_partial(pod: Pod, where: str, defaults: Mapping[str, str] | None) -> None:
    """Of a pod of which the controller knows more than we see, the port must be seen.

    Raises:
        InjectError: it is not.
    """
    if defaults is None or not wants_injection(pod) or is_injected(pod):
        return
    options, _ = parse_options(pod["metadata"]["annotations"], defaults)
    if options.intercept == "port" and not any(
        container.get("ports") for container in pod["spec"]["containers"]
    ):
        raise InjectError([f"{where}: {PARTIAL} ({PREFIX}intercept)"])


def _pod(document: Object, inner: Mapping[str, Any], spec: dict[str, Any]) -> Pod:
    outer = document.get("metadata") or {}
    halves = ("labels", "annotations")
    metadata = {half: (outer.get(half) or {}) | (inner.get(half) or {}) for half in halves}
    return {"metadata": metadata, "spec": spec}


def _with(document: Object, path: tuple[str, ...], value: Any) -> Object:
    if not path:
        return {**document, **value}
    first, *rest = path
    return {**document, first: _with(document.get(first) or {}, tuple(rest), value)}


def _put(document: Object, path: tuple[str, ...], value: Any) -> Object:
    """The object with the value in the place of what was there."""
    first, *rest = path
    inner = _put(document.get(first) or {}, tuple(rest), value) if rest else value
    return {**document, first: inner}


def _annotated(document: Object, before: Pod, after: Pod) -> Object:
    """The object with the annotations that its pod has got, or lost; controllers hand them down."""
    known = before["metadata"]["annotations"]
    now = (after.get("metadata") or {}).get("annotations") or {}
    lost = known.keys() - now.keys()
    added = {k: v for k, v in now.items() if k not in known}
    annotations = document["metadata"].get("annotations") or {}
    kept = {k: v for k, v in annotations.items() if k not in lost}
    return _put(document, ("metadata", "annotations"), kept | added)
