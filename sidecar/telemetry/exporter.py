"""Spans on their way out: a bounded queue, one thread, and any OTLP exporter at its end.

Rule: offering spans never waits and never raises, whatever the collector does; the spans of one
call go in, and are lost, together; offered = exported + failed + dropped + held, exactly.
Counterparts: `spans`, which builds them, and `environment`, which says where they go.

The SDK's BatchSpanProcessor is not used because it drops the oldest span of a full queue, hence
half a pair, and tells how many only through a second metrics pipeline.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sidecar.log import Log
from sidecar.telemetry.otlp import EncodedSpan

Sink: TypeAlias = Callable[[EncodedSpan], None]
"""Hears of every span that is offered, in the caller's thread; must be quick and never raise."""


class Exporter(Protocol):
    """What sends a batch."""

    def export(self, spans: Any, /) -> Any:
        """Send; may block, and may raise. Returns OpenTelemetry's SpanExportResult."""

    def shutdown(self) -> None:
        """Cut short what is being sent."""


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What became of the spans. offered = exported + failed + dropped + held."""

    exported: int = 0
    failed: int = 0  # the collector did not take them
    dropped: int = 0  # the queue was full, or the end came first
    held: int = 0  # queued, or on the way


class SpanQueue:
    """Where the observer leaves spans.

    Without an exporter there is no thread, and spans only reach the sinks.
    """

    def __init__(
        self,
        exporter: Exporter | None,
        *,
        capacity: int,
        batch: int = 512,
        delay_seconds: float = 1.0,
        log: Log | None = None,
    ) -> None:
        """Start the thread.

        Args:
            exporter: what sends a batch; its `export` may block for as long as it likes.
            capacity: spans held at most, those being sent included.
            batch: spans that are worth sending at once; a call's spans are never split.
            delay_seconds: how long a smaller batch waits for more.
            log: told when the collector stops or starts taking spans, once each.
        """
        self._exporter = exporter
        self._capacity = capacity
        self._batch = min(batch, capacity)
        self._delay = delay_seconds
        self._sinks: list[Sink] = []
        self._log = log
        self._changed = threading.Condition()
        self._calls: deque[tuple[EncodedSpan, ...]] = deque()
        self._waiting = 0  # spans in _calls
        self._held = self._exported = self._failed = self._dropped = 0
        self._hurry = self._closing = self._given_up = False
        self._reached = True
        self._thread: threading.Thread | None = None
        if exporter is not None:
            self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
            self._thread.start()

    @property
    def exports(self) -> bool:
        """Whether anybody is sent what is offered."""
        return self._exporter is not None

    @property
    def wanted(self) -> bool:
        """Whether anybody would hear of a span."""
        return self._exporter is not None or bool(self._sinks)

    @property
    def counts(self) -> SpanCounts:
        """What became of the spans so far."""
        with self._changed:
            return SpanCounts(self._exported, self._failed, self._dropped, self._held)

    def add_sink(self, sink: Sink) -> None:
        """Let `sink` hear of every span from now on."""
        self._sinks.append(sink)

    def offer(self, spans: Sequence[EncodedSpan]) -> bool:
        """Hand over the spans of one call; False when they were dropped."""
        if not spans:
            return True
        for sink in self._sinks:
            for span in spans:
                sink(span)
        if self._exporter is None:
            return True
        # The thread holds the lock only to move references, never while it sends.
        with self._changed:
            if self._closing or self._held + len(spans) > self._capacity:
                self._dropped += len(spans)
                return False
            was = self._waiting
            self._calls.append(tuple(spans))
            self._waiting += len(spans)
            self._held += len(spans)
            if not was or was < self._batch <= self._waiting:
                self._changed.notify_all()
            return True

    def flush(self, seconds: float) -> bool:
        """Send now what is held; False when that took longer. Blocks: not for the event loop."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._held, seconds)

    def shutdown(self, seconds: float = 2.0) -> None:
        """Send what is held for half the time, then give up. Blocks: not for the event loop."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held, seconds / 2)
            self._given_up = True
        if self._exporter is not None:
            self._exporter.shutdown()  # cuts a call on the way, and the wait before a retry
        if self._thread is not None:
            self._thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        while batch := self._next():
            taken = self._send(batch)
            with self._changed:
                if taken:
                    self._exported += len(batch)
                else:
                    self._failed += len(batch)
                self._held -= len(batch)
                self._changed.notify_all()
            self._tell(taken)

    def _next(self) -> list[EncodedSpan]:
        """Wait for a batch; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(
                lambda: self._waiting >= self._batch or self._closing or self._hurry, self._delay
            )
            if self._given_up:
                self._dropped += self._waiting
                self._held -= self._waiting
                self._waiting = 0
                self._calls.clear()
                self._changed.notify_all()
            batch: list[EncodedSpan] = []
            while self._calls and (not batch or len(batch) + len(self._calls[0]) <= self._batch):
                batch += self._calls.popleft()
            self._waiting -= len(batch)
            if not self._waiting:
                self._hurry = False
            return batch

    def _send(self, batch: list[EncodedSpan]) -> bool:
        assert self._exporter is not None
        try:
            return bool(self._exporter.export(batch).name == "SUCCESS")
        except Exception:  # whatever an exporter raises, the spans are lost and nothing else is
            return False

    def _tell(self, taken: bool) -> None:
        if taken is self._reached or self._given_up:
            return
        self._reached = taken
        if self._log is None:
            return
        if taken:
            self._log.info("the collector takes spans again")
        else:
            self._log.warning(
                "the collector does not take spans; they are counted and lost",
                further="OTEL_EXPORTER_OTLP_ENDPOINT, or --traces off",
            )
