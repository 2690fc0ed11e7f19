"""The spans of one call, built when everything about it is known.

    production's trace                     the comparison's trace
    caller's span                          digits: candidate differs (value)
    └ inference.../ModelInfer ──links to──▶ ├ production        ──links to──▶ production's span
                                            ├ candidate: queued
                                            ├ candidate: value  ──links to──▶ production's span
                                            │ └ the candidate's own spans
                                            └ control noise: equal

Joined: the shadows' spans are CONSUMERs, each below a PRODUCER below production's span, the one
edge over which Jaeger's page draws no critical path.

Rule: a span is made only when it will be exported, with the ids that `plan` drew; production's span
never has a link into its own trace, each half of a pair names the other, and no payload value is on
any. Times are whole microseconds, as Jaeger keeps them: an event at a span's end stays inside.
Counterparts: `plan`, which drew the ids; `words` and `attributes`, what spans say; `exporter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import sidecar
from sidecar.call import Observation, SkipReason, Started
from sidecar.status import status_name
from sidecar.telemetry import attributes as say
from sidecar.telemetry import rpc, words
from sidecar.telemetry.finished import Copy, Finished
from sidecar.telemetry.ids import DrawBits, TraceContext, new_span_id
from sidecar.telemetry.plan import SpanPlan

QUEUED_NS = 1_000_000  # a shorter wait is an attribute and no bar

_SCOPE = InstrumentationScope("shadow-sidecar", sidecar.__version__, rpc.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


class SpanBuilder:
    """Turns a finished call into its spans."""

    def __init__(
        self,
        resource: Resource,
        unix_offset_ns: Callable[[], int],
        draw_bits: DrawBits,
        workload: str = "",
    ) -> None:
        """Prepare what all spans share.

        Args:
            resource: who is telling.
            unix_offset_ns: what to add to a time of the monotonic clock to get Unix time, now.
            draw_bits: where the ids come from that nobody had to be told before.
            workload: what is shadowed; empty: spans are named after the method.
        """
        self._resource = resource
        self._unix_offset_ns = unix_offset_ns
        self._draw_bits = draw_bits
        self._workload = workload
        self._peer: dict[str, rpc.Value] = {"service.peer.name": workload} if workload else {}
        self._methods = words.Methods()

    def build(self, finished: Finished) -> list[ReadableSpan]:
        """Build production's span, and the others if any shadow was sent a copy.

        Nothing is built for a call whose pairs are all equal, or were skipped, unless it was
        sampled; the pair that differs or fails brings the call's other spans with it.
        """
        plan, own = finished.plan, finished.plan.production
        if own is None or not (plan.sampled or any(copy.speaks for copy in finished.copies)):
            return []
        sent = finished.sent
        if finished.production is None and not sent:
            return []  # nobody saw how it ended, and nobody was told of it
        # All spans of a call share one reading, so that their distances are the clock's own.
        offset = self._unix_offset_ns()
        if not sent:
            return [self._production(finished, own, (), offset)]
        if plan.layout == "joined":
            spans = [self._production(finished, own, (), offset)]
            for copy in sent:
                spans += self._joined(finished, copy, own, offset)
            return spans
        whole = TraceContext(
            plan.shadows[sent[0].name].trace_id, new_span_id(self._draw_bits), own.sampled
        )
        spans = [
            self._production(finished, own, (_link(whole),), offset),
            self._whole(finished, whole, own, offset),
            self._mirrored(finished, whole, own, offset),
        ]
        for copy in sent:
            spans += self._compared(finished, copy, whole, own, offset)
        return spans

    def refused(
        self, call: Started, context: TraceContext, parent: TraceContext | None, reason: SkipReason
    ) -> ReadableSpan:
        """Build the span of a call that was left out when its header was read.

        Its answer is not read, so nobody knows how long it took: the span has no length.
        """
        method = self._methods.name(call.method)
        start = call.started_ns + self._unix_offset_ns()
        return self._span(
            f"not shadowed ({reason.value})",
            context,
            parent,
            {
                **say.of_rpc(method, None, "", call.peer, error=False),
                "shadow.role": "production",
                "shadow.skip_reason": reason.value,
            },
            SpanKind.INTERNAL,
            (start, start),
        )

    def _production(
        self, finished: Finished, own: TraceContext, links: Sequence[Link], offset: int
    ) -> ReadableSpan:
        call, answer, plan = finished.call, finished.production, finished.plan
        method = self._methods.name(call.method)
        status, error = _status(answer, server=True)
        worst = finished.worst
        # A caller that records nothing has no span that ours could hang below.
        parent = plan.parent if plan.parent is not None and plan.parent.sampled else None
        return self._span(
            method,
            own,
            parent,
            {
                **say.of_rpc(method, answer, plan.upstream, call.peer, error=error),
                **self._peer,
                **say.of_call(finished),
                **say.of_production(finished),
                **({} if worst is None else _outcome(worst)),
            },
            SpanKind.INTERNAL if finished.instrumented else SpanKind.SERVER,
            (call.started_ns + offset, finished.ended_ns + offset),
            status=status,
            links=links,
            remote=True,
        )

    def _whole(
        self, finished: Finished, whole: TraceContext, own: TraceContext, offset: int
    ) -> ReadableSpan:
        """The root of a comparison: its name says what was found."""
        worst = finished.worst
        assert worst is not None
        method = self._methods.name(finished.call.method)
        subject = words.subject(self._workload, method)
        ends = [copy.answer.ended_ns for copy in finished.sent if copy.answer is not None]
        ends += [finished.now_ns for copy in finished.sent if copy.answer is None]
        return self._span(
            f"{subject}: {words.verdict(finished)}",
            whole,
            None,
            {
                "rpc.method": method,
                **self._peer,
                **say.of_call(finished),
                "shadow.role": "comparison",
                "shadow.name": worst.name,
                **say.peer(own),
                **say.of_comparison(worst),
            },
            SpanKind.INTERNAL,
            (finished.call.started_ns + offset, max(finished.ended_ns, *ends) + offset),
        )

    def _mirrored(
        self, finished: Finished, whole: TraceContext, own: TraceContext, offset: int
    ) -> ReadableSpan:
        """Production's bar in a comparison: the same times as production's own span."""
        answer = finished.production
        status, error = _status(answer, server=True)
        method = self._methods.name(finished.call.method)
        upstream = finished.plan.upstream
        return self._span(
            words.production(finished),
            TraceContext(whole.trace_id, new_span_id(self._draw_bits), whole.sampled),
            whole,
            {
                **say.of_rpc(method, answer, upstream, finished.call.peer, error=error),
                **self._peer,
                **({} if answer is None else {"shadow.response.bytes": _size(answer)}),
                "shadow.role": "mirrored",
                **say.peer(own),
            },
            SpanKind.INTERNAL,
            (finished.call.started_ns + offset, finished.ended_ns + offset),
            status=status,
            links=(_link(own),),
        )

    def _compared(
        self,
        finished: Finished,
        copy: Copy,
        whole: TraceContext,
        own: TraceContext,
        offset: int,
    ) -> list[ReadableSpan]:
        spans = []
        start, _ = _times(finished, copy)
        asked = finished.asked_ns
        if asked is not None and start - asked >= QUEUED_NS:
            spans.append(
                self._span(
                    f"{words.who(copy)}: queued",
                    TraceContext(whole.trace_id, new_span_id(self._draw_bits), whole.sampled),
                    whole,
                    {"shadow.name": copy.name},
                    SpanKind.INTERNAL,
                    (asked + offset, start + offset),
                )
            )
        return [*spans, self._shadow(finished, copy, whole, own, SpanKind.CLIENT, offset)]

    def _joined(
        self, finished: Finished, copy: Copy, own: TraceContext, offset: int
    ) -> list[ReadableSpan]:
        start, _ = _times(finished, copy)
        # Within production's span, however long the copy waited.
        at = min(start if finished.asked_ns is None else finished.asked_ns, finished.ended_ns)
        copied = TraceContext(own.trace_id, new_span_id(self._draw_bits), own.sampled)
        sender = self._span(
            f"copy to {words.who(copy)}",
            copied,
            own,
            {"shadow.name": copy.name},
            SpanKind.PRODUCER,
            (at + offset, at + offset),
        )
        return [sender, self._shadow(finished, copy, copied, own, SpanKind.CONSUMER, offset)]

    def _shadow(
        self,
        finished: Finished,
        copy: Copy,
        parent: TraceContext,
        own: TraceContext,
        kind: SpanKind,
        offset: int,
    ) -> ReadableSpan:
        answer = copy.answer
        status, error = _status(answer, server=False)
        start, end = _times(finished, copy)
        end_ns = _whole_us(end + offset)
        return self._span(
            f"{words.who(copy)}: {words.found(copy)}",
            finished.plan.shadows[copy.name],
            parent,
            {
                **say.of_rpc(
                    self._methods.name(finished.call.method),
                    answer,
                    copy.address,
                    copy.address,
                    error=error,
                ),
                "service.peer.name": copy.name,
                **say.of_call(finished),
                **say.of_shadow(finished, copy),
                **say.peer(own),
                **say.of_comparison(copy),
            },
            kind,
            (start + offset, end_ns),
            status=status,
            links=(_link(own),),
            events=say.differences(copy, end_ns),
        )

    def _span(
        self,
        name: str,
        context: TraceContext,
        parent: TraceContext | None,
        attributes: Mapping[str, rpc.Value],
        kind: SpanKind,
        times_ns: tuple[int, int],
        *,
        status: Status = _UNSET,
        links: Sequence[Link] = (),
        events: Sequence[Event] = (),
        remote: bool = False,
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=_context(context),
            parent=None if parent is None else _context(parent, remote=remote),
            resource=self._resource,
            attributes=attributes,
            events=events,
            links=links,
            kind=kind,
            status=status,
            start_time=_whole_us(times_ns[0]),
            end_time=_whole_us(times_ns[1]),
            instrumentation_scope=_SCOPE,
        )


def exported_trace(plan: SpanPlan, spans: Sequence[ReadableSpan]) -> str:
    """The trace in which a call's comparison can be opened, in hexadecimal; empty for none."""
    context = next(iter(plan.shadows.values()), None)
    return "" if context is None or len(spans) < 2 else context.trace_hex


def _times(finished: Finished, copy: Copy) -> tuple[int, int]:
    """When a copy was sent, and when its answer came or nobody waited for it any more."""
    if copy.answer is not None:
        return copy.answer.started_ns, max(copy.answer.started_ns, copy.answer.ended_ns)
    sent = finished.now_ns if copy.sent_ns is None else copy.sent_ns
    return sent, max(sent, finished.now_ns)


def _outcome(copy: Copy) -> dict[str, rpc.Value]:
    """What production's trace says of the shadows: enough to be searched for."""
    if copy.comparison is None:
        return {}
    return {
        "shadow.name": copy.name,
        "shadow.outcome": copy.comparison.outcome.value,
        "shadow.agrees": copy.comparison.agrees,
    }


def _whole_us(nanoseconds: int) -> int:
    return nanoseconds // 1000 * 1000


def _context(context: TraceContext, *, remote: bool = False) -> SpanContext:
    # What is exported is sampled, however the call began.
    return SpanContext(context.trace_id, context.span_id, remote, _SAMPLED)


def _link(context: TraceContext) -> Link:
    return Link(_context(context))


def _status(answer: Observation | None, *, server: bool) -> tuple[Status, bool]:
    if answer is None or not rpc.failed(name := status_name(answer.status), server=server):
        return _UNSET, False
    said = answer.detail[: say.TEXT]
    return Status(StatusCode.ERROR, f"{name}: {said}" if said else name), True


def _size(answer: Observation) -> int:
    return sum(map(len, answer.messages))
