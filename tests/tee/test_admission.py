"""Admission by playbook: a header in, the one reason or None out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import CallKey, Metadata, SkipReason, Started
from sidecar.tee.admission import MAX_METHODS, Admission, unit_hash
from sidecar.tee.settings import MatchSettings, MetadataCondition, SampleSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"


def started(metadata: Metadata = (), method: str = "/p.S/Predict", **fields: Any) -> Started:
    return Started(
        key=CallKey(1, 1),
        method=method,
        authority="h",
        metadata=metadata,
        peer="c:1",
        started_ns=0,
        **fields,
    )


def admission(**match: Any) -> Admission:
    return Admission(MatchSettings(**match), SampleSettings())


def by_key(key: str, fraction: float) -> Admission:
    return Admission(MatchSettings(), SampleSettings(fraction=fraction, key=key))


def test_an_ordinary_prediction_is_admitted() -> None:
    assert admission().check(started(), 0.5) is None


def test_the_reasons_come_in_the_order_of_the_vocabulary() -> None:
    refuses_all = Admission(
        MatchSettings(methods=("/only/This",), metadata=(MetadataCondition(name="a", equals="b"),)),
        SampleSettings(fraction=0.0),
        paused=True,
        ended=True,
    )
    call = started(is_grpc=False, sampled=False)
    reasons = []
    cures: tuple[Callable[[Admission, Started], tuple[Admission, Started]], ...] = (
        lambda a, c: (a, c._replace(is_grpc=True)),
        lambda a, c: (a, c._replace(method="/only/This")),
        lambda a, c: (a, c._replace(metadata=(("a", "b"),))),
        lambda a, c: (replace(a, paused=False), c),
        lambda a, c: (replace(a, ended=False), c),
        lambda a, c: (replace(a, sample=SampleSettings()), c._replace(sampled=True)),
    )
    for cure in cures:
        reasons.append(refuses_all.check(call, 0.0))
        refuses_all, call = cure(refuses_all, call)

    assert reasons == [
        SkipReason.NOT_GRPC,
        SkipReason.METHOD,
        SkipReason.FILTERED,
        SkipReason.PAUSED,
        SkipReason.ENDED,
        SkipReason.NOT_SAMPLED,
    ]
    assert refuses_all.check(call, 0.0) is None


@pytest.mark.parametrize(
    ("method", "matches"),
    [
        ("/p.S/Predict", True),
        ("/p.S/PredictStream", True),
        ("/p.S/PredictSlow", False),
        ("/p.T/Predict", False),
        ("/p.s/predict", False),
        ("/x/p.S/Predict", False),
        ("/p.S/Predict\n", False),
    ],
)
def test_methods_match_a_glob_whole_and_are_not_excluded(method: str, matches: bool) -> None:
    tee = admission(methods=("/q.S/*", "/p.S/Predict", "/p.S/PredictS*"), exclude=("*Slow",))
    expected = None if matches else SkipReason.METHOD

    assert tee.check(started(method=method), 0.0) is expected
    assert tee.check(started(method=method), 0.0) is expected  # and so it is remembered


def test_health_and_reflection_are_not_predictions() -> None:
    for method in ("/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/X"):
        assert admission().check(started(method=method), 0.0) is SkipReason.METHOD


def test_what_is_remembered_of_methods_is_bounded_and_right() -> None:
    tee = admission(methods=("*7",), exclude=())
    names = [f"/s/{i}" for i in range(2 * MAX_METHODS + 1)] + ["/s/" + "x" * 9000 + "7"]

    admitted = [name for name in names if tee.check(started(method=name), 0.0) is None]

    assert admitted == [name for name in names if name.endswith("7")]
    assert len(tee._methods) <= MAX_METHODS
    assert max(map(len, tee._methods)) < 9000


@pytest.mark.parametrize(
    ("condition", "metadata", "holds"),
    [
        ({"equals": "v"}, (("k", "v"),), True),
        ({"equals": "v"}, (("k", "w"),), False),
        ({"equals": "v"}, (("k", "w"), ("k", "v")), True),
        ({"equals": "v"}, (), False),
        ({"matches": "a+"}, (("k", "aaa"),), True),
        ({"matches": "a+"}, (("k", "aaab"),), False),
        ({"matches": ""}, (("k", ""),), True),
        ({"matches": ".*"}, (), False),
        ({"present": True}, (("k", ""),), True),
        ({"present": True}, (("other", ""),), False),
        ({"present": False}, (), True),
        ({"present": False}, (("k", "v"),), False),
    ],
)
def test_a_metadata_condition(condition: dict[str, Any], metadata: Metadata, holds: bool) -> None:
    tee = admission(metadata=(MetadataCondition(name="k", **condition),))

    assert tee.check(started(metadata), 0.0) is (None if holds else SkipReason.FILTERED)


def test_all_metadata_conditions_must_hold() -> None:
    tee = admission(
        metadata=(
            MetadataCondition(name="a", equals="1"),
            MetadataCondition(name="b", present=False),
        )
    )

    assert tee.check(started((("a", "1"),)), 0.0) is None
    assert tee.check(started((("a", "1"), ("b", "x"))), 0.0) is SkipReason.FILTERED


def test_a_copy_is_not_copied_again_unless_asked_for() -> None:
    copy = started((("x-shadow", "candidate"),))

    assert admission().check(copy, 0.0) is SkipReason.FILTERED
    assert admission(copies=True).check(copy, 0.0) is None


def test_without_a_key_the_wire_draws_and_is_believed() -> None:
    tee = Admission(MatchSettings(), SampleSettings(fraction=0.25))

    assert tee.wire_fraction == 0.25
    assert tee.check(started(), 0.999) is None
    assert tee.check(started(sampled=False), 0.0) is SkipReason.NOT_SAMPLED


def test_what_the_wire_left_out_for_want_of_time_is_told_from_what_was_not_sampled() -> None:
    """Of 8 calls the wire keeps 1: 6 are not sampled, and 1 of the 2 others is shed."""
    tee = Admission(MatchSettings(), SampleSettings(fraction=0.25))
    assert tee.check(started(sampled=False), 0.0, 0.5) is SkipReason.NOT_SAMPLED
    assert tee.check(started(sampled=False), 6 / 7 - 1e-9, 0.5) is SkipReason.NOT_SAMPLED
    assert tee.check(started(sampled=False), 6 / 7 + 1e-9, 0.5) is SkipReason.SHED
    assert tee.check(started(), 0.999, 0.5) is None


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_where_all_are_sampled_what_is_left_out_was_shed(draw: float) -> None:
    assert admission().check(started(sampled=False), draw, 0.5) is SkipReason.SHED


def test_with_a_key_only_what_was_chosen_by_it_can_be_shed() -> None:
    tee = by_key("metadata:user", 0.5)
    reasons = {tee.check(started((("user", str(n)),), sampled=False), 0.0, 0.5) for n in range(50)}
    assert reasons == {SkipReason.NOT_SAMPLED, SkipReason.SHED}
    for n in range(50):
        call = started((("user", str(n)),), sampled=False)
        shed = tee.check(call, 0.0, 0.5) is SkipReason.SHED
        assert shed == (tee.check(call._replace(sampled=True), 0.0, 0.5) is None)


def test_with_a_key_the_wire_copies_everything() -> None:
    assert by_key("trace_id", 0.25).wire_fraction == 1.0


def test_a_fraction_of_nothing_admits_nothing_even_before_the_wire_has_heard_of_it() -> None:
    tee = Admission(MatchSettings(), SampleSettings(fraction=0.0))

    assert tee.check(started(), 0.0) is SkipReason.NOT_SAMPLED


@given(st.text(), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_all_calls_of_one_key_are_decided_alike(user: str, fraction: float, draw: float) -> None:
    tee = by_key("metadata:user", fraction)
    first = tee.check(started((("user", user),)), draw)
    again = tee.check(started((("other", "x"), ("user", user)), method="/p.S/Other"), 1 - draw)

    assert first is again
    assert (first is None) == (unit_hash(user) < fraction)


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("traceparent", "junk"),),
        (("traceparent", f"00-{'0' * 32}-{'1' * 16}-01"),),
        (("traceparent", f"00-{TRACE}"),),
    ],
)
def test_a_call_without_the_key_is_drawn(metadata: Metadata, fraction: float, draw: float) -> None:
    admitted = by_key("trace_id", fraction).check(started(metadata), draw) is None

    assert admitted == (draw < fraction)


def test_the_trace_id_is_the_key_and_not_the_span() -> None:
    at = unit_hash(TRACE)
    for span in ("1" * 16, "2" * 16):
        call = started((("traceparent", f"00-{TRACE}-{span}-00"),))

        assert by_key("trace_id", at + 1e-9).check(call, 0.999) is None
        assert by_key("trace_id", at).check(call, 0.0) is SkipReason.NOT_SAMPLED


def test_keys_spread_evenly_and_the_same_in_every_sidecar() -> None:
    values = [unit_hash(f"user-{i}") for i in range(10_000)]

    assert all(0 <= value < 1 for value in values)
    # Ten standard deviations of a binomial share: no run of this fixed set comes near.
    assert abs(sum(value < 0.1 for value in values) / 10_000 - 0.1) < 0.03
    # `printf user-0 | b2sum -l 64`
    assert unit_hash("user-0") == pytest.approx(0x2BE37565257AA371 / 2**64, abs=2**-53)


@pytest.mark.parametrize("key", [None, "trace_id"])
def test_nothing_is_copied_while_paused_and_after_the_end_and_that_is_the_reason(
    key: str | None,
) -> None:
    tee = Admission(MatchSettings(), SampleSettings(fraction=0.5, key=key))
    for stopped, reason in (
        (replace(tee, paused=True), SkipReason.PAUSED),
        (replace(tee, ended=True), SkipReason.ENDED),
    ):
        assert stopped.wire_fraction == 0.0
        assert stopped.check(started(sampled=False), 0.9) is reason
    assert tee.wire_fraction == (0.5 if key is None else 1.0)


@given(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20),
    st.floats(0, 1),
    st.floats(0.01, 1),
    st.sampled_from([None, "metadata:user"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_calls_that_the_wire_left_out_are_decided_together_as_each_would_be(
    draws: list[float],
    fraction: float,
    share: float,
    key: str | None,
    named: bool,
    paused: bool,
    resting: bool,
) -> None:
    chosen = Admission(MatchSettings(), SampleSettings(fraction=fraction, key=key), paused=paused)
    metadata = (("user", "ann"),) if named else ()
    one = started(metadata, sampled=False)
    singly = [chosen.check(one, draw, share, resting=resting) for draw in draws]
    reason, calls = chosen.left_out(
        one._replace(calls=len(draws)), iter(draws).__next__, share, resting=resting
    )
    told = [reason] * calls + [SkipReason.SHED] * (len(draws) - calls)
    assert sorted(told) == sorted(reason for reason in singly if reason is not None)
