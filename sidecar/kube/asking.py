"""What a workload's own label and annotations ask for, carried to its pod template.

Rule: pure; as `templates`. Counterpart: `admission`, which answers reviews with it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sidecar.kube.options import COPIED_ANNOTATION, INJECT_LABEL, PREFIX
from sidecar.kube.templates import TEMPLATES, Object, at, pod_of, request_of


def spread_request(document: Object, old: Object | None) -> Object:
    """The workload with its own label and annotations of ours copied to its pod template.

    So that labelling a Deployment is enough: its template changes, and its new pods ask for
    themselves. What was copied is noted on the template (`COPIED_ANNOTATION`), and follows its
    source from then on: when the workload's value changes, or goes, the copy does too. A value
    that somebody writes on the template itself is theirs and stays.
    """
    path = TEMPLATES.get(str(document.get("kind")))
    template = at(document, path) if path else None
    if not path or template is None:
        return document
    mine, before = request_of(document), request_of(old or {})
    there, was = request_of(template), request_of(at(old or {}, path) or {})
    noted = _noted(template)
    halves: dict[str, dict[str, str]] = {}
    copied: set[str] = set()
    for half in ("labels", "annotations"):
        halves[half] = dict((template.get("metadata") or {}).get(half) or {})
        for key in {**before[half], **mine[half], **dict.fromkeys(noted & set(there[half]))}:
            value = there[half].get(key)
            edited = key in was[half] and value != was[half][key]
            ours = value is None or key in noted or value == before[half].get(key)
            if not ours or (edited and value is not None and value != mine[half].get(key)):
                continue
            if key in mine[half]:
                halves[half][key] = mine[half][key]
                copied.add(key)
            else:
                halves[half].pop(key, None)
    if copied:
        halves["annotations"][COPIED_ANNOTATION] = ",".join(
            sorted(key.removeprefix(PREFIX) for key in copied)
        )
    else:
        halves["annotations"].pop(COPIED_ANNOTATION, None)
    document = copy.deepcopy(document)
    holder = at(document, path)
    metadata = holder.get("metadata") or {}
    for half, values in halves.items():
        if values or half in metadata:
            metadata[half] = values
    if metadata or "metadata" in holder:
        holder["metadata"] = metadata
    return document


def asks_in_halves(document: Object) -> bool:
    """Whether the workload's own label asks, and nobody has said yet for which shadow.

    A person who labels first and annotates then is in the middle of it. Where the template itself
    carries the label, the request is whole, and wrong.
    """
    pod = pod_of(document)
    path = TEMPLATES.get(str(document.get("kind")))
    template = at(document, path) if path else None
    if (
        pod is None
        or template is None
        or request_of(template)["labels"].get(INJECT_LABEL) == "true"
    ):
        return False
    named = pod["metadata"]["annotations"]
    missing = not any(PREFIX + name in named for name in ("shadow", "config-map"))
    return pod["metadata"]["labels"].get(INJECT_LABEL) == "true" and missing


def _noted(template: Mapping[str, Any]) -> set[str]:
    """The keys on a template that are copies of the workload's own."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(COPIED_ANNOTATION)
    return {PREFIX + name for name in text.split(",")} if isinstance(text, str) else set()
