"""The life of a call, from bytes to ledger, under whatever happens to it."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import combinations, count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sidecar.call import Direction, SkipReason
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.app import Experiment
from sidecar.experiment.assembly import parts_of
from sidecar.experiment.ledger import Ledger
from sidecar.experiment.link import WireLink
from sidecar.experiment.skipped import Step
from sidecar.experiment.state import ConfigurationState
from sidecar.log import Log
from sidecar.settings.difference import Difference
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load
from sidecar.tee.pace import FALL, LATE_NS
from sidecar.tee.settings import MatchSettings
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import Kind
from tests.observe.conversations import cut, names
from tests.observe.conversations import load as conversation

ABOUT = {"peer": "127.0.0.1:5", "listen": "127.0.0.1:9000", "upstream": "127.0.0.1:9001"}
NEVER_OPEN = {"consecutive_failures": 1_000_000, "failure_ratio": 1}
DEAD = "127.0.0.1:1"  # nothing listens on tcpmux: every call to it fails at once


class Life:
    """An experiment whose parts can be looked into."""

    def __init__(self, **changes: object) -> None:
        """One shadow that is not there, a clock that ticks and a seeded draw."""
        shadow = {"address": DEAD, "breaker": NEVER_OPEN}
        settings: Settings = load(environ={}, flags={"shadows": [shadow], **changes})
        ticks = count(10**9, 1000)
        dice = random.Random(5)
        environ = {"OTEL_TRACES_EXPORTER": "none"}
        spans = PairSpans(settings.telemetry, settings.shadows, lambda: 0, dice, environ=environ)
        comparer = Comparer(settings.compare, Registry())
        self.wire = WireLink()
        self.now_ns = partial(next, ticks)
        self.log = io.StringIO()
        given = (self.now_ns, dice.random, Log("test", self.log))
        self.parts = parts_of(settings, comparer, spans, *given, wire=self.wire)
        self.experiment = Experiment(self.parts, *given)

    @property
    def ledger(self) -> Ledger:
        return self.parts.ledger

    def copy(self, name: str, *, answers: bool = True) -> None:
        """Show a recorded conversation on connection 1."""
        self.experiment.connections.opened(1, ABOUT)
        for direction, data in conversation(name):
            if answers or direction is Direction.CLIENT:
                self.experiment.connections.copied(1, direction, data, self.now_ns())


async def settled(life: Life) -> None:
    """Let the shadow's failures arrive; then everything must be closed and nothing held."""
    async with asyncio.timeout(20):
        while life.ledger.calls.in_flight:  # noqa: ASYNC110 (nothing tells when the last is gone)
            await asyncio.sleep(0)
    assert life.ledger.check()
    assert life.experiment.state().held_bytes == 0


@contextmanager
def books(life: Life) -> Iterator[None]:
    yield
    assert life.ledger.check()
    assert life.experiment.state().held_bytes >= 0


ENDS = st.sampled_from(["client closes", "server closes", "blind", "opaque", "detached", "gap"])


@pytest.mark.parametrize("name", names())
@given(
    sizes=st.lists(st.integers(200, 20_000), min_size=1, max_size=5),
    stop=st.floats(0, 1),
    end=ENDS,
    bound=st.sampled_from([1 << 10, 64 << 10, 128 << 20]),
)
@hypothesis_settings(max_examples=12, derandomize=True)
def test_law_3_holds_at_every_moment_whatever_ends_the_connection(
    name: str, sizes: list[int], stop: float, end: str, bound: int
) -> None:
    async def live() -> None:
        life = Life(pairs={"bytes": bound})
        experiment = life.experiment
        await experiment.start()
        connections = experiment.connections
        connections.attached({})
        connections.opened(1, ABOUT)
        chunks = cut(conversation(name), sizes)
        for direction, data in chunks[: round(stop * len(chunks))]:
            with books(life):
                connections.copied(1, direction, data, life.now_ns())
        with books(life):
            match end:
                case "client closes":
                    connections.closed(1, Direction.CLIENT, "eof", life.now_ns())
                case "server closes":
                    connections.closed(1, Direction.SERVER, "reset", life.now_ns())
                case "blind":
                    connections.out_of_sight(1, Kind.BLIND, "the tap is full")
                case "opaque":
                    connections.out_of_sight(1, Kind.OPAQUE, "not HTTP/2")
                case "detached":
                    connections.detached()
                case "gap":
                    connections.gap(1, Direction.CLIENT, 10, life.now_ns())
                    connections.closed(1, Direction.CLIENT, "eof", life.now_ns())
        await settled(life)
        await experiment.close()

    asyncio.run(live())


def test_an_end_of_the_experiment_ends_every_call_as_shutdown() -> None:
    async def scenario() -> Life:
        life = Life()
        await life.experiment.start()
        life.copy("grpcio-unary", answers=False)
        assert life.ledger.calls.in_flight
        await life.experiment.close()
        return life

    ledger = asyncio.run(scenario()).ledger
    assert ledger.check()
    assert ledger.calls.skipped[SkipReason.SHUTDOWN] == ledger.calls.seen > 0


def test_a_call_that_production_never_answers_is_given_up_after_its_time() -> None:
    async def scenario() -> Life:
        life = Life(pairs={"max_age_seconds": 0.000_001})
        await life.experiment.start()
        life.copy("grpcio-unary", answers=False)
        for _ in range(1000):
            life.now_ns()
        life.experiment.sweep()
        await settled(life)
        await life.experiment.close()
        return life

    calls = asyncio.run(scenario()).ledger.calls
    assert calls.skipped[SkipReason.ABANDONED] == calls.seen > 0


def test_more_calls_in_flight_than_configured_are_refused_at_once() -> None:
    async def scenario() -> Life:
        life = Life(pairs={"calls": 3})
        await life.experiment.start()
        life.copy("grpcio-concurrent", answers=False)
        assert life.ledger.calls.in_flight <= 3
        await life.experiment.close()
        return life

    ledger = asyncio.run(scenario()).ledger
    assert ledger.check()
    assert ledger.calls.skipped[SkipReason.PAIRS_FULL] > 0


def changed(life: Life, **update: object) -> Settings:
    return life.experiment.state().settings.model_copy(update=update)


def test_which_methods_match_does_not_change_while_running_and_that_is_said() -> None:
    async def scenario() -> Life:
        life = Life()
        await life.experiment.start()
        matching = MatchSettings(methods=("/none/of/these",))
        found = life.experiment.configured(changed(life, match=matching))
        assert found == Difference(restart=("match.methods",))
        assert life.experiment.state().configuration.needs_restart == ("match.methods",)
        life.copy("grpcio-unary")
        await settled(life)
        await life.experiment.close()
        return life

    calls = asyncio.run(scenario()).ledger.calls
    assert calls.skipped[SkipReason.METHOD] == 0 < calls.compared


def test_a_change_by_an_operator_does_not_hide_that_the_configuration_waits_for_a_restart() -> None:
    life = Life()
    life.experiment.configured(changed(life, match=MatchSettings(copies=True)))
    life.experiment.change(changed(life, paused=True))
    assert life.experiment.state().configuration.needs_restart == ("match.copies",)
    life.experiment.refused(["sample.fraction: 2: too much"])
    now = life.experiment.state()
    assert now.configuration.refused == ("sample.fraction: 2: too much",)
    assert now.configuration.needs_restart == ("match.copies",)
    assert now.settings.paused
    life.experiment.configured(changed(life, paused=False))
    assert life.experiment.state().configuration == ConfigurationState()


def test_an_observer_that_is_behind_asks_for_fewer_calls_and_then_for_more() -> None:
    life = Life(sample={"fraction": 0.5})
    experiment, wire = life.experiment, life.wire
    connections = experiment.connections
    connections.heard(life.now_ns())
    assert wire.fraction == 0.5
    connections.heard(life.now_ns() - LATE_NS - 1)
    assert wire.fraction == 0.5 * FALL
    assert experiment.state().pace_limit == "observer"
    # 1 us a look at the clock, which stands still otherwise
    for _ in range(2 * LATE_NS // 1000):
        connections.heard(life.now_ns())
    assert wire.fraction == 0.5
    connections.opened(1, ABOUT)
    connections.gap(1, Direction.CLIENT, 10, life.now_ns())
    connections.heard(life.now_ns())
    assert wire.fraction == 0.5 * FALL


def test_a_call_that_came_while_there_was_less_time_stands_for_more_of_its_block() -> None:
    async def scenario() -> set[float]:
        life = Life()
        await life.experiment.start()
        life.experiment.connections.heard(life.now_ns() - LATE_NS - 1)
        life.copy("grpcio-concurrent", answers=False)
        weights = {pair.weight for pair in life.experiment._pairs._pairs.values()}
        await life.experiment.close()
        return weights

    assert asyncio.run(scenario()) == {1 / FALL}


def test_nothing_is_copied_while_paused_or_ended() -> None:
    life = Life()
    assert life.wire.fraction == 1.0
    life.experiment.change(changed(life, paused=True))
    assert life.wire.fraction == 0.0
    life.experiment.change(changed(life, paused=False))
    assert life.wire.fraction == 1.0
    life.experiment.end()
    assert life.wire.fraction == 0.0
    assert life.experiment.state().ended


def test_a_shadow_that_is_not_there_is_named_with_address_cause_and_since_when() -> None:
    async def scenario() -> Life:
        life = Life()
        await life.experiment.start()
        life.copy("grpcio-concurrent")
        await settled(life)
        await life.experiment.close()
        return life

    life = asyncio.run(scenario())
    (receiver,) = life.experiment.state().receivers
    assert receiver.failing is not None
    assert receiver.failing.calls == life.ledger.calls.compared > 1
    assert receiver.failing.cause.startswith("UNAVAILABLE: ")
    said = [line for line in life.log.getvalue().splitlines() if "shadow_fails" in line]
    assert len(said) == 1  # and not once a call
    assert DEAD in said[0]


def test_a_shadow_that_is_waited_for_gets_no_calls_and_nothing_counts_against_it() -> None:
    async def scenario() -> Life:
        life = Life(observer={"wait_shadow_seconds": 60})
        await life.experiment.start()
        assert life.experiment.state().receivers[0].starting
        life.copy("grpcio-unary")
        await life.experiment.close()
        return life

    calls = asyncio.run(scenario()).ledger.calls
    assert calls.skipped[SkipReason.NO_SHADOW] == calls.seen > 0


def test_a_shadow_that_never_comes_is_waited_for_so_long_and_then_called() -> None:
    async def scenario() -> Life:
        life = Life(observer={"wait_shadow_seconds": 0.01})
        await life.experiment.start()
        (waiting,) = [t for t in asyncio.all_tasks() if t.get_name() == "wait for shadow"]
        await asyncio.wait_for(waiting, 20)
        assert not life.experiment.state().receivers[0].starting
        life.copy("grpcio-unary")
        await settled(life)
        await life.experiment.close()
        return life

    life = asyncio.run(scenario())
    assert life.ledger.calls.compared > 0
    assert "shadow_absent" in life.log.getvalue()


# ---- the order of the checks, and why a call was skipped ---------------------------------------

WRONG: dict[SkipReason, dict[str, Any]] = {
    SkipReason.METHOD: {"match": {"methods": ["/none/of/these"]}},
    SkipReason.FILTERED: {"match": {"metadata": [{"name": "x-absent", "present": True}]}},
    SkipReason.PAUSED: {"paused": True},
    SkipReason.NOT_SAMPLED: {"sample": {"fraction": 0.0}},
    SkipReason.NO_SHADOW: {"shadows": []},
    SkipReason.PAIRS_FULL: {"pairs": {"calls": 1}},
}


@pytest.mark.parametrize(("first", "second"), list(combinations(WRONG, 2)))
def test_of_two_reasons_the_one_that_is_documented_first_is_given(
    first: SkipReason, second: SkipReason
) -> None:
    order = list(SkipReason)
    assert order.index(first) < order.index(second)
    match = {**WRONG[first].get("match", {}), **WRONG[second].get("match", {})}
    both = {**WRONG[first], **WRONG[second]} | ({"match": match} if match else {})

    async def scenario() -> Life:
        life = Life(**both)
        await life.experiment.start()
        life.copy("grpcio-concurrent", answers=False)
        await life.experiment.close()
        return life

    life = asyncio.run(scenario())
    calls = life.ledger.calls
    assert calls.skipped[first] == calls.seen > 1


def test_why_a_call_was_skipped_is_told_with_its_step() -> None:
    async def scenario() -> Life:
        life = Life(pairs={"calls": 1})
        await life.experiment.start()
        life.copy("grpcio-concurrent", answers=False)
        await life.experiment.close()
        return life

    life = asyncio.run(scenario())
    skips = life.experiment.state().skips
    (shutdown,) = skips.latest(99, [SkipReason.SHUTDOWN])
    assert (shutdown.receiver, shutdown.step) == ("shadow", Step.SHADOWED)
    full = skips.latest(99, [SkipReason.PAIRS_FULL])
    assert len(full) == life.ledger.calls.skipped[SkipReason.PAIRS_FULL]
    assert {(skip.receiver, skip.step) for skip in full} == {("", Step.ADMITTED)}
    assert full[0].number > full[-1].number
    assert skips.latest(99, after=full[0].number) == [shutdown]


# ---- calls that the wire left out --------------------------------------------------------------


def left_out(**changes: object) -> Life:
    """An experiment that was told of a recording's calls without their DATA."""

    async def scenario() -> Life:
        life = Life(**changes)
        await life.experiment.start()
        connections = life.experiment.connections
        connections.opened(1, ABOUT)
        connections.unsampled(1, tuple(range(1, 1000, 2)))
        for direction, data in conversation("grpcio-concurrent"):
            connections.copied(1, direction, data, life.now_ns())
            assert life.ledger.check()
        await life.experiment.close()
        return life

    life = asyncio.run(scenario())
    assert life.ledger.calls.seen > 1
    assert life.ledger.calls.in_flight == life.ledger.calls.compared == 0
    return life


@pytest.mark.parametrize("reason", list(WRONG))
def test_why_the_wire_left_a_call_out_is_what_comes_first(reason: SkipReason) -> None:
    counts = left_out(**WRONG[reason]).ledger.calls
    told = SkipReason.SHED if reason is SkipReason.PAIRS_FULL else reason
    assert counts.skipped[told] == counts.seen


def test_calls_that_the_wire_left_out_are_in_each_receivers_book_by_its_own_choice() -> None:
    receivers = [
        {"name": "some", "address": DEAD, "fraction": 0.5},
        {"name": "all", "address": DEAD},
        {"name": "noise", "address": DEAD, "role": "control", "fraction": 0.0},
    ]
    life = left_out(shadows=receivers)
    some, every, noise = life.ledger.shadows
    assert every.skipped[SkipReason.SHED] == every.seen == some.seen == noise.seen
    assert noise.skipped[SkipReason.NOT_SAMPLED] == noise.seen
    assert some.skipped[SkipReason.SHED] + some.skipped[SkipReason.NOT_SAMPLED] == some.seen
    assert 0 < some.skipped[SkipReason.SHED] < some.seen
    assert life.ledger.calls.skipped == some.skipped  # a call's reason is its first shadow's
    told = life.experiment.state().skips.latest(999)
    assert {skip.receiver for skip in told} <= {"some", "all", "noise"}
    assert {skip.step for skip in told} == {Step.ADMITTED}
