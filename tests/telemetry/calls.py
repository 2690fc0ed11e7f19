"""Finished calls for the tests of telemetry."""

from __future__ import annotations

from random import Random

from sidecar.call import CallKey, Metadata, Observation, Started
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.telemetry.plan import Layout, SpanPlan, plan

METHOD = "/inference.GRPCInferenceService/ModelInfer"
UPSTREAM = "127.0.0.1:9000"
OFFSET_NS = 1_700_000_000_000_000_000
CALLER = (("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),)
STARTED = Started(
    key=CallKey(1, 1),
    method=METHOD,
    authority="model:8080",
    metadata=(),
    peer="10.0.0.7:51234",
    started_ns=1_000_000,
)
EQUAL = Comparison(
    Outcome.EQUAL,
    (OutputResult("scores", Outcome.EQUAL, "tolerance", 0.0),),
    reader="open_inference",
    models=("digits:1", "digits:2"),
)
DIFFERS = Comparison(
    Outcome.VALUE,
    (
        OutputResult("scores", Outcome.VALUE, "tolerance", 0.3, {"max_abs": 0.5, "flips": 1}),
        OutputResult("label", Outcome.EQUAL, "exact", 0.0),
    ),
    reader="open_inference",
    detail="1 of 2 outputs differs",
    models=("digits:1", "digits:2"),
)


def observation(
    status: int = 0, detail: str = "", started_ns: int = 1_200_000, ended_ns: int = 5_000_000
) -> Observation:
    return Observation(status, detail, (b"secret payload",), started_ns, ended_ns)


def planned(
    *shadows: str,
    layout: Layout = "comparison",
    metadata: Metadata = CALLER,
    sampled: bool = False,
    seed: int = 0,
    follow_unsampled: bool = True,
) -> SpanPlan:
    return plan(
        metadata,
        shadows or ("candidate",),
        layout,
        draw=0.5,
        agreeing_fraction=1.0 if sampled else 0.0,
        draw_bits=Random(seed).getrandbits,
        upstream=UPSTREAM,
        follow_unsampled=follow_unsampled,
    )
