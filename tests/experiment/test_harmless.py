"""Slices without the tee: what they cost in coverage, and what they tell."""

from __future__ import annotations

import io
from collections import Counter

from sidecar.call import INELIGIBLE, CallKey, SkipReason, Started
from sidecar.experiment.harmless import EDGE_NS, LATE_NS, SLICE_NS, Harmless, drawn
from sidecar.experiment.link import WireLink
from sidecar.experiment.operation import HEARD_NS, Operation
from sidecar.log import Log
from sidecar.observe.timing import RESTED, WORKED
from sidecar.settings.settings import Settings
from sidecar.settings.sources import load

LIFE = "a wire"
MS = 1_000_000


class Stand:
    """An operation, its link to the wire, and what is tried."""

    def __init__(self, rest: float = 0.25, after: float = 0.0, most_ms: float = 5.0) -> None:
        production = {"rest": rest, "rest_after_seconds": after, "max_added_ms": most_ms}
        self.settings: Settings = load(environ={}, flags={"production": production})
        self.wire = WireLink()
        self.operation = Operation(self.settings, self.wire)
        self.log = io.StringIO()
        self.harmless = Harmless(
            self.settings.production, self.operation, Log("test", self.log), lambda: 1
        )
        self.harmless.attached(LIFE, 1)

    def period(self, number: int, rested_ms: float, worked_ms: float, calls: int = 9) -> None:
        """A whole period of four slices, in each of which production answers some calls."""
        timing = self.harmless.timing
        for at in range(4):
            begins = (number * 4 + at) * SLICE_NS
            self.harmless.tick(begins + MS)
            for i in range(calls):
                began = begins + EDGE_NS + (2 + i) * MS
                slice_ = timing.slice_of(began)
                if slice_ >= 0:
                    took = rested_ms if slice_ == RESTED else worked_ms
                    timing.took(slice_, began, began + int(took * MS))


def started(began_ns: int, *, sampled: bool) -> Started:
    return Started(CallKey(1, 1), "/a/b", "", (), "", began_ns, sampled=sampled)


def test_the_draw_is_fair_and_the_same_for_everybody_who_shares_a_wire() -> None:
    both = [drawn(LIFE, period, 20) for period in range(4000)]
    assert both == [drawn(LIFE, period, 20) for period in range(4000)]
    assert both != [drawn("another", period, 20) for period in range(4000)]
    for place in (0, 1):
        counts = Counter(pair[place] for pair in both)
        assert set(counts) == set(range(20))
        assert max(counts.values()) < 2 * min(counts.values())
    assert all(a != b for a, b in both)
    first = sum(a < b for a, b in both)
    assert 1800 < first < 2200


def test_the_wire_copies_nothing_in_the_slice_that_was_drawn_and_all_in_the_others() -> None:
    stand = Stand()
    rested, _ = drawn(LIFE, 5, 4)
    shares = []
    for at in range(4):
        stand.harmless.tick((5 * 4 + at) * SLICE_NS + MS)
        shares.append(stand.wire.fraction)
    assert shares == [0.0 if at == rested else 1.0 for at in range(4)]


def test_a_call_that_the_rest_left_out_is_neither_lost_nor_taken_for_another_reason() -> None:
    stand = Stand()
    operation = stand.operation
    began = 10 * SLICE_NS
    operation.rest(True, began)
    assert operation.check(started(began + MS, sampled=False), 0.9) is SkipReason.RESTING
    # What the wire had copied before it heard is as good as any other call.
    assert operation.check(started(began + MS, sampled=True), 0.9) is None
    assert operation.check(started(began - MS, sampled=False), 0.9) is SkipReason.SHED
    operation.rest(False, began + SLICE_NS)
    late = began + SLICE_NS + HEARD_NS
    assert operation.check(started(late - MS, sampled=False), 0.9) is SkipReason.RESTING
    assert operation.check(started(late + MS, sampled=False), 0.9) is SkipReason.SHED
    assert SkipReason.RESTING in INELIGIBLE


def test_what_an_operator_said_comes_before_the_rest() -> None:
    stand = Stand()
    operation = stand.operation
    operation.rest(True, SLICE_NS)
    operation.change(stand.settings.model_copy(update={"paused": True}))
    assert operation.check(started(SLICE_NS + MS, sampled=False), 0.0) is SkipReason.PAUSED


def test_nothing_rests_before_its_time_or_without_a_wire_or_when_it_is_turned_off() -> None:
    early, off, alone = Stand(after=3600.0), Stand(rest=0.0), Stand()
    alone.harmless.detached()
    for stand in (early, off, alone):
        for at in range(400):
            stand.harmless.tick(at * SLICE_NS + MS)
            assert stand.wire.fraction == 1.0
    assert off.harmless.state.state == "off"
    assert early.harmless.state.state == "waiting"


def test_a_slice_whose_beginning_was_noticed_late_is_not_counted() -> None:
    stand = Stand()
    for at in range(4):
        stand.harmless.tick((8 * 4 + at) * SLICE_NS + LATE_NS + MS)
    assert stand.harmless.timing.until_ns == [0, 0]


def test_harm_is_proven_and_pauses_the_tee_until_somebody_has_it_go_on() -> None:
    stand = Stand()
    for number in range(10, 40):
        stand.period(number, rested_ms=10.0, worked_ms=30.0)
    found = stand.harmless.state
    assert (found.state, found.harmed) == ("harmed", 1)
    assert found.estimate.median_ms == 20.0
    assert stand.operation.settings.paused
    assert stand.wire.fraction == 0.0
    assert "production_harmed" in stand.log.getvalue()
    stand.operation.change(stand.settings)  # paused: false, as SetPolicy or a reload has it
    assert stand.wire.fraction == 1.0
    assert stand.harmless.state.state == "measuring"


def test_no_harm_is_no_harm() -> None:
    stand = Stand()
    for number in range(10, 200):
        stand.period(number, rested_ms=10.0, worked_ms=11.0)
    found = stand.harmless.state
    assert (found.state, found.harmed) == ("measuring", 0)
    assert found.estimate.low_ms == found.estimate.high_ms == 1.0


def test_slices_with_few_calls_say_nothing() -> None:
    stand = Stand()
    for number in range(10, 40):
        stand.period(number, rested_ms=10.0, worked_ms=900.0, calls=2)
    assert stand.harmless.state.estimate.pairs == 0
    assert WORKED == 1
