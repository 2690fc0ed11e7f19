"""What is said on spans about a call, in attributes and events. Pure.

Rule: the conventions' names where there are any, else `shadow.*`; no payload value, ever.
Counterparts: `rpc`, the conventions' words; `spans`, which puts these on spans.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.trace import Event

from sidecar.call import Observation
from sidecar.compare.result import OutputResult
from sidecar.status import status_name
from sidecar.telemetry import rpc
from sidecar.telemetry.finished import Copy, Finished
from sidecar.telemetry.ids import TraceContext

DIFFERENCE_EVENTS = 16  # outputs told one by one on a shadow's span; the attributes count them all
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
    attributes: dict[str, rpc.Value] = {"shadow.request.bytes": finished.request_bytes}
    if finished.correlation_id:
        attributes["shadow.correlation_id"] = finished.correlation_id[:TEXT]
    for name, value in finished.slices:
        attributes[f"shadow.slice.{name}"] = value[:TEXT]
    own = finished.plan.production
    if finished.page_url and own is not None:
        url = f"{finished.page_url.rstrip('/')}/pairs?trace_id={own.trace_hex}"
        attributes["shadow.url"] = url
    return attributes


def of_production(finished: Finished) -> dict[str, rpc.Value]:
    """Production's part: its answer's size, and the names of those that got copies."""
    attributes: dict[str, rpc.Value] = {"shadow.role": "production"}
    if finished.production is not None:
        attributes["shadow.response.bytes"] = _size(finished.production)
    told = [(copy, finished.plan.shadows[copy.name]) for copy in finished.sent]
    if told:
        attributes.update(peer(told[0][1]))
    if len(told) > 1:
        for copy, context in told:
            attributes[f"shadow.peer.{copy.name}.trace_id"] = context.trace_hex
            attributes[f"shadow.peer.{copy.name}.span_id"] = context.span_hex
    skips = [copy.skip for copy in finished.copies if copy.skip is not None]
    if skips and len(skips) == len(finished.copies):
        attributes["shadow.skip_reason"] = skips[0].value
    return attributes


def of_shadow(finished: Finished, copy: Copy) -> dict[str, rpc.Value]:
    """One shadow's part: who, how long it waited, how large its answer was."""
    attributes: dict[str, rpc.Value] = {"shadow.role": copy.role, "shadow.name": copy.name}
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
        return {} if copy.skip is None else {"shadow.skip_reason": copy.skip.value}
    differing = comparison.differing
    attributes: dict[str, rpc.Value] = {
        "shadow.outcome": comparison.outcome.value,
        "shadow.agrees": comparison.agrees,
        "shadow.outputs.compared": len(comparison.outputs),
        "shadow.outputs.differing": len(differing),
    }
    for number, output in enumerate(differing[:DIFFERENCES], 1):
        name = f"shadow.difference.{number}"
        attributes[f"{name}.output"] = output.name[:TEXT]
        attributes[f"{name}.outcome"] = output.outcome.value
        attributes[f"{name}.rule"] = output.rule
        attributes[f"{name}.magnitude"] = output.score
        attributes[f"{name}.allowed"] = output.allowed
    texts = {
        "shadow.reader": comparison.reader,
        "shadow.detail": comparison.detail[:TEXT],
        "shadow.model.production": comparison.models[0],
        "shadow.model.shadow": comparison.models[1],
    }
    attributes.update({name: text for name, text in texts.items() if text})
    return attributes


def peer(context: TraceContext) -> dict[str, rpc.Value]:
    """Name the other half of the pair; Jaeger's page shows a link on one side only."""
    return {"shadow.peer.trace_id": context.trace_hex, "shadow.peer.span_id": context.span_hex}


def differences(copy: Copy, unix_ns: int) -> list[Event]:
    """An event for each output that differs."""
    if copy.comparison is None:
        return []
    return [_event(output, unix_ns) for output in copy.comparison.differing[:DIFFERENCE_EVENTS]]


def _event(output: OutputResult, unix_ns: int) -> Event:
    attributes: dict[str, rpc.Value] = {
        "shadow.output.name": output.name[:TEXT],
        "shadow.output.outcome": output.outcome.value,
        "shadow.output.rule": output.rule,
        "shadow.output.score": output.score,
        "shadow.output.allowed": output.allowed,
        **{f"shadow.output.{name}": float(figure) for name, figure in output.raw.items()},
    }
    return Event("shadow.difference", attributes, unix_ns)


def _size(answer: Observation) -> int:
    return sum(map(len, answer.messages))
