"""Pairs for tests, as the application makes them."""

from __future__ import annotations

from typing import Any

from sidecar.call import CallKey
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.judge.counts import Coverage
from sidecar.judge.criteria.base import Criterion
from sidecar.judge.criteria.kinds import ANY_CRITERION
from sidecar.judge.evidence.effective import digest_of
from sidecar.judge.judge import Judge
from sidecar.judge.pair import JudgedPair
from sidecar.judge.report import Verdict
from sidecar.judge.settings import JudgeSettings

MS = 1_000_000
SECOND = 1_000_000_000
METHOD = "/inference.GRPCInferenceService/ModelInfer"


def compared(differs: bool = False, *, models: tuple[str, str] = ("m:1", "m:2")) -> Comparison:
    """A comparison of one output."""
    outcome = Outcome.VALUE if differs else Outcome.EQUAL
    output = OutputResult("score", outcome, "tolerance", float(differs))
    return Comparison(outcome, (output,), "open_inference", models=models)


def pair(i: int, differs: bool = False, **given: Any) -> JudgedPair:
    """The i-th call: both answer in 10 ms, and agree unless said otherwise."""
    defaults: dict[str, Any] = {
        "key": CallKey(1, 2 * i + 1),
        "method": METHOD,
        "arrived_ns": i * MS,
        "comparison": compared(differs),
        "production_latency_ns": 10 * MS,
        "shadow_latency_ns": 10 * MS,
        "correlation_id": f"id-{i}",
        "request_digest": digest_of(METHOD, [str(i).encode()]),
    }
    return JudgedPair(**(defaults | given))


def failed(i: int, status: int = 14, **given: Any) -> JudgedPair:
    """A call that production answered and the shadow did not."""
    comparison = Comparison(Outcome.SHADOW_ERROR, models=("m:1", ""))
    return pair(i, comparison=comparison, shadow_status=status, **given)


def settings(*criteria: Criterion, **given: Any) -> JudgeSettings:
    """Settings that ask for no minimum time."""
    return JudgeSettings.model_validate(
        {"criteria": criteria, "min_duration_seconds": 0.0, "independent_calls": True} | given
    )


def required(kind: str, margin: float, **given: Any) -> Criterion:
    """A required criterion that goes by the name of its kind."""
    return ANY_CRITERION.validate_python(
        {"name": kind.replace("_", "-"), "kind": kind, "margin": margin, "required": True} | given
    )


def judged(judge: Judge, calls: int, now_ns: int = 10**12) -> Verdict:
    """The verdict when every one of so many eligible calls was compared."""
    return judge.verdict(now_ns, Coverage(calls, calls))
