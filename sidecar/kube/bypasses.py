"""Ways past the wire, and ways in which a policy stops it. Pure.

The wire is reached because a Service names its target port. What tells the model's port by its
number goes on to the model, unseen, or is cut off where a policy knows that number only. And the
redirect needs a right that not every namespace gives: there no pod starts, the model's neither.

Rule: a line says which object, what it does and what to do; what cannot be told from the objects at
hand is not said. Counterparts: `manifests`, with the objects of one text; `run.doctor`, with those
of a namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.kube.containers import OBSERVER, REDIRECT, WIRE
from sidecar.kube.options import PREFIX, quantity

Object = Mapping[str, Any]
OURS = frozenset({WIRE, OBSERVER, REDIRECT})
ENFORCE = "pod-security.kubernetes.io/enforce"
NO_NET_ADMIN = frozenset({"restricted", "baseline"})
KSERVE_LABEL = "serving.kserve.io/inferenceservice"
REDIRECTING = f"the annotation {PREFIX}intercept: redirect"


@dataclass(frozen=True, slots=True)
class Injected:
    """Pods of one template that have the sidecar."""

    namespace: str
    labels: Mapping[str, str]
    upstream: int  # the model's port
    listen: int  # the wire's
    intercept: str  # "port" or "redirect"
    containers: Sequence[Object] = ()  # the sidecar's

    @property
    def moved(self) -> int | None:
        """The number that used to lead to the model and now goes past the wire; None: none."""
        return self.upstream if self.intercept == "port" and self.upstream != self.listen else None


def injected_of(pod: Object, namespace: str, status: Object) -> Injected:
    """From a pod, or its template, and what `inject` noted on it.

    Raises:
        KeyError, TypeError, ValueError: the note is none.
    """
    spec = pod.get("spec") or {}
    return Injected(
        namespace,
        (pod.get("metadata") or {}).get("labels") or {},
        int(status["upstream"]),
        int(status["listen"]),
        str(status["intercept"]),
        [c for c in spec.get("initContainers") or () if c.get("name") in OURS],
    )


def ways_past(pods: Iterable[Injected], objects: Iterable[Object]) -> Iterator[str]:
    """One line for each, in the objects' order."""
    pods = list(pods)
    looks = {
        "Service": _service,
        "NetworkPolicy": _network_policy,
        "AuthorizationPolicy": _authorization_policy,
        "Namespace": _namespace,
        "LimitRange": refused_by_limits,
    }
    for thing in objects:
        look = looks.get(str(thing.get("kind")))
        if look is not None:
            # Two workloads of the same kind may have the same trouble.
            yield from dict.fromkeys(line for pod in pods for line in look(pod, thing))


def kserve_line(pod: Object, injected: Injected) -> str | None:
    """What is to be said of a pod that KServe has made and the webhook has injected."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    if KSERVE_LABEL not in labels or injected.moved is None:
        return None
    return (
        f"KServe's Service leads to port {injected.moved} by its number, past the wire: put "
        f"{PREFIX}intercept: redirect on the InferenceService, or let `shadow-sidecar inject` "
        "change it"
    )


def refused_redirect(enforced: str) -> str:
    """Why a redirect cannot be where a Pod Security level is enforced."""
    return (
        f"Pod Security {enforced!r} is enforced, which refuses the redirect's NET_ADMIN: no pod "
        f"would start; use {PREFIX}intercept: port"
    )


def _title(thing: Object) -> str:
    return f"{thing.get('kind')} {(thing.get('metadata') or {}).get('name')}"


def _about(pod: Injected, thing: Object, selector: Mapping[str, Any] | None) -> bool:
    """Whether an object's selector, as matchLabels, is about the pod; an empty one is about all."""
    return _same_space(pod, thing) and (selector or {}).items() <= pod.labels.items()


def _same_space(pod: Injected, thing: Object) -> bool:
    own = (thing.get("metadata") or {}).get("namespace")
    return not own or not pod.namespace or own == pod.namespace


def _selects(pod: Injected, selector: Mapping[str, Any] | None) -> bool:
    """A LabelSelector; what has expressions is taken to be about the pod only by its labels."""
    return ((selector or {}).get("matchLabels") or {}).items() <= pod.labels.items()


def _service(pod: Injected, service: Object) -> Iterator[str]:
    spec = service.get("spec") or {}
    if not spec.get("selector") or not _about(pod, service, spec["selector"]) or pod.moved is None:
        return
    for port in spec.get("ports") or ():
        target = port.get("targetPort", port.get("port"))
        if target == pod.moved:
            yield (
                f"{_title(service)}: targetPort {target} goes to the model, past the wire; "
                f"name the port, or use {REDIRECTING}"
            )
        elif spec.get("clusterIP") == "None" and port.get("port") == pod.moved:
            yield (
                f"{_title(service)}: it is headless, so clients dial {pod.moved} at the pod, which "
                f"is the model's, past the wire; use {REDIRECTING}, or let the model listen "
                f"elsewhere: {PREFIX}listen-port: {pod.moved!r}".replace("'", '"')
            )


def _network_policy(pod: Injected, policy: Object) -> Iterator[str]:
    spec = policy.get("spec") or {}
    if pod.moved is None:
        return
    if _same_space(pod, policy) and _selects(pod, spec.get("podSelector")):
        for rule in spec.get("ingress") or ():
            if _numbers(rule, pod.moved) and not _numbers(rule, pod.listen):
                yield (
                    f"{_title(policy)}: it lets calls in at {pod.moved}, and they come to "
                    f"{pod.listen} now: they are cut off; name the port"
                )
    for rule in spec.get("egress") or ():
        peers = [peer for peer in rule.get("to") or () if "podSelector" in peer]
        if not any(_selects(pod, peer["podSelector"]) for peer in peers):
            continue
        if _numbers(rule, pod.moved) and not _numbers(rule, pod.listen):
            yield (
                f"{_title(policy)}: it lets calls out to {pod.moved}, and they go to {pod.listen} "
                "now: they are cut off; name the port"
            )


def _numbers(rule: Object, port: int) -> bool:
    """Whether a rule of a NetworkPolicy has the port by its number, in a range perhaps."""
    for one in rule.get("ports") or ():
        first = one.get("port")
        if isinstance(first, int) and first <= port <= int(one.get("endPort", first)):
            return True
    return False


def _authorization_policy(pod: Injected, policy: Object) -> Iterator[str]:
    spec = policy.get("spec") or {}
    if pod.moved is None or not _same_space(pod, policy) or not _selects(pod, spec.get("selector")):
        return
    for rule in spec.get("rules") or ():
        for to in rule.get("to") or ():
            ports = [str(p) for p in (to.get("operation") or {}).get("ports") or ()]
            if str(pod.moved) in ports and str(pod.listen) not in ports:
                yield (
                    f"{_title(policy)}: it is about port {pod.moved}, and calls come to "
                    f"{pod.listen} now; add that port"
                )


def _namespace(pod: Injected, namespace: Object) -> Iterator[str]:
    metadata = namespace.get("metadata") or {}
    enforced = (metadata.get("labels") or {}).get(ENFORCE)
    here = metadata.get("name") == pod.namespace
    if here and pod.intercept == "redirect" and enforced in NO_NET_ADMIN:
        yield f"{_title(namespace)}: {refused_redirect(str(enforced))}"


def refused_by_limits(pod: Injected, limits: Object) -> Iterator[str]:
    """Why a LimitRange would let no pod with these containers of ours start."""
    if not _same_space(pod, limits):
        return
    for one in (limits.get("spec") or {}).get("limits") or ():
        if one.get("type") != "Container":
            continue
        for container in pod.containers:
            for why in _outside(container.get("resources") or {}, one):
                yield (
                    f"{_title(limits)}: container {container.get('name')}: {why}: no pod would "
                    f"start; {_adjust(str(container.get('name')))}"
                )


def _adjust(name: str) -> str:
    if name == REDIRECT:
        return f"use {PREFIX}intercept: port"
    role = "wire" if name == WIRE else "observer"
    return f"see {PREFIX}{role}-cpu and {PREFIX}{role}-memory"


def _outside(resources: Object, bounds: Object) -> Iterator[str]:
    for kind in ("cpu", "memory"):
        given = {half: _number(resources.get(half), kind) for half in ("requests", "limits")}
        least, most = _number(bounds.get("min"), kind), _number(bounds.get("max"), kind)
        ratio = _number(bounds.get("maxLimitRequestRatio"), kind)
        request, limit = given["requests"], given["limits"]
        if least is not None and request is not None and request < least:
            asked = _amount(resources, "requests", kind)
            yield f"requests {asked}, {bounds['min'][kind]} is the least"
        if most is not None and limit is not None and limit > most:
            allowed = bounds["max"][kind]
            yield f"may use {_amount(resources, 'limits', kind)}, {allowed} is the most"
        if ratio is not None and request and limit is not None and limit / request > ratio:
            allowed = bounds["maxLimitRequestRatio"][kind]
            yield f"its limit of {kind} is {limit / request:g} times its request, at most {allowed}"


def _amount(resources: Object, half: str, kind: str) -> str:
    return f"{resources[half][kind]} of {kind}"


def _number(values: Any, kind: str) -> float | None:
    value = (values or {}).get(kind)
    try:
        return None if value is None else quantity(str(value))
    except ValueError:  # a form of quantity that we do not read
        return None
