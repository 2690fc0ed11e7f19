"""The spans of one call, built when everything about it is known.

Rule: a span is made only when it will be exported, with the ids that `plan` drew; production's span
never has a link into its own trace, each half names the other, and no payload value is on any.
Counterparts: `plan`, which drew the ids, and `exporter`, which sends what is built here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import sidecar
from sidecar.call import Observation, SkipReason, Started
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.telemetry import rpc
from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.plan import SpanPlan

DIFFERENCE_EVENTS = 16  # outputs told one by one on a shadow's span; the attributes count them all
TEXT = 256  # characters of a status message, a detail or an output's name

_SCOPE = InstrumentationScope("shadow-sidecar", sidecar.__version__, rpc.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


@dataclass(frozen=True, slots=True)
class Half:
    """What became of a call with one shadow: exactly one of a comparison and a skip reason."""

    name: str
    role: str  # "shadow" or "control"
    address: str  # the server that the copy was sent to
    answer: Observation | None = None  # None: nothing was sent
    comparison: Comparison | None = None
    skip: SkipReason | None = None


class SpanBuilder:
    """Turns a finished call into its spans."""

    def __init__(self, resource: Resource, unix_offset_ns: Callable[[], int]) -> None:
        """Prepare what all spans share.

        Args:
            resource: who is telling.
            unix_offset_ns: what to add to a time of the monotonic clock to get Unix time, now.
        """
        self._resource = resource
        self._unix_offset_ns = unix_offset_ns

    def build(
        self,
        plan: SpanPlan,
        started: Started,
        upstream: str,
        production: Observation,
        halves: Sequence[Half],
    ) -> list[ReadableSpan]:
        """Build production's span and one for each shadow that was sent a copy.

        Nothing is built for a call whose pairs are all equal, or were skipped, unless it was
        sampled; the pair that differs or fails brings the call's other spans with it.
        """
        own = plan.production
        if own is None or not (plan.sampled or any(_speaks(half) for half in halves)):
            return []
        # All spans of a call share one reading, so that their distances are the clock's own.
        offset = self._unix_offset_ns()
        method = rpc.method_name(started.method)
        told = [
            (half, context)
            for half in halves
            if half.answer is not None and (context := plan.shadows.get(half.name)) is not None
        ]
        # The candidate comes before a control, whatever their order in the configuration.
        told.sort(key=lambda pair: pair[0].role != "shadow")
        status, error = _status(production, server=True)
        spans = [
            ReadableSpan(
                name=method,
                context=_context(own),
                parent=None if plan.parent is None else _context(plan.parent, remote=True),
                resource=self._resource,
                attributes={
                    **_rpc_attributes(method, production, upstream, started.peer, error),
                    **_production_attributes(halves, told),
                },
                links=[_link(shadow) for _, shadow in told if shadow.trace_id != own.trace_id],
                kind=SpanKind.SERVER,
                status=status,
                start_time=started.started_ns + offset,
                end_time=max(started.started_ns, production.ended_ns) + offset,
                instrumentation_scope=_SCOPE,
            )
        ]
        for half, context in told:
            spans.append(self._shadow(half, context, own, method, offset))
        return spans

    def _shadow(
        self, half: Half, context: TraceContext, peer: TraceContext, method: str, offset: int
    ) -> ReadableSpan:
        answer = half.answer
        assert answer is not None
        status, error = _status(answer, server=False)
        events = [
            _event(output, answer.ended_ns + offset)
            for output in (() if half.comparison is None else half.comparison.differing)[
                :DIFFERENCE_EVENTS
            ]
        ]
        return ReadableSpan(
            name=method,
            context=_context(context),
            parent=_context(peer) if context.trace_id == peer.trace_id else None,
            resource=self._resource,
            attributes={
                **_rpc_attributes(method, answer, half.address, half.address, error),
                "shadow.role": half.role,
                "shadow.name": half.name,
                "shadow.peer.trace_id": peer.trace_hex,
                "shadow.peer.span_id": peer.span_hex,
                **_comparison_attributes(half),
            },
            events=events,
            links=[_link(peer)],
            kind=SpanKind.CLIENT,
            status=status,
            start_time=answer.started_ns + offset,
            end_time=max(answer.started_ns, answer.ended_ns) + offset,
            instrumentation_scope=_SCOPE,
        )


def _speaks(half: Half) -> bool:
    # A pair that failed alike agrees, but someone will look for it.
    return half.comparison is not None and half.comparison.outcome is not Outcome.EQUAL


def _context(context: TraceContext, *, remote: bool = False) -> SpanContext:
    # What is exported is sampled, however the call began.
    return SpanContext(context.trace_id, context.span_id, remote, _SAMPLED)


def _link(context: TraceContext) -> Link:
    return Link(_context(context))


def _status(observation: Observation, *, server: bool) -> tuple[Status, bool]:
    if not rpc.failed(rpc.status_name(observation.status), server=server):
        return _UNSET, False
    return Status(StatusCode.ERROR, observation.detail[:TEXT] or None), True


def _rpc_attributes(
    method: str, observation: Observation, server: str, peer: str, error: bool
) -> dict[str, rpc.Value]:
    status = rpc.status_name(observation.status)
    attributes: dict[str, rpc.Value] = {
        "rpc.system.name": "grpc",
        "rpc.method": method,
        "rpc.response.status_code": status,
        **rpc.server_attributes(server),
        **rpc.peer_attributes(peer),
    }
    if error:
        attributes["error.type"] = status
    return attributes


def _production_attributes(
    halves: Sequence[Half], told: Sequence[tuple[Half, TraceContext]]
) -> Mapping[str, rpc.Value]:
    attributes: dict[str, rpc.Value] = {"shadow.role": "production"}
    if told:
        _, first = told[0]
        attributes["shadow.peer.trace_id"] = first.trace_hex
        attributes["shadow.peer.span_id"] = first.span_hex
    if len(told) > 1:
        for half, context in told:
            attributes[f"shadow.peer.{half.name}.trace_id"] = context.trace_hex
            attributes[f"shadow.peer.{half.name}.span_id"] = context.span_hex
    skips = [half.skip for half in halves if half.skip is not None]
    if len(skips) == len(halves) and skips:
        attributes["shadow.skip_reason"] = skips[0].value
    return attributes


def _comparison_attributes(half: Half) -> Mapping[str, rpc.Value]:
    if half.comparison is None:
        return {} if half.skip is None else {"shadow.skip_reason": half.skip.value}
    comparison = half.comparison
    attributes: dict[str, rpc.Value] = {
        "shadow.outcome": comparison.outcome.value,
        "shadow.agrees": comparison.agrees,
        "shadow.outputs.compared": len(comparison.outputs),
        "shadow.outputs.differing": len(comparison.differing),
    }
    texts = {
        "shadow.reader": comparison.reader,
        "shadow.detail": comparison.detail[:TEXT],
        "shadow.model.production": comparison.models[0],
        "shadow.model.shadow": comparison.models[1],
    }
    return attributes | {name: text for name, text in texts.items() if text}


def _event(output: OutputResult, unix_ns: int) -> Event:
    attributes: dict[str, rpc.Value] = {
        "shadow.output.name": output.name[:TEXT],
        "shadow.output.outcome": output.outcome.value,
        "shadow.output.rule": output.rule,
        "shadow.output.score": output.score,
        **{f"shadow.output.{name}": float(figure) for name, figure in output.raw.items()},
    }
    return Event("shadow.difference", attributes, unix_ns)
