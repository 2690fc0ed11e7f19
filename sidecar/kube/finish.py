"""What nobody needs any more once a candidate is decided about. Pure.

Rule: nothing is deleted here. Of the manifests that are shown it says which objects served only the
shadow: its Service, the Deployment behind it, the observers' ConfigMap, policies about those; and
writes the workloads as they are without it. What another workload still names, or another Service
still leads to, stays. Counterparts: `run.finish`, which prints; `options`, whose words are undone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.kube.options import COPIED_ANNOTATION, INJECT_LABEL, PREFIX
from sidecar.kube.templates import TEMPLATES

SHADOW, CONFIG_MAP = PREFIX + "shadow", PREFIX + "config-map"
SERVERS = ("metadata.managedFields", "metadata.resourceVersion", "metadata.uid",
           "metadata.creationTimestamp", "metadata.generation", "status")  # fmt: skip
Document = Mapping[str, Any]


@dataclass(slots=True)
class Leftovers:
    """What is left of a shadow."""

    delete: list[dict[str, Any]] = field(default_factory=list)  # kind and name, no more
    apply: list[dict[str, Any]] = field(default_factory=list)  # whole workloads without it
    notes: list[str] = field(default_factory=list)  # for people: what and why


def leftovers(documents: Iterable[Document], shadow: str) -> Leftovers:
    """Look through manifests, lists included.

    Args:
        documents: as `kubectl get -o yaml` prints them.
        shadow: the name of the shadow that is decided about.
    """
    everything = list(_flat(documents))
    found = Leftovers()
    served: set[tuple[str, str]] = set()  # namespace and name of the shadow's Services
    still: set[tuple[str, str]] = set()  # those that are named by what stays
    configs: set[tuple[str, str]] = set()
    kept_configs: set[tuple[str, str]] = set()
    for document in everything:
        notes = _annotations(document)
        mine, others = _split(notes.get(SHADOW, ""), shadow)
        space = _space(document)
        still |= {_service(address, space) for address in others}
        config = notes.get(CONFIG_MAP)
        if not mine:
            kept_configs |= {(space, config)} if config else set()
            continue
        served |= {_service(address, space) for address in mine}
        if others:
            kept_configs |= {(space, config)} if config else set()
        elif config:
            configs.add((space, config))
        found.apply.append(_without(document, others))
        found.notes.append(
            f"{title(document)}: no longer {'shadows ' + shadow if others else 'has the sidecar'}"
        )
    services = {_key(d): d for d in everything if d.get("kind") == "Service"}
    for key in sorted(served - still):
        if key in services:
            _delete(found, services[key], f"only led to {shadow}")
        else:
            found.notes.append(f"Service {key[0]}/{key[1]}: named as a shadow, and not shown here")
    gone = [services[key] for key in served - still if key in services]
    stay = [d for key, d in services.items() if key not in served - still]
    for document in everything:
        if _pods(document) and _led_to(document, gone) and not _led_to(document, stay):
            _delete(found, document, "nothing else leads to it")
        elif document.get("kind") == "NetworkPolicy" and _is_about(document, gone):
            _delete(found, document, "about pods that go")
        elif document.get("kind") == "ConfigMap" and _key(document) in configs - kept_configs:
            _delete(found, document, "no other workload is configured by it")
    return found


def title(document: Document) -> str:
    """Kind, namespace and name."""
    return f"{document.get('kind')} {_space(document)}/{_key(document)[1]}"


def _flat(documents: Iterable[Document]) -> Iterable[Document]:
    for document in documents:
        if str(document.get("kind", "")).endswith("List"):
            yield from _flat(d for d in document.get("items") or () if isinstance(d, Mapping))
        else:
            yield document


def _split(text: str, shadow: str) -> tuple[list[str], list[str]]:
    """Of `[NAME=]HOST:PORT,...`: those of the name, and the others."""
    given = [part.strip() for part in text.split(",") if part.strip()]
    mine = [
        part for part in given if (part.partition("=")[0] if "=" in part else "shadow") == shadow
    ]
    return mine, [part for part in given if part not in mine]


def _service(shadow: str, space: str) -> tuple[str, str]:
    name, _, rest = shadow.rpartition("=")[2].rpartition(":")[0].partition(".")
    return (rest.partition(".")[0] or space, name)


def _annotations(document: Document) -> dict[str, str]:
    """The workload's own and its template's, which win."""
    template = _template(document) or {}
    return {
        **((document.get("metadata") or {}).get("annotations") or {}),
        **((template.get("metadata") or {}).get("annotations") or {}),
    }


def _template(document: Document) -> Any:
    node: Any = document
    for key in TEMPLATES.get(str(document.get("kind")), ("",)):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else None


def _pods(document: Document) -> dict[str, str]:
    """The labels of a workload's pods; empty where it is none."""
    if document.get("kind") not in TEMPLATES:
        return {}
    template = _template(document) or {}
    return dict((template.get("metadata") or {}).get("labels") or {})


def _led_to(document: Document, services: Sequence[Document]) -> bool:
    labels = _pods(document).items()
    for service in services:
        selector = (service.get("spec") or {}).get("selector") or {}
        same = _space(service) == _space(document)
        if same and selector and selector.items() <= labels:
            return True
    return False


def _is_about(policy: Document, services: Sequence[Document]) -> bool:
    """Whether a policy's pods are just those of the services."""
    chosen = ((policy.get("spec") or {}).get("podSelector") or {}).get("matchLabels") or {}
    return bool(chosen) and any(
        chosen == (service.get("spec") or {}).get("selector") and _space(service) == _space(policy)
        for service in services
    )


def _space(document: Document) -> str:
    return str((document.get("metadata") or {}).get("namespace") or "default")


def _key(document: Document) -> tuple[str, str]:
    return _space(document), str((document.get("metadata") or {}).get("name"))


def _delete(found: Leftovers, document: Document, why: str) -> None:
    space, name = _key(document)
    found.delete.append(
        {
            "apiVersion": document.get("apiVersion"),
            "kind": document.get("kind"),
            "metadata": {"name": name, "namespace": space},
        }
    )
    found.notes.append(f"{title(document)}: {why}")


def _without(document: Document, others: Sequence[str]) -> dict[str, Any]:
    """The workload as it is without the shadow, or without the sidecar if that was the last."""
    made: dict[str, Any] = copy.deepcopy(dict(document))
    for path in SERVERS:
        *way, last = path.split(".")
        node: Any = made
        for key in way:
            node = node.get(key) or {}
        node.pop(last, None)
    for holder in (made, _template(made) or {}):
        metadata = holder.get("metadata") or {}
        notes, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
        if others and SHADOW in notes:
            notes[SHADOW] = ",".join(others)
        elif not others:
            labels.pop(INJECT_LABEL, None)
            for key in [k for k in notes if k.startswith(PREFIX) or k == COPIED_ANNOTATION]:
                del notes[key]
    return made
