from __future__ import annotations

import io
import json
import threading
from collections import deque
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from sidecar.log import Log
from sidecar.telemetry.exporter import SpanCounts, SpanQueue
from sidecar.telemetry.otlp import EncodedSpan

PATIENCE = 30.0


def call(name: str, spans: int = 2) -> list[EncodedSpan]:
    return [name.encode() for _ in range(spans)]


class Held:
    """An exporter that waits for the test before it answers a batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.answers: list[SpanExportResult | Exception] = []
        self._go = threading.Semaphore(0)
        self._over = False

    def export(self, spans: Sequence[EncodedSpan]) -> SpanExportResult:
        self.batches.append([span.decode() for span in spans])
        self.entered.release()
        self._go.acquire()
        if self._over:
            return SpanExportResult.FAILURE
        answer = self.answers.pop(0) if self.answers else SpanExportResult.SUCCESS
        if isinstance(answer, Exception):
            raise answer
        return answer

    def let_go(self, batches: int = 1) -> None:
        self._go.release(batches)

    def shutdown(self) -> None:
        self._over = True
        self._go.release(1000)


def test_spans_are_exported_and_counted() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, capacity=10, delay_seconds=0.001)
    exporter.let_go(100)
    for _ in range(3):
        assert queue.offer(call("a"))
        assert queue.flush(PATIENCE)
    assert queue.counts == SpanCounts(exported=6)
    queue.shutdown()


def test_a_full_queue_drops_whole_calls_and_never_waits() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, capacity=5, batch=2, delay_seconds=0.001)
    assert queue.offer(call("first"))
    assert exporter.entered.acquire(timeout=PATIENCE)
    # The first call is on its way and still held; one more fits, and a third does not.
    assert queue.offer(call("second"))
    assert not queue.offer(call("third"))
    assert queue.offer(call("single", spans=1))
    assert queue.counts == SpanCounts(dropped=2, held=5)
    exporter.let_go(100)
    assert queue.flush(PATIENCE)
    assert queue.counts == SpanCounts(exported=5, dropped=2)
    queue.shutdown()


def test_a_calls_spans_are_never_in_two_batches() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, capacity=100, batch=5, delay_seconds=60.0)
    exporter.let_go(100)
    for name in ("a", "b", "c"):
        queue.offer(call(name, spans=3))
    assert queue.flush(PATIENCE)
    for name in ("a", "b", "c"):
        assert sorted(batch.count(name) for batch in exporter.batches)[-1] == 3
    assert all(len(batch) <= 5 for batch in exporter.batches)
    queue.shutdown()


def test_a_call_larger_than_a_batch_still_goes_out_whole() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, capacity=100, batch=2, delay_seconds=60.0)
    exporter.let_go()
    queue.offer(call("large", spans=7))
    assert queue.flush(PATIENCE)
    assert exporter.batches == [["large"] * 7]
    queue.shutdown()


@pytest.mark.parametrize("answer", [SpanExportResult.FAILURE, ValueError("closed channel")])
def test_what_the_collector_does_not_take_is_counted(answer: SpanExportResult | Exception) -> None:
    exporter = Held()
    exporter.answers = [answer]
    queue = SpanQueue(exporter, capacity=10, delay_seconds=0.001)
    exporter.let_go(100)
    queue.offer(call("lost"))
    assert queue.flush(PATIENCE)
    queue.offer(call("taken"))
    assert queue.flush(PATIENCE)
    assert queue.counts == SpanCounts(exported=2, failed=2)
    queue.shutdown()


def test_only_changes_of_state_are_logged() -> None:
    out = io.StringIO()
    exporter = Held()
    failure, success = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    exporter.answers = [success, failure, failure, failure, success, success]
    queue = SpanQueue(exporter, capacity=10, delay_seconds=0.001, log=Log("test", out))
    exporter.let_go(100)
    for _ in range(6):
        queue.offer(call("a"))
        assert queue.flush(PATIENCE)
    queue.shutdown()
    levels = [json.loads(line)["level"] for line in out.getvalue().splitlines()]
    assert levels == ["warning", "info"]


def test_shutdown_gives_up_on_a_collector_that_hangs_and_counts_the_rest() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, capacity=10, batch=2, delay_seconds=0.001)
    queue.offer(call("hangs"))
    assert exporter.entered.acquire(timeout=PATIENCE)
    queue.offer(call("waits"))
    queue.shutdown(0.2)
    assert queue.flush(PATIENCE)
    assert queue.counts == SpanCounts(failed=2, dropped=2)
    assert exporter.batches == [["hangs"] * 2]


def test_shutdown_sends_what_is_held() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, capacity=10, delay_seconds=60.0)
    exporter.let_go(100)
    queue.offer(call("last"))
    queue.shutdown(PATIENCE)
    assert queue.counts == SpanCounts(exported=2)


def test_after_shutdown_spans_are_dropped() -> None:
    queue = SpanQueue(Held(), capacity=10)
    queue.shutdown()
    assert not queue.offer(call("late"))
    assert queue.counts == SpanCounts(dropped=2)


def test_without_an_exporter_spans_reach_the_sinks_only() -> None:
    latest: deque[EncodedSpan] = deque(maxlen=3)
    queue = SpanQueue(None, capacity=1)
    queue.add_sink(latest.append)
    for name in ("a", "b", "c"):
        assert queue.offer(call(name))
    assert [span.decode() for span in latest] == ["b", "c", "c"]
    assert queue.counts == SpanCounts()
    queue.shutdown()


def test_no_spans_are_no_call() -> None:
    queue = SpanQueue(Held(), capacity=1)
    assert queue.offer([])
    assert queue.counts == SpanCounts()
    queue.shutdown()
