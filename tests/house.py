"""An observer without sockets: calls are laid before its ledger, comparer and judge by hand.

Counterpart: `tests.scenarios`, where the same calls come over the wire.
"""

from __future__ import annotations

import io
from random import Random
from typing import Any

import numpy as np

from sidecar.call import CallKey, Observation, SkipReason, Started
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.app import Experiment
from sidecar.experiment.assembly import parts_of
from sidecar.experiment.judged import Judged
from sidecar.experiment.keeping import Keeping
from sidecar.experiment.pair import Pair
from sidecar.judge.report import State
from sidecar.log import Log
from sidecar.pb.inference import open_inference_pb2 as oip
from sidecar.serve.watchers import Watchers
from sidecar.settings.settings import Settings
from sidecar.telemetry.ids import TraceContext
from sidecar.telemetry.pairs import PairSpans
from sidecar.telemetry.plan import SpanPlan

INFER = "/inference.GRPCInferenceService/ModelInfer"
MS = 1_000_000
ACCURACY = {
    "name": "right",
    "kind": "accuracy",
    "margin": 0.1,
    "required": True,
    "outputs": "score",
    "decision": {"threshold": 0.5},
}
DISAGREEMENT = {"name": "same", "kind": "disagreement", "margin": 0.05, "required": True}


def request(number: int, **inputs: float) -> bytes:
    """One request with an id and inputs of one number each."""
    message = oip.ModelInferRequest(model_name="m", id=f"request-{number}")
    for name, value in inputs.items():
        tensor = message.inputs.add(name=name, datatype="FP64", shape=[1])
        tensor.contents.fp64_contents.append(value)
    return message.SerializeToString()


def answer(score: float, *, version: str = "1", request_id: str = "") -> bytes:
    message = oip.ModelInferResponse(model_name="m", model_version=version, id=request_id)
    message.outputs.add(name="score", datatype="FP64", shape=[1])
    message.raw_output_contents.append(np.float64(score).tobytes())
    return message.SerializeToString()


class House:
    """The parts around the judge, and a clock that moves a millisecond with every call."""

    def __init__(
        self,
        judge: dict[str, Any],
        control: float = 0.0,
        instance: str = "pod",
        processes: int = 1,
        keeping: Keeping | None = None,
        unix_offset_ns: int = 5,
        sample: dict[str, Any] | None = None,
        **shadow: Any,
    ) -> None:
        shadows = [{"name": "candidate", "address": "127.0.0.1:1", **shadow}]
        if control:
            row = {"name": "noise", "address": "127.0.0.1:2", "role": "control"}
            shadows.append({**row, "fraction": control})
        given = {
            "criteria": [DISAGREEMENT],
            "independent_calls": True,
            "min_duration_seconds": 0,
            "min_calls": 1,
        } | judge
        self.settings = Settings.model_validate(
            {
                "shadows": shadows,
                "judge": given,
                "observer": {"processes": processes},
                "sample": sample or {},
            }
        )
        self.now_ns = 1_000 * MS
        self.tick_ns = 0  # that passes with each look at the clock
        self.told = io.StringIO()
        draw = Random(1)
        self.comparer = Comparer(self.settings.compare, Registry())
        spans = PairSpans(
            self.settings.telemetry,
            self.settings.shadows,
            lambda: 0,
            draw,
            environ={"OTEL_TRACES_EXPORTER": "none"},
        )
        self.watchers = Watchers(5)
        parts = parts_of(
            self.settings,
            self.comparer,
            spans,
            self.clock,
            draw.random,
            Log("test", self.told),
            instance=instance,
            unix_offset_ns=unix_offset_ns,
            listeners=[self.watchers.tell],
            keeping=keeping,
        )
        self.ledger, self.judging = parts.ledger, parts.judging
        self.experiment = Experiment(
            parts, self.clock, draw.random, Log("test", self.told), unix_offset_ns=unix_offset_ns
        )
        self.calls = 0

    def clock(self) -> int:
        self.now_ns += self.tick_ns
        return self.now_ns

    def call(
        self,
        shadow: Observation,
        *,
        production: Observation | None = None,
        control: Observation | SkipReason = SkipReason.NOT_SAMPLED,
        metadata: tuple[tuple[str, str], ...] = (),
        message: bytes | None = None,
    ) -> None:
        """One call from its header to its judgement."""
        self.calls += 1
        self.now_ns += MS
        number = self.calls
        key = CallKey(1, 2 * number + 1)
        context = TraceContext(number, number, False)
        pair = Pair(
            Started(key, INFER, "model", metadata, "10.0.0.1:9", self.now_ns),
            self.ledger.see(),
            plan=SpanPlan("joined", None, context, {"candidate": context}),
            request=(message or request(number, age=float(number)),),
            production=production or told(1.0),
            weight=self.experiment._operation.weight,
        )
        self.judging.requested(pair)
        answers: dict[str, Observation | SkipReason] = {"candidate": shadow}
        if "noise" in self.ledger.index:
            answers["noise"] = control
        for name, found in answers.items():
            if isinstance(found, SkipReason):
                pair.entry.skip(name, found)
                continue
            assert pair.production is not None
            examined = self.comparer.examine(INFER, pair.request, pair.production, found)
            pair.shadowed[name], pair.compared[name] = found, examined.comparison
            pair.entry.compare(name, examined.comparison, pair.production, found)
            self.judging.keep(pair, name, examined)
        self.judging.judge(pair)

    @property
    def judged(self) -> Judged:
        return self.judging.shadows["candidate"]

    def state(self) -> State:
        return self.judged.evaluate(self.now_ns).state


def told(score: float, latency_ms: int = 2, **given: Any) -> Observation:
    """An answer that came after so many milliseconds."""
    return Observation(0, "", (answer(score, **given),), 0, latency_ms * MS)


FAILED = Observation(14, "gone", (), 0, MS)
