"""What is wrong with a service's sidecars, from the objects of its namespace. Pure.

Rule: it says what the objects say, each with the next step. Counterparts: `bypasses`, which knows
the ways past the wire; `run.doctor`, which gets the objects; `serve.diagnosis`, about one sidecar.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.kube.bypasses import Injected, injected_of, ways_past
from sidecar.kube.options import INJECT_LABEL, REASON_ANNOTATION, STATUS_ANNOTATION
from sidecar.serve.diagnosis import Check, Finding

KINDS = (
    "pods,services,networkpolicies.networking.k8s.io,limitranges,namespaces,"
    "mutatingwebhookconfigurations.admissionregistration.k8s.io"
)
WEBHOOK = "shadow-sidecar"
OVER = frozenset({"Succeeded", "Failed"})

Object = Mapping[str, Any]


def examine(objects: Sequence[Object], service: str) -> list[Check]:
    """All checks of one service, in order.

    Args:
        objects: `KINDS` of its namespace, and AuthorizationPolicies where there are any.
        service: its name in that namespace.
    """
    found = next((o for o in objects if o.get("kind") == "Service" and _name(o) == service), None)
    if found is None:
        have = ", ".join(sorted(_name(o) for o in objects if o.get("kind") == "Service"))
        return [_wrong("service", f"no Service {service!r} here", f"there are: {have or 'none'}")]
    selector = (found.get("spec") or {}).get("selector") or {}
    pods = [o for o in objects if o.get("kind") == "Pod" and _is_behind(o, selector)]
    if not pods:
        return [_look("service", f"no pod is behind {service}", "start the model")]
    checks = [_ok("service", f"{len(pods)} pods are behind {service}")]
    checks += _webhook(objects)
    injected: dict[str, Injected] = {}
    for pod in pods:
        checks += _pod(pod, injected)
    alike: dict[str, Injected] = {}  # pods of a template are told of once
    for one in injected.values():
        alike.setdefault(repr((one.upstream, one.listen, one.intercept, sorted(one.labels))), one)
    lines = list(ways_past(alike.values(), objects))
    checks += [_wrong("ways past the wire", *_halves(line)) for line in lines]
    if injected and not lines:
        checks.append(_ok("ways past the wire", "none is seen"))
    return checks


def _webhook(objects: Sequence[Object]) -> list[Check]:
    configurations = [o for o in objects if o.get("kind") == "MutatingWebhookConfiguration"]
    own = next((o for o in configurations if _name(o) == WEBHOOK), None)
    if own is None:
        return [
            _look("webhook", "is not installed", "kubectl apply -k k8s/base, unless you inject")
        ]
    hooks = own.get("webhooks") or ()
    if any(not (hook.get("clientConfig") or {}).get("caBundle") for hook in hooks):
        step = "k8s/self-signed/certificate.sh, or look at cert-manager's cainjector"
        return [_wrong("webhook", "the API server does not trust it: no caBundle", step)]
    return [_ok("webhook", "is installed and trusted")]


def _pod(pod: Object, injected: dict[str, Injected]) -> list[Check]:
    metadata = pod.get("metadata") or {}
    notes, name = metadata.get("annotations") or {}, _name(pod)
    try:
        status = json.loads(notes[STATUS_ANNOTATION])
        injected[name] = injected_of(pod, str(metadata.get("namespace") or ""), status)
        return [_ok(f"pod {name}", f"has the sidecar, {status.get('version', '?')}")]
    except (KeyError, TypeError, ValueError):
        pass
    if (metadata.get("labels") or {}).get(INJECT_LABEL) != "true":
        step = f"label its workload {INJECT_LABEL}=true"
        return [_look(f"pod {name}", "did not ask for the sidecar", step)]
    if reason := notes.get(REASON_ANNOTATION):
        return [_wrong(f"pod {name}", f"was not injected: {reason}", "mend that, then restart it")]
    step = "is the webhook up and trusted? then restart the workload"
    return [_wrong(f"pod {name}", "asked for the sidecar, and nobody asked the webhook", step)]


def _is_behind(pod: Object, selector: Object) -> bool:
    labels = (pod.get("metadata") or {}).get("labels") or {}
    over = (pod.get("status") or {}).get("phase") in OVER
    return bool(selector) and not over and selector.items() <= labels.items()


def _halves(line: str) -> tuple[str, str]:
    """What is seen, and what to do: after the last semicolon."""
    seen, _, step = line.rpartition("; ")
    return (seen, step) if seen else (step, "")


def _name(thing: Object) -> str:
    return str((thing.get("metadata") or {}).get("name"))


def _ok(what: str, seen: str) -> Check:
    return Check(what, Finding.GOOD, seen)


def _look(what: str, seen: str, step: str) -> Check:
    return Check(what, Finding.LOOK, seen, step)


def _wrong(what: str, seen: str, step: str) -> Check:
    return Check(what, Finding.WRONG, seen, step)
