"""A report with everything in it, for the tests of what shows it."""

from __future__ import annotations

from typing import Any

TRACES = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")


UNITS = {"latency_ratio": "change", "bias": "change", "accuracy": "points"}


def criterion(name: str, kind: str, state: str, **given: Any) -> dict[str, Any]:
    return {
        "unit": UNITS.get(kind, "share"),
        "about": f"about {kind.replace('_', ' ')}",
        "two_sided": kind == "bias",
        "of_failures": kind == "shadow_error_rate",
        "name": name,
        "kind": kind,
        "required": True,
        "weight": 1.0,
        "state": state,
        "reason": "undecided: 1.2 % of calls disagree (0.6 % to 2 %); about 1,234 more calls",
        "margin": 0.01,
        "estimate": 0.012,
        "interval": [0.006, 0.02],
        "n": 4321.0,
        "log_pass": -1.0,
        "log_fail": 1.0,
        "calls_needed": 1234 if state == "WATCHING" else None,
    } | given


def side(*buckets: tuple[float, int]) -> dict[str, Any]:
    edges = [edge for edge, _ in buckets]
    return {
        "count": sum(n for _, n in buckets),
        "mean_ms": 3.5,
        "p50_ms": edges[0],
        "p95_ms": edges[-1],
        "p99_ms": edges[-1],
        "buckets": [list(bucket) for bucket in buckets],
    }


def call(**given: Any) -> dict[str, Any]:
    return {
        "criterion": "same",
        "slice": "",
        "magnitude": 1.0,
        "correlation_id": "request-77",
        "unix_seconds": 1_700_000_000.25,
        "method": "/inference.GRPCInferenceService/ModelInfer",
        "trace_id": TRACES[0],
        "shadow_trace_id": TRACES[1],
        "outcome": "value",
        "detail": "",
        "outputs": [{"name": "probabilities", "outcome": "value", "score": 0.75}],
        "production_ms": 2.0,
        "shadow_ms": 2.5,
    } | given


def full() -> dict[str, Any]:
    """As `report.build` makes it."""
    return {
        "schema": 1,
        "shadow": "candidate",
        "generated": 1_700_000_060.0,
        "verdict": {
            "state": "WATCHING",
            "reason": "same: undecided",
            "ended": False,
            "calls": 4321,
            "coverage": 0.987,
            "elapsed_seconds": 3723.0,
            "criteria": [
                criterion("same", "disagreement", "WATCHING"),
                criterion("up", "shadow_error_rate", "PASS", estimate=0.0, interval=[0, 0.004]),
                criterion("p95", "latency_ratio", "FAIL", margin=0.1, estimate=0.5,
                          interval=[0.3, None], required=False),
                criterion("tilt", "bias", "WATCHING", estimate=-0.004, interval=[-0.02, 0.01]),
            ],
            "slices": [
                {
                    "criterion": "same",
                    "slice": "region=ap",
                    "required": True,
                    "flagged": True,
                    "n": 613.0,
                    "estimate": 0.108,
                    "log_fail": 9.0,
                    "interval": [0.07, 0.155],
                    "share": 0.25,
                }
            ],
            "models": {"production digits": "1", "shadow digits": "2"},
            "events": {},
            "judges": 2,
            "left_out": 1,
        },
        "declared": {
            "alpha": 0.05,
            "coverage_floor": 0.9,
            "min_calls": 100,
            "min_duration_seconds": 60.0,
            "max_calls": None,
            "criteria": [{"name": "p95", "kind": "latency_ratio", "quantile": 0.95}],
        },
        "latency": {
            "production": side((1.0, 50), (2.0, 40), (4.0, 10)),
            "shadow": side((3.0, 60), (9.0, 40)),
        },
        "drift": {
            "calls": 40,
            "outputs": [
                {
                    "name": "score",
                    "n": [40, 40],
                    "broken": [0, 1],
                    "psi": 0.31,
                    "wasserstein": 0.12,
                    "bins": [[0.0, 0.5, 0.25, 0.5], [0.5, 1.0, 0.75, 0.5]],
                }
            ],
            "inputs": [],
            "confusions": [
                {"criterion": "same", "classes": ["0", "1"], "counts": [[10, 2], [1, 27]]}
            ],
        },
        "forecasts": [
            {
                "criterion": "same",
                "verdict": "PASS",
                "seconds": 5400.0,
                "calls": 270_000.0,
                "soonest_seconds": 3600.0,
                "latest_seconds": None,
                "effect": 0.05,
                "effect_low": -0.01,
                "effect_high": 0.11,
                "may_be_either": False,
            }
        ],
        "over_time": {
            "width_seconds": 2,
            "points": [
                {"unix_seconds": 1_700_000_000, "compared": 50, "differing": 2, "failed": 1},
                {"unix_seconds": 1_700_000_004, "compared": 40, "differing": 0, "failed": 0},
            ],
        },
        "outcomes": {"equal": 4200, "value": 121},
        "outputs": [
            {"name": "request_id", "agree": 0, "differ": 4321, "how": {"value": 4321},
             "largest": 1.0, "noise": True},
            {"name": "probabilities", "agree": 4200, "differ": 121, "how": {"value": 121},
             "largest": 0.75, "noise": False},
        ],
        "unread": {"/p.S/M": 12},
        "notices": ["the shadow at 10.0.0.4:9001 does not answer: UNAVAILABLE: refused"],
        "skipped": {"not_sampled": 500, "queue_full": 7},
        "worst": [call(), call(slice="region=ap", correlation_id="request-78")],
        "sample": [call(correlation_id="request-79")],
        "sidecars": [
            {"source": "10.0.0.1:9096", "instance": "a", "calls": 4000, "began": 1.0,
             "counted": True},
            {"source": "10.0.0.2:9096", "instance": "b", "calls": 321, "began": 2.0,
             "counted": False},
        ],
        "versions": [
            {"production": "6", "shadow": "8", "rules": "abcdef0123456789", "current": True,
             "state": "FAIL", "reason": "same: too many", "calls": 4321, "attempt": 2,
             "began": 1_700_000_000.0, "sidecars": 2},
            {"production": "6", "shadow": "<7>", "rules": "abcdef0123456789", "current": False,
             "state": "PASS", "reason": "every required criterion passes: same", "calls": 99,
             "attempt": 1, "began": 1_600_000_000.0, "sidecars": 1},
        ],
        "attempt": 2,
        "missing": {"10.0.0.3:9096": "connection refused"},
        "service": {
            "names": ["sidecars.prod"], "experiment": "abcdef0123456789", "attempt": 2,
            "staleness_seconds": 4.0, "answering": 2, "silent": ["10.0.0.5:9096"],
            "not_injected": {"digits-x": "no port <b>"}, "gone": 3,
            "history": [
                {"unix_seconds": 1_700_000_000.0, "shadow": "candidate", "state": "WATCHING",
                 "experiment": "abcdef0123456789", "reason": "same: undecided", "calls": 7}
            ],
        },
    }  # fmt: skip


STATUS = {
    "attached": True,
    "paused": False,
    "sample": 0.5,
    "connections": {"open": 12, "opaque": 1, "blind": 2},
    "shadows": {
        "candidate": {"queue": {"calls": 3, "bytes": 99}, "running": 4, "breaker": "half_open"}
    },
}
