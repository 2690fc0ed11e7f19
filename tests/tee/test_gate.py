"""The gate's order, and that a refused call costs nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import SkipReason
from sidecar.tee.breaker import BreakerState
from sidecar.tee.gate import Gate
from sidecar.tee.limits import NANOSECONDS
from sidecar.tee.settings import BreakerSettings, QueueSettings, RateSettings, ShadowSettings

MAX_REQUEST = 1000
FINE: dict[str, Any] = {
    "size": 10,
    "queued_calls": 0,
    "queued_bytes": 0,
    "draw": 0.0,
    "starting": False,
    "lost": None,
    "now_ns": 0,
}


def gate(**settings: Any) -> Gate:
    defaults: dict[str, Any] = {
        "address": "h:1",
        "fraction": 0.5,
        "rate": RateSettings(calls_per_second=1),
        "queue": QueueSettings(calls=4, bytes=2000),
        "breaker": BreakerSettings(consecutive_failures=1, probes=1),
    }
    return Gate(ShadowSettings(**{**defaults, **settings}), MAX_REQUEST)


def open_breaker(target: Gate) -> None:
    target.breaker.admit(0)
    target.breaker.failed(target.breaker.epoch, 0)


def ask(target: Gate, call: dict[str, Any]) -> SkipReason | None:
    """The whole way: with the header, then with the request."""
    known = ("draw", "starting", "lost", "queued_calls", "now_ns")
    known_later = ("size", "queued_calls", "queued_bytes", "now_ns")
    return target.refusal(**{k: call[k] for k in known}) or target.admit(
        **{k: call[k] for k in known_later}
    )


WRONGS: dict[SkipReason, dict[str, Any]] = {
    SkipReason.NOT_SAMPLED: {"draw": 0.5},
    SkipReason.NO_SHADOW: {"starting": True},
    SkipReason.RATE_LIMITED: {},
    SkipReason.SHED: {"lost": SkipReason.SHED},
    SkipReason.BREAKER_OPEN: {},
    SkipReason.BYTES_LIMITED: {},
    SkipReason.REQUEST_TOO_LARGE: {"size": MAX_REQUEST + 1},
    SkipReason.QUEUE_FULL: {"queued_calls": 4},
    SkipReason.QUEUE_BYTES: {"queued_bytes": 1991},
}


def with_wrongs(reasons: set[SkipReason]) -> SkipReason | None:
    """Ask a gate about a call for which exactly these reasons hold."""
    slow = RateSettings(calls_per_second=1, bytes_per_second=1e-9)
    target = gate(rate=slow) if SkipReason.BYTES_LIMITED in reasons else gate()
    call = dict(FINE)
    if {SkipReason.RATE_LIMITED, SkipReason.BYTES_LIMITED} & reasons:
        assert ask(target, FINE) is None  # takes the call of this second, and a debt of bytes
    if SkipReason.RATE_LIMITED not in reasons:
        call["now_ns"] = NANOSECONDS
    if SkipReason.BREAKER_OPEN in reasons:
        open_breaker(target)
    for reason in reasons:
        call.update(WRONGS[reason])
    return ask(target, call)


@pytest.mark.parametrize("reason", WRONGS)
def test_every_reason_can_be_the_one(reason: SkipReason) -> None:
    assert with_wrongs({reason}) is reason


@given(st.sets(st.sampled_from(list(WRONGS))))
def test_of_several_reasons_the_first_in_the_vocabulary_is_given(
    reasons: set[SkipReason],
) -> None:
    order = [reason for reason in SkipReason if reason in WRONGS]
    first = min(reasons, key=order.index, default=None)
    assert with_wrongs(reasons) is first


def test_a_call_at_every_bound_passes() -> None:
    target = gate()

    bounds = {"size": MAX_REQUEST, "queued_calls": 3, "queued_bytes": 1000, "draw": 0.499}
    assert ask(target, {**FINE, **bounds}) is None


@pytest.mark.parametrize(
    "reason",
    [
        SkipReason.NOT_SAMPLED,
        SkipReason.REQUEST_TOO_LARGE,
        SkipReason.QUEUE_FULL,
        SkipReason.QUEUE_BYTES,
    ],
)
def test_a_refused_call_uses_up_neither_token_nor_probe(reason: SkipReason) -> None:
    target = gate()
    open_breaker(target)
    cooled = {**FINE, "now_ns": 5 * NANOSECONDS}

    for _ in range(5):
        assert ask(target, {**cooled, **WRONGS[reason]}) is reason

    states = [target.breaker.state]  # still open: a refused call did not even become a probe
    assert ask(target, cooled) is None
    states.append(target.breaker.state)
    assert states == [BreakerState.OPEN, BreakerState.HALF_OPEN]


def test_a_call_that_the_rate_refuses_takes_no_probe() -> None:
    target = gate(rate=RateSettings(calls_per_second=0.1))
    assert ask(target, FINE) is None
    open_breaker(target)

    assert ask(target, {**FINE, "now_ns": 5 * NANOSECONDS}) is SkipReason.RATE_LIMITED
    assert target.breaker.state is BreakerState.OPEN
    assert ask(target, {**FINE, "now_ns": 10 * NANOSECONDS}) is None


def test_a_new_rate_holds_at_once_and_an_unchanged_one_keeps_its_tokens() -> None:
    settings = ShadowSettings(address="h:1", rate=RateSettings(calls_per_second=1))
    target = Gate(settings, MAX_REQUEST)
    assert ask(target, FINE) is None

    target.update(settings.model_copy(update={"fraction": 0.9}))
    assert ask(target, FINE) is SkipReason.RATE_LIMITED
    target.update(settings.model_copy(update={"rate": RateSettings()}))
    assert ask(target, FINE) is None
