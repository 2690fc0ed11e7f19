"""The gate that a rollout controller asks by machine. Pure.

Argo Rollouts, web metric: `GET /gate?wait=true`. While the verdict is WATCHING or coverage is
short, the answer is 503, which Argo counts as an error to be tried again; once decided, 200:

    - name: shadow
      interval: 30s
      count: 1
      consecutiveErrorLimit: 8640   # a day: it tries again 10 s after an error
      successCondition: result == "PASS"
      failureCondition: result == "FAIL"
      provider: {web: {url: "http://COLLECTOR:9097/gate?wait=true", jsonPath: "{$.verdict}"}}

Without `wait` the answer is always 200, and what is neither PASS nor FAIL is a measurement that
Argo calls Inconclusive. Keep `inconclusiveLimit` below `count` then: a metric whose count is
reached within its limits is called Successful, whatever was measured.

Flagger, webhooks: `POST /gate?hook=TYPE`, where TYPE is the webhook's own; a 2xx advances:

    confirm-rollout, pre-rollout, rollout     advance unless FAIL
    confirm-traffic-increase, confirm-promotion (the default)    advance on PASS only
    rollback      2xx rolls back at once: on FAIL only
    post-rollout, event     always 2xx

A refusal is 409. A pod answers for itself alone, and where `observer.processes` is above 1 each
process for the connections that it follows: `shadow-sidecar collect` answers for all. Counterpart:
`shadow-sidecar gate`, the same for scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.judge.report import State, Verdict

OK, CONFLICT, UNAVAILABLE = 200, 409, 503
_ALL = frozenset(State)
_NOT_FAILED = _ALL - {State.FAIL}

HOOKS: Mapping[str, frozenset[State]] = {
    "confirm-rollout": _NOT_FAILED,
    "pre-rollout": _NOT_FAILED,
    "rollout": _NOT_FAILED,
    "confirm-traffic-increase": frozenset({State.PASS}),
    "confirm-promotion": frozenset({State.PASS}),
    "rollback": frozenset({State.FAIL}),
    "post-rollout": _ALL,
    "event": _ALL,
}
"""The states in which each of Flagger's webhooks gets a 2xx."""


def measured(shadow: str, verdict: Verdict, wait: bool) -> tuple[int, dict[str, Any]]:
    """What a metric is told: HTTP status and body.

    Args:
        shadow: its name.
        verdict: as it is now.
        wait: whether to say 503 as long as another answer may come.
    """
    open_still = verdict.state not in {State.PASS, State.FAIL} and not verdict.ended
    return UNAVAILABLE if wait and open_still else OK, body(shadow, verdict)


def hooked(shadow: str, verdict: Verdict, hook: str) -> tuple[int, dict[str, Any]]:
    """What a webhook is told.

    Raises:
        KeyError: not one of `HOOKS`.
    """
    return OK if verdict.state in HOOKS[hook] else CONFLICT, body(shadow, verdict)


def body(shadow: str, verdict: Verdict) -> dict[str, Any]:
    """The verdict in short."""
    return {
        "shadow": shadow,
        "verdict": verdict.state.value,
        "reason": verdict.reason,
        "successful": verdict.state is State.PASS,
        "failed": verdict.state is State.FAIL,
        "inconclusive": verdict.state is State.INCONCLUSIVE,
        "ended": verdict.ended,
        "calls": verdict.calls,
        "coverage": verdict.coverage,
    }
