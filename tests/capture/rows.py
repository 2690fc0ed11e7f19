"""Pairs to be captured, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from sidecar.call import Observation
from sidecar.capture.row import Row
from sidecar.compare.result import Comparison, Outcome, OutputResult

START_NS = 1_790_000_000_000_000_000


def row(number: int = 0, *, differs: bool = False, **changes: Any) -> Row:
    """The `number`-th pair, a second after the one before it."""
    outputs = (
        (OutputResult("score", Outcome.VALUE, "tolerance", 1.0, {"max_abs": 0.5}),)
        if differs
        else ()
    )
    outcome = Outcome.VALUE if differs else Outcome.EQUAL
    detail = "value: score" if differs else ""
    return Row(
        experiment="digits",
        call=f"life:{number}:1",
        started_ns=START_NS + number * 1_000_000_000,
        request_ns=2_000_000,
        timeout_ns=None,
        method="/inference.GRPCInferenceService/ModelInfer",
        peer="127.0.0.1:4000",
        correlation_id=f"id-{number}",
        trace_id="",
        shadow_trace_id="",
        shadow="candidate",
        role="shadow",
        comparison=Comparison(outcome, outputs, "open_inference", detail, ("m:1", "m:2")),
        production=Observation(0, "", (b"ours",), 0, 3_000_000, (("x-model", "1"),)),
        answer=Observation(0, "", (b"theirs",), 0, 4_000_000),
        request=(b"request",),
        metadata=(("authorization", "secret"), ("x-country", "nl")),
        slices=(("country", "nl"),),
        scores={"same": float(differs)},
        inputs={"age": np.array([30 + number])},
        outputs={"score": (np.array([0.25, 0.75]), np.array([0.5, 0.5]))},
    )._replace(**changes)
