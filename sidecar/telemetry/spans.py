"""The spans of one call, built when everything about it is known.

    production's trace                     the comparison's trace
    caller's span                          digits: candidate differs (value)
    └ inference.../ModelInfer ──links to──▶ ├ production        ──links to──▶ production's span
                                            ├ candidate: queued
                                            ├ candidate: value  ──links to──▶ production's span
                                            │ └ the candidate's own spans
                                            └ control noise: equal

A call that came without a trace has no other: its production stands in the comparison, once.
Where production sends a span itself, ours beside it has no length and tells what was found, so
that the critical path stays production's own.

Joined: the shadows' spans are CONSUMERs, each below a PRODUCER below production's span, the one
edge over which Jaeger's page draws no critical path.

Rule: a span is made only when it will be exported, with the ids that `plan` drew; production's span
never has a link into its own trace, each half of a pair names the other, and no payload value is on
any. Times are whole microseconds, as Jaeger keeps them: an event at a span's end stays inside.
Counterparts: `plan`, which drew the ids; `words` and `attributes`, what spans say; `otlp`, which
writes them; `exporter`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sidecar.call import SkipReason, Started
from sidecar.telemetry import attributes as say
from sidecar.telemetry import words
from sidecar.telemetry.finished import Copy, Finished
from sidecar.telemetry.ids import DrawBits, TraceContext, new_span_id
from sidecar.telemetry.otlp import (
    Encoded,
    EncodedSpan,
    Kind,
    Told,
    encode,
    encode_known,
    write,
)
from sidecar.telemetry.plan import SpanPlan

QUEUED_NS = 1_000_000  # a shorter wait is an attribute and no bar


@dataclass(frozen=True, slots=True)
class _Call:
    """What the spans of one call share. Every attribute is encoded once."""

    finished: Finished
    own: TraceContext  # production's
    method: str
    offset: int  # one reading, so that their distances are the clock's own
    about: Encoded  # what all of them say
    to_production: Encoded  # names production's span
    found: dict[str, Encoded]  # what was found, by the shadow's name

    def at(self, *times_ns: int) -> tuple[int, ...]:
        """Times of the monotonic clock as Unix time."""
        return tuple(time + self.offset for time in times_ns)


class SpanBuilder:
    """Turns a finished call into its spans."""

    def __init__(
        self, unix_offset_ns: Callable[[], int], draw_bits: DrawBits, workload: str = ""
    ) -> None:
        """Prepare what all spans share.

        Args:
            unix_offset_ns: what to add to a time of the monotonic clock to get Unix time, now.
            draw_bits: where the ids come from that nobody had to be told before.
            workload: what is shadowed; empty: spans are named after the method.
        """
        self._unix_offset_ns = unix_offset_ns
        self._draw_bits = draw_bits
        self._workload = workload
        self._peer = encode({"service.peer.name": workload} if workload else {})
        self._methods = words.Methods()

    def build(self, finished: Finished) -> list[EncodedSpan]:
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
        call = _Call(
            finished,
            own,
            self._methods.name(finished.call.method),
            self._unix_offset_ns(),
            encode(say.of_call(finished)),
            encode(say.peer(own, finished.trace_url)),
            {copy.name: encode(say.of_comparison(copy)) for copy in sent},
        )
        if not sent:
            return [self._production(call, None)]
        if plan.layout == "joined":
            spans = [self._production(call, None)]
            for copy in sent:
                spans += self._joined(call, copy)
            return spans
        trace_id = plan.shadows[sent[0].name].trace_id
        whole = TraceContext(trace_id, new_span_id(self._draw_bits), own.sampled)
        if trace_id == own.trace_id:
            spans = [self._whole(call, whole), self._inner_production(call, own, whole)]
        else:
            spans = [
                self._production(call, whole),
                self._whole(call, whole),
                self._inner_production(call, self._new(whole), whole),
            ]
        for copy in sent:
            spans += self._compared(call, copy, whole)
        return spans

    def refused(
        self, call: Started, context: TraceContext, parent: TraceContext | None, reason: SkipReason
    ) -> EncodedSpan:
        """Build the span of a call that was left out when its header was read.

        Its answer is not read, so nobody knows how long it took: the span has no length.
        """
        method = self._methods.name(call.method)
        start = call.started_ns + self._unix_offset_ns()
        return write(
            Told(f"not shadowed ({reason.value})", Kind.INTERNAL, (start, start)),
            context,
            parent,
            encode(
                {
                    **say.of_rpc(method, None, "", call.peer, error=False),
                    "shadow.role": "production",
                    "shadow.skip_reason": reason.value,
                }
            ),
        )

    def _new(self, beside: TraceContext) -> TraceContext:
        return TraceContext(beside.trace_id, new_span_id(self._draw_bits), beside.sampled)

    def _production(self, call: _Call, whole: TraceContext | None) -> EncodedSpan:
        """Production's span where its caller looks for it."""
        finished, worst = call.finished, call.finished.worst
        status, error = say.status_of(finished.production, server=True)
        start, end = call.at(finished.call.started_ns, finished.ended_ns)
        told = Told(call.method, Kind.SERVER, (start, end), status)
        if finished.instrumented and finished.plan.above is not None:
            # Beside production's own span: no second length, no second error.
            name = f"shadowed: {words.verdict(finished)}"
            told = Told(name, Kind.INTERNAL, (start, start))
        return write(
            told,
            call.own,
            finished.plan.above,
            self._of_production(call, error=error)
            + call.about
            + encode(say.of_production(finished))
            + (b"" if worst is None else encode_known(say.outcome(worst))),
            links=() if whole is None else (whole,),
            remote=True,
        )

    def _of_production(self, call: _Call, *, error: bool) -> Encoded:
        finished = call.finished
        told = say.of_rpc(
            call.method,
            finished.production,
            finished.plan.upstream,
            finished.call.peer,
            error=error,
        )
        return encode_known(tuple(told.items())) + self._peer

    def _whole(self, call: _Call, whole: TraceContext) -> EncodedSpan:
        """The root of a comparison: its name says what was found."""
        finished, worst = call.finished, call.finished.worst
        assert worst is not None
        subject = words.subject(self._workload, call.method)
        ends = [copy.answer.ended_ns for copy in finished.sent if copy.answer is not None]
        ends += [finished.now_ns for copy in finished.sent if copy.answer is None]
        start, end = call.at(finished.call.started_ns, max(finished.ended_ns, *ends))
        return write(
            Told(f"{subject}: {words.verdict(finished)}", Kind.INTERNAL, (start, end)),
            whole,
            None,
            encode_known((("rpc.method", call.method), ("shadow.role", "comparison")))
            + self._peer
            + call.about
            + call.to_production
            + call.found[worst.name],
        )

    def _inner_production(self, call: _Call, own: TraceContext, whole: TraceContext) -> EncodedSpan:
        """Production's bar in a comparison: its only one, or with the same times as that."""
        finished = call.finished
        only = own == call.own
        status, error = say.status_of(finished.production, server=True)
        start, end = call.at(finished.call.started_ns, finished.ended_ns)
        kind = Kind.INTERNAL
        if only and not finished.instrumented:
            kind = Kind.SERVER
        said = self._of_production(call, error=error)
        if only:
            said += call.about + encode(say.of_production(finished))
        else:
            said += encode(say.of_mirrored(finished)) + call.to_production
        return write(
            Told(words.production(finished), kind, (start, end), status),
            own,
            whole,
            said,
            links=() if only else (call.own,),
        )

    def _compared(self, call: _Call, copy: Copy, whole: TraceContext) -> list[EncodedSpan]:
        spans = []
        start, _ = copy.times_ns(call.finished.now_ns)
        asked = call.finished.asked_ns
        if asked is not None and start - asked >= QUEUED_NS:
            begin, end = call.at(asked, start)
            spans.append(
                write(
                    Told(f"{words.who(copy)}: queued", Kind.INTERNAL, (begin, end)),
                    self._new(whole),
                    whole,
                    encode_known((("shadow.name", copy.name),)),
                )
            )
        return [*spans, self._shadow(call, copy, whole, Kind.CLIENT)]

    def _joined(self, call: _Call, copy: Copy) -> list[EncodedSpan]:
        finished = call.finished
        start, _ = copy.times_ns(finished.now_ns)
        # Within production's span, however long the copy waited.
        asked = finished.asked_ns
        at = min(start if asked is None else asked, finished.ended_ns)
        if finished.instrumented and finished.plan.above is not None:
            at = finished.call.started_ns
        (at,) = call.at(at)
        copied = self._new(call.own)
        sender = write(
            Told(f"copy to {words.who(copy)}", Kind.PRODUCER, (at, at)),
            copied,
            call.own,
            encode_known((("shadow.name", copy.name),)),
        )
        return [sender, self._shadow(call, copy, copied, Kind.CONSUMER)]

    def _shadow(self, call: _Call, copy: Copy, parent: TraceContext, kind: Kind) -> EncodedSpan:
        finished, context = call.finished, call.finished.plan.shadows[copy.name]
        status, error = say.status_of(copy.answer, server=False)
        start, end = call.at(*copy.times_ns(finished.now_ns))
        asked = say.of_rpc(call.method, copy.answer, copy.address, copy.address, error=error)
        asked["service.peer.name"] = copy.name
        alone = finished.plan.layout == "comparison" and context.trace_id == call.own.trace_id
        return write(
            Told(
                f"{words.who(copy)}: {words.found(copy)}",
                kind,
                (start, end),
                status,
                say.differences(copy, end // 1000 * 1000),
            ),
            context,
            parent,
            encode_known(tuple(asked.items()))
            + call.about
            + encode(say.of_shadow(finished, copy))
            + call.to_production
            + call.found[copy.name],
            links=() if alone else (call.own,),
        )


def exported_trace(plan: SpanPlan, spans: list[EncodedSpan]) -> str:
    """The trace in which a call's comparison can be opened, in hexadecimal; empty for none."""
    context = next(iter(plan.shadows.values()), None)
    return "" if context is None or len(spans) < 2 else context.trace_hex
