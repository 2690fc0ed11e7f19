"""What Jaeger's page makes of exported spans: its own rules, as far as they decide what is seen.

Times are cut to whole microseconds; the tree is built from a span's first reference, of which the
parent comes before links; the critical path follows every edge but that from a PRODUCER to a
CONSUMER. Written from
the behaviour of Jaeger's page 2.19; counterpart: `test_jaeger.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tests.collector import ReceivedSpan


class Trace:
    """One trace, as the page shows it."""

    def __init__(self, spans: Iterable[ReceivedSpan]) -> None:
        self.spans = list(spans)
        self.by_id = {span.span_id: span for span in self.spans}

    @property
    def roots(self) -> list[ReceivedSpan]:
        """The spans that the page draws at the left edge."""
        return [span for span in self.spans if self.parent(span) is None]

    def parent(self, span: ReceivedSpan) -> ReceivedSpan | None:
        """By the first reference that is in this trace."""
        trace_id = span.trace_id
        references = [(trace_id, span.parent_span_id)] if span.parent_span_id else []
        references += [(link.trace_id, link.span_id) for link in span.links]
        return next(
            (self.by_id[s] for t, s in references if t == trace_id and s in self.by_id), None
        )

    def orphans(self) -> list[ReceivedSpan]:
        """Spans whose parent never came: the trace is "Incomplete"."""
        return [s for s in self.spans if s.parent_span_id and s.parent_span_id not in self.by_id]

    def circles(self) -> list[ReceivedSpan]:
        """Spans that are above themselves."""
        return [span for span in self.spans if span in self._above(span)]

    def _above(self, span: ReceivedSpan) -> Iterator[ReceivedSpan]:
        at = self.parent(span)
        for _ in self.spans:
            if at is None:
                return
            yield at
            at = self.parent(at)

    def events_outside(self) -> list[str]:
        """Names of events that the page leaves out of "Logs (n of m)"."""
        found: list[str] = []
        for span in self.spans:
            start, duration = span.start_ns // 1000, (span.end_ns - span.start_ns) // 1000
            found += [
                event.name
                for event in span.events
                if not start <= event.time_ns // 1000 <= start + duration
            ]
        return found

    def unconsumed(self) -> list[ReceivedSpan]:
        """Spans below a PRODUCER that are no CONSUMER: the critical path would run into them."""
        above = [(s, self.parent(s)) for s in self.spans if s.kind != "CONSUMER"]
        return [span for span, parent in above if parent is not None and parent.kind == "PRODUCER"]

    def critical_path(self, root: ReceivedSpan) -> list[ReceivedSpan]:
        """The spans that the black line runs through: from the end back, the last that ended.

        A span of no length is no part of it.
        """
        path, at, until = [root], root, root.end_ns
        for _ in self.spans:
            below = [
                s
                for s in self.spans
                if self.parent(s) is at
                and not (at.kind == "PRODUCER" and s.kind == "CONSUMER")
                and s.start_ns < min(s.end_ns, until)
            ]
            if not below:
                return path
            at = max(below, key=lambda s: min(s.end_ns, until))
            until = min(until, at.end_ns)
            path.append(at)
        return path


def faults(spans: Iterable[ReceivedSpan]) -> set[str]:
    """The rules that exported spans break, by name; a link leads to a span that came, too."""
    received = list(spans)
    known = {(span.trace_id, span.span_id) for span in received}
    found = set()
    for shown in traces(received).values():
        broken = {
            "event outside": shown.events_outside(),
            "circle": shown.circles(),
            "orphan": shown.orphans(),
            "unconsumed": shown.unconsumed(),
            "no single root": [] if len(shown.roots) == 1 else shown.spans,
            "link to nowhere": [
                link
                for span in shown.spans
                for link in span.links
                if (link.trace_id, link.span_id) not in known
            ],
        }
        found |= {rule for rule, where in broken.items() if where}
        if not shown.roots or shown.roots[0].role == "comparison":
            continue
        path = shown.critical_path(shown.roots[0])
        if any(span.role in {"shadow", "control"} for span in path):
            found.add("shadow on the critical path")
    return found


def traces(spans: Iterable[ReceivedSpan]) -> dict[str, Trace]:
    """All traces by id."""
    found: dict[str, list[ReceivedSpan]] = {}
    for span in spans:
        found.setdefault(span.trace_id, []).append(span)
    return {trace_id: Trace(each) for trace_id, each in found.items()}


def dependencies(spans: Iterable[ReceivedSpan]) -> Counter[tuple[str, str]]:
    """The dependency graph: how often a service's span has a parent of another service."""
    counts: Counter[tuple[str, str]] = Counter()
    for trace in traces(spans).values():
        for span in trace.spans:
            above = trace.by_id.get(span.parent_span_id)
            if above is not None:
                names = (above.resource["service.name"], span.resource["service.name"])
                counts[names] += names[0] != names[1]
    return +counts
