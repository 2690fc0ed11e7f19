from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.call import Observation, SkipReason
from sidecar.compare.result import Comparison, Outcome, OutputResult
from sidecar.experiment.ledger import NAME, OTHER_OUTPUT, OUTPUT_NAMES, Entry, Ledger

PRODUCTION = Observation(0, "", (b"a",), 1_000_000, 3_000_000)
ANSWER = Observation(0, "", (b"b",), 2_000_000, 9_000_000)
EQUAL = Comparison(Outcome.EQUAL)
REASONS = st.sampled_from(SkipReason)
RECEIVERS = st.lists(st.sampled_from(["shadow", "control"]), max_size=3).map(
    lambda roles: [(f"s{i}", role) for i, role in enumerate(roles)]
)


@dataclass
class Told:
    """What the test itself knows of one call."""

    entry: Entry
    fates: dict[str, SkipReason | None] = field(default_factory=dict)  # None: compared


@settings(max_examples=200)
@given(RECEIVERS, st.data())
def test_every_call_is_accounted_for_at_every_moment(
    receivers: list[tuple[str, str]], data: st.DataObject
) -> None:
    ledger = Ledger(receivers)
    names = [name for name, _ in receivers]
    calls: list[Told] = []
    refused: list[SkipReason] = []
    for _ in range(data.draw(st.integers(0, 30))):
        action = data.draw(st.sampled_from(["see", "refuse", "skip", "compare"]))
        if action == "see":
            calls.append(Told(ledger.see()))
        elif action == "refuse":
            refused.append(data.draw(REASONS))
            ledger.refuse(refused[-1])
        elif calls:
            told = data.draw(st.sampled_from(calls))
            reason = data.draw(REASONS)
            if names:
                name = data.draw(st.sampled_from(names))
                first = name not in told.fates
                if action == "skip":
                    assert told.entry.skip(name, reason) is first
                    told.fates.setdefault(name, reason)
                else:
                    assert told.entry.compare(name, EQUAL, PRODUCTION, ANSWER) is first
                    told.fates.setdefault(name, None)
        assert ledger.check()
        assert ledger.calls.in_flight == sum(len(t.fates) < len(names) for t in calls)

    for shadow in ledger.shadows:
        fates = [t.fates[shadow.name] for t in calls if shadow.name in t.fates]
        skipped = Counter(r for r in fates if r is not None) + Counter(refused)
        assert shadow.seen == len(calls) + len(refused)
        assert shadow.compared == fates.count(None) == shadow.outcomes[Outcome.EQUAL]
        assert shadow.in_flight == len(calls) - len(fates)
        assert +Counter(shadow.skipped) == skipped
        assert shadow.latency.count == shadow.production_latency.count == shadow.compared


def one(name: str = "candidate", role: str = "shadow") -> Ledger:
    return Ledger([(name, role)])


def test_a_call_is_compared_when_one_of_its_shadows_was() -> None:
    ledger = Ledger([("a", "shadow"), ("b", "shadow")])
    entry = ledger.see()
    entry.skip("a", SkipReason.QUEUE_FULL)
    assert ledger.calls.in_flight == 1
    entry.compare("b", EQUAL, PRODUCTION, ANSWER)
    assert (ledger.calls.compared, ledger.calls.in_flight) == (1, 0)
    assert sum(ledger.calls.skipped.values()) == 0


def test_a_skipped_calls_reason_is_that_of_the_first_shadow() -> None:
    ledger = Ledger([("noise", "control"), ("a", "shadow"), ("b", "shadow")])
    entry = ledger.see()
    entry.skip("b", SkipReason.EXPIRED)
    entry.skip("noise", SkipReason.NOT_SAMPLED)
    entry.skip("a", SkipReason.BREAKER_OPEN)
    assert entry.settled
    assert +Counter(ledger.calls.skipped) == {SkipReason.BREAKER_OPEN: 1}


def test_a_control_does_not_stand_in_for_the_candidate() -> None:
    ledger = Ledger([("noise", "control"), ("a", "shadow")])
    entry = ledger.see()
    entry.compare("noise", EQUAL, PRODUCTION, ANSWER)
    entry.skip("a", SkipReason.BREAKER_OPEN)
    assert ledger.calls.compared == 0
    assert ledger.calls.skipped[SkipReason.BREAKER_OPEN] == 1


def test_a_control_alone_counts() -> None:
    ledger = one(role="control")
    ledger.see().compare("candidate", EQUAL, PRODUCTION, ANSWER)
    assert ledger.calls.compared == 1


def test_without_any_shadow_a_call_is_skipped_for_that_reason() -> None:
    ledger = Ledger([])
    entry = ledger.see()
    assert entry.settled
    assert +Counter(ledger.calls.skipped) == {SkipReason.NO_SHADOW: 1}
    assert ledger.check()


def test_the_first_fate_stands() -> None:
    ledger = one()
    entry = ledger.see()
    assert entry.skip("candidate", SkipReason.CANCELLED)
    assert not entry.compare("candidate", EQUAL, PRODUCTION, ANSWER)
    assert not entry.skip("candidate", SkipReason.SHUTDOWN)
    assert +Counter(ledger.shadows[0].skipped) == {SkipReason.CANCELLED: 1}
    assert ledger.shadows[0].compared == 0


def test_an_unknown_shadow_is_an_error() -> None:
    with pytest.raises(KeyError):
        one().see().skip("nobody", SkipReason.CANCELLED)


def test_a_lost_count_is_noticed() -> None:
    ledger = one()
    ledger.see()
    ledger.shadows[0].seen += 1
    assert not ledger.check()


def test_differing_outputs_are_counted_by_name_and_kind() -> None:
    ledger = one()
    comparison = Comparison(
        Outcome.SHAPE,
        (
            OutputResult("scores", Outcome.SHAPE, "tolerance", 1.0),
            OutputResult("label", Outcome.EQUAL, "exact", 0.0),
        ),
    )
    for _ in range(2):
        ledger.see().compare("candidate", comparison, PRODUCTION, ANSWER)
    counts = ledger.shadows[0]
    assert counts.outcomes[Outcome.SHAPE] == 2
    assert counts.output_outcomes == {"scores": {Outcome.SHAPE: 2}}


def test_names_of_outputs_have_a_bound_and_the_rest_is_other() -> None:
    ledger = one()
    for number in range(OUTPUT_NAMES + 10):
        output = OutputResult(f"out{number}", Outcome.VALUE, "exact", 1.0)
        ledger.see().compare("candidate", Comparison(Outcome.VALUE, (output,)), PRODUCTION, ANSWER)
    outputs = ledger.shadows[0].output_outcomes
    assert len(outputs) == OUTPUT_NAMES + 1
    assert outputs[OTHER_OUTPUT] == {Outcome.VALUE: 10}
    assert sum(sum(found.values()) for found in outputs.values()) == OUTPUT_NAMES + 10


def test_the_length_of_an_outputs_name_has_a_bound() -> None:
    ledger = one()
    output = OutputResult("x" * 1_000_000, Outcome.VALUE, "exact", 1.0)
    ledger.see().compare("candidate", Comparison(Outcome.VALUE, (output,)), PRODUCTION, ANSWER)
    assert ledger.shadows[0].output_outcomes == {"x" * NAME: {Outcome.VALUE: 1}}


def test_calls_are_refused_in_one_step_each_shadow_for_a_reason_of_its_own() -> None:
    ledger = Ledger([("noise", "control"), ("a", "shadow"), ("b", "shadow")])
    reasons = (SkipReason.NOT_SAMPLED, SkipReason.SHED, SkipReason.ENDED)
    ledger.refuse_each(reasons, 7)
    ledger.refuse(SkipReason.PAUSED, 3)
    assert ledger.check()
    assert ledger.calls.seen == 10
    assert +Counter(ledger.calls.skipped) == {SkipReason.SHED: 7, SkipReason.PAUSED: 3}
    for counts, reason in zip(ledger.shadows, reasons, strict=True):
        assert +Counter(counts.skipped) == {reason: 7, SkipReason.PAUSED: 3}
