"""The life of a call, from bytes to ledger, under whatever happens to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sidecar.call import Direction, SkipReason
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.app import Observer
from sidecar.log import Log
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load
from sidecar.tee.pace import FALL, LATE_NS
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import Kind
from tests.observe.conversations import cut, names
from tests.observe.conversations import load as conversation

ABOUT = {"peer": "127.0.0.1:5", "listen": "127.0.0.1:9000", "upstream": "127.0.0.1:9001"}
DEAD = "127.0.0.1:1"  # nothing listens on tcpmux: every call to it fails at once


def make(**changes: object) -> Observer:
    """An observer with one shadow that is not there, a clock that ticks and a seeded draw."""
    shadow = {"address": DEAD, "breaker": {"consecutive_failures": 1_000_000, "failure_ratio": 1}}
    settings: Settings = load(environ={}, flags={"shadows": [shadow], **changes})
    ticks = count(10**9, 1000)
    dice = random.Random(5)
    environ = {"OTEL_TRACES_EXPORTER": "none"}
    spans = PairSpans(settings.telemetry, settings.shadows, lambda: 0, dice, environ=environ)
    comparer = Comparer(settings.compare, Registry())
    return Observer(settings, comparer, spans, lambda: next(ticks), dice.random, Log("test"))


async def settled(observer: Observer) -> None:
    """Let the shadow's failures arrive; then everything must be closed and nothing held."""
    async with asyncio.timeout(20):
        while observer.pairs:  # noqa: ASYNC110 (nothing tells when the last one is gone)
            await asyncio.sleep(0)
    assert observer.ledger.check()
    assert observer.ledger.calls.in_flight == 0
    assert observer.held_bytes == observer.reading_bytes == 0


@contextmanager
def books(observer: Observer) -> Iterator[None]:
    yield
    assert observer.ledger.check()
    assert observer.held_bytes >= 0
    assert observer.reading_bytes >= 0


ENDS = st.sampled_from(["client closes", "server closes", "blind", "opaque", "detached", "gap"])


@pytest.mark.parametrize("name", names())
@given(
    sizes=st.lists(st.integers(200, 20_000), min_size=1, max_size=5),
    stop=st.floats(0, 1),
    end=ENDS,
    bound=st.sampled_from([1 << 10, 64 << 10, 128 << 20]),
)
@hypothesis_settings(max_examples=12, deadline=None, derandomize=True)
def test_law_3_holds_at_every_moment_whatever_ends_the_connection(
    name: str, sizes: list[int], stop: float, end: str, bound: int
) -> None:
    async def live() -> None:
        observer = make(pairs={"bytes": bound})
        await observer.start()
        observer.attached({})
        observer.opened(1, ABOUT)
        chunks = cut(conversation(name), sizes)
        for direction, data in chunks[: round(stop * len(chunks))]:
            with books(observer):
                observer.copied(1, direction, data, observer.now_ns())
        with books(observer):
            match end:
                case "client closes":
                    observer.closed(1, Direction.CLIENT, "eof", observer.now_ns())
                case "server closes":
                    observer.closed(1, Direction.SERVER, "reset", observer.now_ns())
                case "blind":
                    observer.out_of_sight(1, Kind.BLIND, "the tap is full")
                case "opaque":
                    observer.out_of_sight(1, Kind.OPAQUE, "not HTTP/2")
                case "detached":
                    observer.detached()
                case "gap":
                    observer.gap(1, Direction.CLIENT, 10, observer.now_ns())
                    observer.closed(1, Direction.CLIENT, "eof", observer.now_ns())
        await settled(observer)
        await observer.close()

    asyncio.run(live())


def test_an_end_of_the_observer_ends_every_call_as_shutdown() -> None:
    async def live() -> Observer:
        observer = make()
        await observer.start()
        observer.opened(1, ABOUT)
        for direction, data in conversation("grpcio-unary"):
            if direction is Direction.CLIENT:
                observer.copied(1, direction, data, observer.now_ns())
        assert observer.pairs
        await observer.close()
        return observer

    observer = asyncio.run(live())
    assert observer.ledger.check()
    assert observer.ledger.calls.skipped[SkipReason.SHUTDOWN] == observer.ledger.calls.seen > 0


def test_a_call_that_production_never_answers_is_given_up_after_its_time() -> None:
    async def live() -> Observer:
        observer = make(pairs={"max_age_seconds": 0.000_001})
        await observer.start()
        observer.opened(1, ABOUT)
        for direction, data in conversation("grpcio-unary"):
            if direction is Direction.CLIENT:
                observer.copied(1, direction, data, observer.now_ns())
        for _ in range(1000):
            observer.now_ns()
        observer.sweep()
        await settled(observer)
        await observer.close()
        return observer

    observer = asyncio.run(live())
    assert observer.ledger.calls.skipped[SkipReason.ABANDONED] == observer.ledger.calls.seen > 0


def test_more_calls_in_flight_than_configured_are_refused_at_once() -> None:
    async def live() -> Observer:
        observer = make(pairs={"calls": 3})
        await observer.start()
        observer.opened(1, ABOUT)
        for direction, data in conversation("grpcio-concurrent"):
            if direction is Direction.CLIENT:
                observer.copied(1, direction, data, observer.now_ns())
        assert len(observer.pairs) <= 3
        await observer.close()
        return observer

    observer = asyncio.run(live())
    assert observer.ledger.check()
    assert observer.ledger.calls.skipped[SkipReason.PAIRS_FULL] > 0


def test_which_methods_match_does_not_change_while_running() -> None:
    async def live() -> Observer:
        observer = make()
        await observer.start()
        matching = observer.settings.match.model_copy(update={"methods": ("/none/of/these",)})
        observer.change(observer.settings.model_copy(update={"match": matching}))
        observer.opened(1, ABOUT)
        for direction, data in conversation("grpcio-unary"):
            observer.copied(1, direction, data, observer.now_ns())
        await settled(observer)
        await observer.close()
        return observer

    calls = asyncio.run(live()).ledger.calls
    assert calls.skipped[SkipReason.METHOD] == 0 < calls.compared


def test_an_observer_that_is_behind_asks_for_fewer_calls_and_then_for_more() -> None:
    observer = make(sample={"fraction": 0.5})
    told: list[float] = []
    observer.on_fraction = lambda: told.append(observer.wire_fraction)
    observer.heard(observer.now_ns())
    assert not told
    observer.heard(observer.now_ns() - LATE_NS - 1)
    assert told == [0.5 * FALL]
    assert observer.pace.limit == "observer"
    # 1 us a look at the clock, which stands still otherwise
    for _ in range(2 * LATE_NS // 1000):
        observer.heard(observer.now_ns())
    assert told[-1] == 0.5
    observer.opened(1, ABOUT)
    observer.gap(1, Direction.CLIENT, 10, observer.now_ns())
    observer.heard(observer.now_ns())
    assert told[-1] == 0.5 * FALL
