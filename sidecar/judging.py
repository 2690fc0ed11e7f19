"""The judge in the running observer: each finished call is told to its shadows' judges.

Rule: a call is only counted here. Evidence is evaluated when somebody asks, and now and then so
that decisions latch and a budget that is used up ends its shadow; never for a call. Nothing raises
on the data path. Counterparts: `app`, which calls; `judge`, which is pure; `report.part`, what a
sidecar tells about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sidecar.call import INELIGIBLE, Observation
from sidecar.compare.comparer import Comparer, Examination
from sidecar.compare.payload import Decoded
from sidecar.compare.result import Comparison
from sidecar.config import Settings
from sidecar.judge.counts import Coverage
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pair import JudgedPair
from sidecar.judge.report import Verdict
from sidecar.judge.settings import LABELLED, JudgeSettings
from sidecar.judge.slices import slices_of
from sidecar.judge.values import fields_of, needs_request, values_of, wanted_outputs
from sidecar.ledger import Ledger, ShadowCounts
from sidecar.log import Log
from sidecar.report.timeline import Timeline

if TYPE_CHECKING:
    from sidecar.pair import Pair

EVALUATE_SECONDS = 1.0
EVALUATE_SHARE = 50  # evaluating takes at most one part in so many of the process's time
_METADATA = "metadata:"


class Judged:
    """One shadow with its judge."""

    def __init__(self, counts: ShadowCounts, version: str, judge: Judge, now_ns: int) -> None:
        self.counts = counts
        self.version = version
        self.judge = judge
        self.timeline = Timeline()
        self.verdict = judge.verdict(now_ns, self.coverage)  # as last evaluated

    @property
    def name(self) -> str:
        """The shadow's name."""
        return self.counts.name

    @property
    def coverage(self) -> Coverage:
        """Compared, of the calls whose fate is known and that were to be compared."""
        counts = self.counts
        known = counts.seen - counts.in_flight
        chosen = sum(counts.skipped[reason] for reason in INELIGIBLE)
        return Coverage(counts.compared, known - chosen)

    def evaluate(self, now_ns: int) -> Verdict:
        """Judge what has been counted so far."""
        self.verdict = self.judge.verdict(now_ns, self.coverage)
        return self.verdict


class Judging:
    """Every shadow's judge; controls have none, for they are what the noise is measured by."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        comparer: Comparer,
        now_ns: Callable[[], int],
        log: Log,
        *,
        instance: str,
        unix_offset_ns: int,
    ) -> None:
        """Begin to judge.

        Args:
            settings: the whole configuration.
            ledger: where coverage is read.
            comparer: reads what a comparison did not have to.
            now_ns: the monotonic clock.
            log: told of every change of a verdict.
            instance: names this process's life among all pods and restarts.
            unix_offset_ns: what to add to that clock to get Unix time.
        """
        self.settings: JudgeSettings = settings.judge
        self.instance = instance
        self.unix_offset_ns = unix_offset_ns
        self.failures = 0  # calls that could not be counted: a defect of ours
        self.listeners: list[Callable[[str, JudgedPair], None]] = []
        self._comparer = comparer
        self._now_ns = now_ns
        self._log = log
        self._rules = settings.compare.model_dump_json()
        self._control = next((s.name for s in settings.shadows if s.role == "control"), None)
        self.control_fraction = self._fraction_of(settings)
        self._wanted = wanted_outputs(settings.judge)
        self._needs_fields = needs_request(settings.judge)
        self._slices_by_model = any(s.source == "model" for s in settings.judge.slices)
        self._correlation = settings.judge.labels.correlation
        labelled = any(c.kind in LABELLED for c in settings.judge.criteria)
        # A label names the request's id; for people the trace id will do.
        self._needs_id = self._correlation == "request_id" or (
            self._correlation is None and labelled
        )
        self._lives = 0
        self._next_ns = 0
        versions = {s.name: s.version for s in settings.shadows}
        self.shadows = {
            counts.name: Judged(counts, versions[counts.name], self._new_judge(), now_ns())
            for counts in ledger.shadows
            if counts.role == "shadow"
        }

    def _new_judge(self) -> Judge:
        return Judge(
            self.settings,
            f"{self.instance}.{self._lives}" if self._lives else self.instance,
            self._now_ns(),
            unix_offset_ns=self.unix_offset_ns,
            control_fraction=self.control_fraction,
            rules=self._rules,
        )

    def _fraction_of(self, settings: Settings) -> float:
        return next((s.fraction for s in settings.shadows if s.name == self._control), 0.0)

    # ---- on the data path ---------------------------------------------------------------------

    def keep(self, pair: Pair, name: str, found: Examination) -> None:
        """Keep, of what a comparison just read, what criteria and slices are about."""
        ours = found.production
        if ours:
            pair.request_id = pair.request_id or ours[0].request_id
        if not self._wanted or name not in self.shadows:
            return
        if not ours and pair.production is not None and pair.production.status == 0:
            # The shadow gave nothing to read; what production decided counts all the same.
            ours = self._comparer.read_response(pair.call.method, pair.production.messages)
        try:
            pair.values[name] = values_of(self._wanted, ours, found.shadow)
        except Exception as error:
            self._failed(pair, error)

    def judge(self, pair: Pair) -> None:
        """Count a call whose every fate is known."""
        if pair.production is None:
            return
        for name, comparison in pair.compared.items():
            judged = self.shadows.get(name)
            if judged is None:
                continue
            try:
                self._count(judged, pair, comparison)
            except Exception as error:  # a payload must not end the observer
                self._failed(pair, error)

    def _failed(self, pair: Pair, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            self._log.warning("not_judged", error=repr(error), method=pair.call.method)

    def _count(self, judged: Judged, pair: Pair, comparison: Comparison) -> None:
        judged_pair = self._pair(judged, pair, comparison)
        judged.judge.observe(judged_pair, self._now_ns())
        judged.timeline.add(
            pair.call.started_ns + self.unix_offset_ns,
            differs=not comparison.agrees,
            failed=judged_pair.failed,
        )
        for listener in self.listeners:
            listener(judged.name, judged_pair)

    def _pair(self, judged: Judged, pair: Pair, comparison: Comparison) -> JudgedPair:
        call, production, shadow = pair.call, pair.production, pair.shadowed[judged.name]
        assert production is not None
        request = _Once(lambda: self._comparer.read_request(call.method, pair.request))
        values = pair.values.get(judged.name, {})
        models = self._models(comparison.models, production, shadow, judged.version)
        ids = pair.plan.ids(judged.name) if pair.plan is not None else {}
        slices: tuple[tuple[str, str], ...] = ()
        if self.settings.slices:
            slices = slices_of(
                self.settings.slices,
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
            else replace(comparison, models=models),
            production_status=production.status,
            shadow_status=shadow.status,
            production_latency_ns=production.latency_ns,
            shadow_latency_ns=shadow.latency_ns,
            control=pair.compared.get(self._control) if self._control else None,
            correlation_id=self._correlation_id(pair, request),
            trace_ids=(ids.get("trace_id", ""), ids.get("shadow_trace_id", "")),
            slices=slices,
            values=values,
            # Good enough to tell requests of one second apart, and a hundred times cheaper than
            # a cryptographic digest; the seed is this process's own.
            request_digest=hash((call.method, pair.request)).to_bytes(8, "big", signed=True),
        )

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
            known := self._version(production) or self.settings.production_version
        ):
            a = f"{a}:{known}"
        if ":" not in b and (known := self._version(shadow) or version):
            b = f"{b}:{known}"
        return a, b

    def _version(self, answer: Observation) -> str:
        name = self.settings.version_metadata
        if not name:
            return ""
        return next((v for k, v in (*answer.headers, *answer.trailers) if k == name), "")

    # ---- when somebody asks, and now and then ---------------------------------------------------

    def sweep(self) -> None:
        """Evaluate, unless that was done a moment ago. Called about once a second."""
        start = self._now_ns()
        if start < self._next_ns:
            return
        for judged in self.shadows.values():
            before = judged.verdict.state
            verdict = judged.evaluate(start)
            if verdict.state is not before:
                self._log.info(
                    "verdict", shadow=judged.name, state=verdict.state, reason=verdict.reason
                )
        took = self._now_ns() - start
        self._next_ns = start + max(int(EVALUATE_SECONDS * 0.9e9), took * EVALUATE_SHARE)

    def ended(self, name: str) -> bool:
        """Whether a shadow's budget is used up; a control ends with the last shadow."""
        judged = self.shadows.get(name)
        return self.all_ended if judged is None else judged.verdict.ended

    @property
    def all_ended(self) -> bool:
        """Whether there is a shadow, and every one's budget is used up."""
        return bool(self.shadows) and all(j.verdict.ended for j in self.shadows.values())

    def label(self, label: Label, shadow: str | None = None) -> None:
        """Tell what turned out to be true about a call, to one shadow's judge or to all."""
        now_ns = self._now_ns()
        for judged in self.shadows.values():
            if shadow in {None, judged.name}:
                judged.judge.label(label, now_ns)

    def change(self, settings: Settings) -> None:
        """Follow a change of the control's fraction: what was counted had other weights."""
        fraction = self._fraction_of(settings)
        if fraction == self.control_fraction:
            return
        self.control_fraction = fraction
        self._lives += 1
        for judged in self.shadows.values():
            judged.judge = self._new_judge()
        self._log.info("evidence_restarted", reason="the control's fraction has changed")


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
