"""Memory over time, under load, with a shadow that never answers and a breaker that never opens.

That is the worst case that the buffers are made for: the queue and the pairs stay at their bounds.
"""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks import paths
from benchmarks.account import peak_bytes, resident_bytes
from benchmarks.ends import echoes, ordinary
from benchmarks.load import Shape, closed_loop
from sidecar.settings.settings import Settings
from tests.processes import http_json

SHAPE = Shape(8, 1, 16 << 10)
LOOKS = 60  # at least
DEFAULTS = Settings()
WIRE_BUFFERS = DEFAULTS.wire.tap_bytes + 2 * SHAPE.connections * DEFAULTS.wire.connection_bytes
OBSERVER_BUFFERS = DEFAULTS.pairs.bytes  # what waits in the queue are the pairs' own bytes


@dataclass(frozen=True, slots=True)
class Grown:
    """Bytes resident: medians of the first and the last quarter after warming, and the peak."""

    early: float
    late: float
    peak: int

    @property
    def growth(self) -> float:
        """How much larger at the end."""
        return self.late / self.early - 1


@dataclass(frozen=True, slots=True)
class Memory:
    """Both processes, what their buffers are allowed, and what they held."""

    seconds: float
    calls: int
    failed: int
    wire: Grown
    observer: Grown
    wire_buffers: int
    observer_buffers: int
    held: int  # bytes that the observer said it held at the end
    skipped: Mapping[str, int]


def run(step: Callable[[str], None], seconds: float) -> Memory:
    """Load for so long."""
    step(f"{seconds:.0f} s with a shadow that hangs")
    with echoes(1) as (production,), ordinary("--hang", idle=True) as shadow:
        one = {
            "name": "shadow",
            "address": shadow,
            "breaker": {"consecutive_failures": 1_000_000_000, "window_calls": 1_000_000_000},
        }
        way = paths.sidecar(
            1.0, settings={"shadows": json.dumps([one]), "observer.priority": "normal"}
        )
        with way.open(production, "") as it:
            wire, observer = it.in_path, it.behind
            seen: list[tuple[int, int]] = []
            done = threading.Event()

            def look() -> None:
                while not done.wait(min(1.0, seconds / LOOKS)):
                    seen.append((resident_bytes(wire), resident_bytes(observer)))

            closed_loop(it.address, SHAPE, seconds / 10)
            watching = threading.Thread(target=look)
            watching.start()
            try:
                result = closed_loop(it.address, SHAPE, seconds)
            finally:
                done.set()
                watching.join()
            status = http_json(it.http[0], "/status")
            return Memory(
                seconds,
                result.calls,
                result.failed,
                _grown([w for w, _ in seen], peak_bytes(wire)),
                _grown([o for _, o in seen], peak_bytes(observer)),
                WIRE_BUFFERS,
                OBSERVER_BUFFERS,
                status["held_bytes"],
                {k: v for k, v in status["calls"]["skipped"].items() if v},
            )


def _grown(sizes: list[int], peak: int) -> Grown:
    quarter = max(1, len(sizes) // 4)
    return Grown(statistics.median(sizes[:quarter]), statistics.median(sizes[-quarter:]), peak)
