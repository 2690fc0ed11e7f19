"""What is said on spans about a call, in attributes and events. Pure.

Rule: the conventions' names where there are any, else `shadow.*`; no payload value, ever.
Counterparts: `rpc`, the conventions' words; `spans`, which puts these on spans.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.call import Observation
from sidecar.compare.result import OutputResult
from sidecar.status import status_name
from sidecar.telemetry import rpc
from sidecar.telemetry.finished import Copy, Finished
from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.otlp import event

DIFFERENCE_EVENTS = 16  # outputs told one by one on a shadow's span; the attributes count them all
FIGURES = 4  # told of one difference, in words
UNTOLD = frozenset({"max_ulp", "mean_abs", "signed_relative", "flip_share"})  # not at a glance
DIFFERENCES = 3  # outputs told in attributes, which can be searched for and read at a glance
TEXT = 256  # characters of a status message, a detail, an id or an output's name


def of_rpc(
    method: str, answer: Observation | None, server: str, peer: str, *, error: bool
) -> dict[str, rpc.Value]:
    """The call, by the conventions; without a status where nobody saw one."""
    attributes: dict[str, rpc.Value] = {"rpc.system.name": "grpc", "rpc.method": method}
    if answer is not None:
        attributes["rpc.response.status_code"] = status_name(answer.status)
    attributes.update(rpc.server_attributes(server))
    attributes.update(rpc.peer_attributes(peer))
    if error and answer is not None:
        attributes["error.type"] = status_name(answer.status)
    return attributes


def of_call(finished: Finished) -> dict[str, rpc.Value]:
    """What all spans of a call say: how it is found elsewhere, and what kind of call it was."""
    own = finished.plan.production
    attributes: dict[str, rpc.Value] = {"shadow.request.bytes": finished.request_bytes}
    parent = finished.plan.parent
    if parent is not None and own is not None and parent.trace_id != own.trace_id:
        attributes["shadow.caller.trace_id"] = parent.trace_hex
    if finished.correlation_id:
        attributes["shadow.correlation_id"] = finished.correlation_id[:TEXT]
    for name, value in finished.slices:
        attributes[f"shadow.slice.{name}"] = value[:TEXT]
    if finished.page_url and own is not None:
        attributes["shadow.url"] = f"{finished.page_url.rstrip('/')}/call/{own.trace_hex}"
    control = finished.control
    if control is not None:
        attributes["shadow.control.outcome"] = control.outcome.value
        attributes["shadow.control.agrees"] = control.agrees
    if len(finished.copies) > 1:
        for copy in finished.copies:
            if copy.skip is not None:
                attributes[f"shadow.skip_reason.{copy.name}"] = copy.skip.value
    return attributes


def of_production(finished: Finished) -> dict[str, rpc.Value]:
    """Production's part: its answer's size, and the names of the other copies."""
    attributes: dict[str, rpc.Value] = {"shadow.role": "production"}
    if finished.production is not None:
        attributes["shadow.response.bytes"] = _size(finished.production)
    told = [(copy, finished.plan.shadows[copy.name]) for copy in finished.sent]
    if told:
        attributes.update(peer(told[0][1], finished.trace_url))
    if len(told) > 1:
        for copy, context in told:
            attributes[f"shadow.peer.{copy.name}.trace_id"] = context.trace_hex
            attributes[f"shadow.peer.{copy.name}.span_id"] = context.span_hex
    skips = [copy.skip for copy in finished.copies if copy.skip is not None]
    if skips and len(skips) == len(finished.copies):
        attributes["shadow.skip_reason"] = skips[0].value
    return attributes


def of_mirrored(finished: Finished) -> dict[str, rpc.Value]:
    """Production's bar in a comparison, where its own span is elsewhere."""
    attributes: dict[str, rpc.Value] = {"shadow.role": "mirrored"}
    if finished.production is not None:
        attributes["shadow.response.bytes"] = _size(finished.production)
    return attributes


def outcome(copy: Copy) -> tuple[tuple[str, rpc.Value], ...]:
    """What production's trace says of the shadows: enough to be searched for."""
    if copy.comparison is None:
        return ()
    return (
        ("shadow.name", copy.name),
        ("shadow.outcome", copy.comparison.outcome.value),
        ("shadow.agrees", copy.comparison.agrees),
    )


def of_shadow(finished: Finished, copy: Copy) -> dict[str, rpc.Value]:
    """One shadow's part: who, how long it waited, how large its answer was."""
    attributes: dict[str, rpc.Value] = {"shadow.role": copy.role}
    if copy.version:
        attributes["shadow.version"] = copy.version
    answer, asked_ns = copy.answer, finished.asked_ns
    if answer is not None:
        attributes["shadow.response.bytes"] = _size(answer)
        if asked_ns is not None:
            attributes["shadow.queue.wait_ms"] = max(0, answer.started_ns - asked_ns) / 1e6
    return attributes


def of_comparison(copy: Copy) -> Mapping[str, rpc.Value]:
    """What was found, or why nothing was."""
    comparison = copy.comparison
    if comparison is None:
        skipped = {} if copy.skip is None else {"shadow.skip_reason": copy.skip.value}
        return {"shadow.name": copy.name, **skipped}
    differing = comparison.differing
    attributes: dict[str, rpc.Value] = {
        "shadow.name": copy.name,
        "shadow.outcome": comparison.outcome.value,
        "shadow.agrees": comparison.agrees,
        "shadow.outputs.compared": len(comparison.outputs),
        "shadow.outputs.differing": len(differing),
    }
    for number, output in enumerate(differing[:DIFFERENCES], 1):
        name = f"shadow.difference.{number}"
        attributes[name] = sentence(output)
        attributes[f"{name}.output"] = output.name[:TEXT]
        attributes[f"{name}.outcome"] = output.outcome.value
        attributes[f"{name}.rule"] = output.rule
        attributes[f"{name}.magnitude"] = output.score
        attributes[f"{name}.allowed"] = output.allowed
    texts = {
        "shadow.reader": comparison.reader,
        "shadow.detail": comparison.detail[:TEXT],
        "shadow.model.production": comparison.models[0][:TEXT],
        "shadow.model.shadow": comparison.models[1][:TEXT],
        "shadow.verdict": copy.verdict,
    }
    attributes.update({name: text for name, text in texts.items() if text})
    return attributes


def sentence(output: OutputResult) -> str:
    """What differs in one output, for people: "class: value (exact): max_abs 1; allowed: ..."."""
    if output.forms:
        return f"{output.name[:TEXT]}: {output.outcome.value}: {output.forms}"
    figures = [
        f"{name} {figure:.4g}"
        for name, figure in output.raw.items()
        if figure and name not in UNTOLD
    ]
    allowed = [f"{name} {figure:.4g}" for name, figure in output.limits.items() if figure]
    said = f"{output.name[:TEXT]}: {output.outcome.value} by {output.rule}"
    if figures:
        said += ": " + ", ".join(figures[:FIGURES])
    return said + (f"; allowed: {', '.join(allowed)}" if allowed else "")


def peer(context: TraceContext, trace_url: str = "") -> dict[str, rpc.Value]:
    """Name the other half of the pair: Jaeger's page shows a link on one side only."""
    told: dict[str, rpc.Value] = {
        "shadow.peer.trace_id": context.trace_hex,
        "shadow.peer.span_id": context.span_hex,
    }
    if trace_url:
        told["shadow.peer.url"] = trace_url.replace("{trace_id}", context.trace_hex)
    return told


def differences(copy: Copy, unix_ns: int) -> list[bytes]:
    """An event for each output that differs."""
    if copy.comparison is None:
        return []
    return [_event(output, unix_ns) for output in copy.comparison.differing[:DIFFERENCE_EVENTS]]


def _event(output: OutputResult, unix_ns: int) -> bytes:
    attributes: dict[str, rpc.Value] = {
        "shadow.output.name": output.name[:TEXT],
        "shadow.output.outcome": output.outcome.value,
        "shadow.output.rule": output.rule,
        "shadow.output.score": output.score,
        "shadow.output.allowed": output.allowed,
        **{f"shadow.output.{name}": float(figure) for name, figure in output.raw.items()},
    }
    return event("shadow.difference", unix_ns, attributes)


def _size(answer: Observation) -> int:
    return sum(map(len, answer.messages))


def status_of(answer: Observation | None, *, server: bool) -> tuple[str, bool]:
    """What went wrong, in words, and whether anything did, as one side sees it."""
    if answer is None or not rpc.failed(name := status_name(answer.status), server=server):
        return "", False
    said = answer.detail[:TEXT]
    return f"{name}: {said}" if said else name, True
