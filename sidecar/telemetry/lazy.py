"""An exporter that is made when there is something to send.

Rule: OpenTelemetry's SDK is loaded by the thread that sends, with the first batch: an observer
without traffic, as most in a cluster are most of the time, needs neither its memory nor its time.
Counterparts:
`exporter`, whose thread it is; `environment`, which says whether there is one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sidecar.telemetry.otlp import EncodedSpan

if TYPE_CHECKING:
    from sidecar.telemetry.exporter import Exporter


class LazyExporter:
    """An exporter that is made when something is to be sent."""

    def __init__(self, make: Callable[[], Exporter]) -> None:
        """`make` is called once, by the thread that sends."""
        self._make = make
        self._made: Exporter | None = None
        self._lock = threading.Lock()
        self._ended = False

    def export(self, spans: Sequence[EncodedSpan]) -> Any:
        """See `exporter.Exporter`."""
        with self._lock:
            if self._made is None:
                if self._ended:
                    raise RuntimeError("the exporter was shut down")
                self._made = self._make()
        return self._made.export(spans)

    def shutdown(self) -> None:
        """See `exporter.Exporter`."""
        with self._lock:
            self._ended = True
        if self._made is not None:
            self._made.shutdown()
