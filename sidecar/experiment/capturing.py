"""From a finished call to the rows that are captured of it.

Rule: a pair is read again only if it is to be captured and some value of it was asked for; nothing
raises on the data path. Whether an agreeing pair is captured is drawn here, once a call, so that
all of a call's shadows are captured or none. Counterparts: `app`, which hands over finished calls,
and `capture.writer`, which writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from sidecar.call import Observation
from sidecar.capture.counts import CaptureCounts
from sidecar.capture.row import Row
from sidecar.capture.settings import CaptureSettings
from sidecar.compare.comparer import Comparer
from sidecar.judge.pair import Value
from sidecar.judge.values import fields_of, values_of

if TYPE_CHECKING:
    from sidecar.experiment.pair import Pair


class Writer(Protocol):
    """Where rows go."""

    counts: CaptureCounts

    def offer(self, row: Row) -> bool:
        """Let a row wait to be written; False if there was no room."""
        ...


class Capturing:
    """Decides which pairs are captured, and reads what was asked for of them."""

    def __init__(
        self,
        settings: CaptureSettings,
        writer: Writer,
        comparer: Comparer,
        *,
        roles: Mapping[str, str],
        experiment: str,
        instance: str,
        unix_offset_ns: int,
        draw: Callable[[], float],
        correlation: Callable[[Pair], str],
    ) -> None:
        """Prepare.

        Args:
            settings: what is captured.
            writer: takes the rows.
            comparer: reads the values that were asked for.
            roles: every shadow's, by name.
            experiment: its name.
            instance: names this process's life.
            unix_offset_ns: what to add to the monotonic clock to get Unix time.
            draw: uniform in [0, 1).
            correlation: what a label names a call by.
        """
        self.failures = 0  # calls that could not be read: a defect of ours
        self._settings = settings
        self._writer = writer
        self._comparer = comparer
        self._roles = roles
        self._experiment = experiment
        self._instance = instance
        self._offset_ns = unix_offset_ns
        self._draw = draw
        self._correlation = correlation

    @property
    def counts(self) -> CaptureCounts:
        """What became of the pairs so far."""
        return self._writer.counts

    def take(self, pair: Pair) -> None:
        """Capture what is to be captured of a call whose every fate is known."""
        if pair.production is None or not pair.compared:
            return
        try:
            if self._is_wanted(pair):
                # One for all rows of a call, a control's too: it is forgotten by it.
                told = next((j.correlation_id for j in pair.judged.values()), None)
                correlation = self._correlation(pair) if told is None else told
                for name in pair.compared:
                    self._writer.offer(self._row(pair, name, pair.production, correlation))
        except Exception:  # a payload must not end the observer
            self.failures += 1

    def _is_wanted(self, pair: Pair) -> bool:
        settings = self._settings
        if settings.what == "all":
            return True
        if any(not comparison.agrees for comparison in pair.compared.values()):
            return True
        return settings.what == "sample" and self._draw() < settings.fraction

    def _row(self, pair: Pair, name: str, production: Observation, correlation: str) -> Row:
        call, answer, settings = pair.call, pair.shadowed[name], self._settings
        judged, sent = pair.judged.get(name), pair.sent.get(name)
        inputs: dict[str, Value] = {}
        if settings.inputs:
            fields = fields_of(self._comparer.read_request(call.method, pair.request))
            inputs = {
                field: value
                for field, value in fields.items()
                if any(fnmatchcase(field, glob) for glob in settings.inputs)
            }
        ids = pair.plan.ids(name) if pair.plan is not None else {}
        comparison = judged.comparison if judged is not None else pair.compared[name]
        if not settings.payloads:
            production = production._replace(messages=())
            answer = answer._replace(messages=())
        return Row(
            experiment=self._experiment,
            call=f"{self._instance}:{call.key.connection}:{call.key.stream}",
            started_ns=call.started_ns + self._offset_ns,
            request_ns=max(0, production.started_ns - call.started_ns),
            timeout_ns=call.timeout_ns,
            method=call.method,
            peer=call.peer,
            correlation_id=correlation,
            trace_id=ids.get("trace_id", ""),
            shadow_trace_id=ids.get("shadow_trace_id", ""),
            shadow=name,
            role=self._roles[name],
            comparison=comparison,
            production=production,
            answer=answer,
            request=pair.request if settings.payloads else (),
            metadata=call.metadata if settings.metadata else (),
            slices=judged.slices if judged is not None else (),
            scores=pair.scores.get(name, {}),
            inputs=inputs,
            outputs=self._outputs(pair, name),
            waited_ns=None if sent is None else max(0, sent - production.started_ns),
        )

    def _outputs(self, pair: Pair, name: str) -> Mapping[str, tuple[Value | None, Value | None]]:
        if not self._settings.outputs:
            return {}
        assert pair.production is not None
        ours, theirs = (
            self._comparer.read_response(pair.call.method, answer.messages)
            for answer in (pair.production, pair.shadowed[name])
        )
        return values_of(self._settings.outputs, ours, theirs)
