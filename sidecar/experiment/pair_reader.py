"""From a finished call to the judge's pair: what it goes by, where it belongs, what it is about.

Rule: nothing is read twice, and a request only when something about it is asked for. Pure, but for
what the comparer reads. Counterparts: `judging`, which counts what comes out; `judge.pair`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidecar.call import DRAWN, INELIGIBLE, Observation
from sidecar.compare.comparer import Comparer, Examination
from sidecar.compare.payload import Decoded
from sidecar.compare.readers.opaque import OPAQUE
from sidecar.compare.result import Comparison
from sidecar.judge.distributions import drawn_of
from sidecar.judge.evidence.effective import digest_of
from sidecar.judge.pair import DEADLINE_EXCEEDED, ControlTimes, JudgedPair, Values, are_others
from sidecar.judge.shown import Shown, shown
from sidecar.judge.slices import slices_of
from sidecar.judge.values import decisions_of, fields_of, needs_request, values_of, wanted_outputs
from sidecar.settings.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiment.pair import Pair

OTHERS: Final[Values] = {}  # what an answer has of the outputs that are wanted that could be read
_METADATA = "metadata:"


class PairReader:
    """Reads calls for the judge, under one configuration."""

    def __init__(self, settings: Settings, comparer: Comparer, control: str | None) -> None:
        """Prepare.

        Args:
            settings: the whole configuration.
            comparer: reads what a comparison did not have to.
            control: the name of the control that the noise is measured by, if there is one.
        """
        self._settings = settings.judge
        self._comparer = comparer
        self._control = control
        self._versions = {s.name: s.version for s in settings.shadows}
        self._wanted = wanted_outputs(settings.judge)
        self._decisions = decisions_of(settings.judge)
        self._needs_fields = needs_request(settings.judge)
        self._slices_by_model = any(s.source == "model" for s in settings.judge.slices)
        self._correlation = settings.judge.labels.correlation
        labelled = any(c.needs_labels for c in settings.judge.criteria)
        # A label names the request's id; for people the trace id will do.
        self._needs_id = self._correlation == "request_id" or (
            self._correlation is None and labelled
        )

    def keep(self, pair: Pair, name: str, found: Examination) -> None:
        """Keep in the pair, of what a comparison just read, what is wanted later."""
        ours, answer = found.production, pair.production
        if self._wanted and not ours and answer is not None and answer.status == 0:
            # The shadow gave nothing to read; what production decided counts all the same, and its
            # answer may be all that has the id by which a label names the call.
            ours = self._comparer.read_response(pair.call.method, answer.messages)
        if ours:
            pair.request_id = pair.request_id or ours[0].request_id
        if not self._wanted:
            return
        values = values_of(self._wanted, ours, found.shadow)
        pair.values[name] = values or (OTHERS if ours else values)

    def draw(self, pair: Pair, name: str, found: Examination) -> None:
        """Keep what is counted of distributions, of a call that was drawn."""
        if found.comparison.reader == OPAQUE:
            return  # bytes are no outputs
        settings = self._settings.drift
        request: tuple[Decoded, ...] = ()
        if settings.inputs:
            request = self._comparer.read_request(pair.call.method, pair.request)
        pair.drawn[name] = drawn_of(
            settings, self._decisions, found.production, found.shadow, request
        )

    def read(self, pair: Pair, name: str) -> JudgedPair:
        """Make the judge's pair of a call that was compared with a shadow."""
        call, production, shadow = pair.call, pair.production, pair.shadowed[name]
        assert production is not None
        comparison = pair.compared[name]
        request = _Once(lambda: self._comparer.read_request(call.method, pair.request))
        values = pair.values.get(name, {})
        models = self._models(comparison.models, production, shadow, self._versions[name])
        control = self._controlled(pair)
        slices: tuple[tuple[str, str], ...] = ()
        if self._settings.slices:
            slices = slices_of(
                self._settings.slices,
                method=call.method,
                model=self._model(models[0], request) if self._slices_by_model else "",
                metadata=call.metadata,
                fields=fields_of(request()) if self._needs_fields else None,
                values=values,
            )
        return JudgedPair(
            key=call.key,
            method=call.method,
            arrived_ns=call.started_ns,
            comparison=comparison
            if models == comparison.models
            else comparison._replace(models=models),
            production_status=production.status,
            shadow_status=shadow.status,
            production_latency_ns=production.latency_ns,
            shadow_latency_ns=shadow.latency_ns,
            first_message_ns=(
                production.first_message_latency_ns,
                shadow.first_message_latency_ns,
            ),
            message_gap_ns=(production.message_gap_ns, shadow.message_gap_ns),
            control=control,
            control_times=self._control_times(pair, control),
            correlation_id=self._correlation_id(pair, request),
            trace_ids=pair.plan.trace_ids(name) if pair.plan is not None else ("", ""),
            slices=slices,
            values=values,
            has_others=values is OTHERS,
            is_repeat=pair.is_repeat,
            weight=pair.weight,
            drawn=pair.drawn.get(name),
            request_digest=_digest(pair),
            show=self._show(pair, name, request) if self._settings.examples.values else None,
        )

    def _controlled(self, pair: Pair) -> Comparison | None:
        """Production against its control, with the versions that are known of both."""
        found = pair.compared.get(self._control) if self._control else None
        if found is None or self._control is None or pair.production is None:
            return found
        answer, version = pair.shadowed[self._control], self._versions[self._control]
        models = self._models(found.models, pair.production, answer, version)
        return found if models == found.models else found._replace(models=models)

    def _control_times(self, pair: Pair, control: Comparison | None) -> ControlTimes | None:
        if self._control is None:
            return None
        if control is not None and are_others(control.models):
            return ControlTimes(failed=True)  # how long another version takes says nothing
        answer = pair.shadowed.get(self._control)
        if answer is None:
            reason = pair.skipped.get(self._control)
            chosen = reason is None or reason in INELIGIBLE | DRAWN
            return None if chosen else ControlTimes(failed=True)
        return ControlTimes(
            answer.latency_ns,
            answer.first_message_latency_ns,
            answer.message_gap_ns,
            failed=answer.status != 0,
            late=answer.status == DEADLINE_EXCEEDED,
        )

    def correlation_id(self, pair: Pair) -> str:
        """What a label names a call by; empty: its trace id."""
        request = _Once(lambda: self._comparer.read_request(pair.call.method, pair.request))
        return self._correlation_id(pair, request)

    def _show(self, pair: Pair, name: str, request: _Once) -> Callable[[], Shown]:
        """What may be shown of a call, read again if it is one to be shown."""

        def show() -> Shown:
            assert pair.production is not None
            answers = (pair.production, pair.shadowed[name])
            ours, theirs = (
                self._comparer.read_response(pair.call.method, answer.messages)
                for answer in answers
            )
            return shown(
                self._settings.examples,
                [output.name for output in pair.compared[name].differing],
                values_of(("*",), ours, theirs),
                fields_of(request()),
            )

        return show

    def _correlation_id(self, pair: Pair, request: _Once) -> str:
        rule = self._correlation
        if rule is not None and rule.startswith(_METADATA):
            name = rule.removeprefix(_METADATA)
            return next((v for k, v in pair.call.metadata if k == name), "")
        if rule == "trace_id" or not (self._needs_id or pair.request_id):
            return ""  # the judge takes the trace id
        return pair.request_id or next((d.request_id for d in request() if d.request_id), "")

    def _model(self, told: str, request: _Once) -> str:
        model = told or next((d.model for d in request() if d.model), "")
        return model.rpartition(":")[0] or model

    def _models(
        self,
        told: tuple[str, str],
        production: Observation,
        shadow: Observation,
        version: str,
    ) -> tuple[str, str]:
        """Both sides' "name:version", as far as answers, their metadata or settings tell."""
        a, b = told
        if ":" not in a and (
            known := self._version(production) or self._settings.production_version
        ):
            a = f"{a}:{known}"
        if ":" not in b and (known := self._version(shadow) or version):
            b = f"{b}:{known}"
        return a, b

    def _version(self, answer: Observation) -> str:
        name = self._settings.version_metadata
        if not name:
            return ""
        return next((v for k, v in (*answer.headers, *answer.trailers) if k == name), "")


def _digest(pair: Pair) -> int | None:
    """What tells a request from others, found once for all shadows."""
    if pair.digest is None and pair.request:
        pair.digest = digest_of(pair.call.method, pair.request)
    return pair.digest


class _Once:
    """Reads a request when it is first asked for, and not again."""

    __slots__ = ("_read", "_value")

    def __init__(self, read: Callable[[], tuple[Decoded, ...]]) -> None:
        self._read = read
        self._value: tuple[Decoded, ...] | None = None

    def __call__(self) -> tuple[Decoded, ...]:
        if self._value is None:
            self._value = self._read()
        return self._value
