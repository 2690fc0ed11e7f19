from __future__ import annotations

import json

import numpy as np
import pytest

from sidecar.judge.counts import ALL, Cell, CellKey, Coverage, Total
from sidecar.judge.criteria.disagreement import Disagreement
from sidecar.judge.criteria.shadow_error_rate import ShadowErrorRate
from sidecar.judge.criteria.shapes import NOTHING, limits
from sidecar.judge.evidence.mixtures import average, threshold
from sidecar.judge.latches import Latches
from sidecar.judge.report import State, Verdict
from sidecar.judge.settings import JudgeSettings, SliceSettings
from sidecar.judge.verdict import decide, plans_of
from tests.judge.pairs import SECOND, required, settings
from tests.judge.streams import bound

RATE = required("disagreement", 0.01)


def counted(
    declared: JudgeSettings,
    cells: dict[str, Cell] | dict[tuple[str, str], Cell],
    *,
    calls: int = 1000,
    covered: float = 1.0,
    latches: Latches | None = None,
) -> Verdict:
    keyed = {
        CellKey(*key) if isinstance(key, tuple) else CellKey(key, ALL): cell
        for key, cell in cells.items()
    }
    total = Total(
        calls=calls,
        coverage=Coverage(int(calls * covered), calls),
        elapsed_ns=100 * SECOND,
        cells=keyed,
        models={},
        events={},
        judges=1,
        left_out=0,
    )
    return decide(declared, plans_of(declared), total, latches)


def rate(n: float, k: float) -> Cell:
    return {"n": n, "k": k}


def test_every_required_criterion_has_to_pass_and_informative_ones_do_not() -> None:
    other = required("shadow_error_rate", 0.01)
    informative = Disagreement(name="info", margin=0.01)
    declared = settings(RATE, other, informative)
    good, bad = rate(5000, 0), rate(5000, 5000)
    passing = counted(
        declared, {"disagreement": good, "shadow-error-rate": good, "info": bad}, calls=5000
    )
    assert passing.state is State.PASS
    assert passing.criteria[2].state is State.FAIL
    waiting = counted(declared, {"disagreement": good}, calls=5000)
    assert waiting.state is State.WATCHING
    assert "shadow-error-rate: no data" in waiting.reason


def test_rejection_weighs_the_evidence_of_all_required_criteria() -> None:
    weights = (9, 1)
    criteria = [required("disagreement", 0.01, name=f"c{w}", weight=w) for w in weights]
    declared = settings(*criteria)
    cells = {"c9": rate(1000, 24), "c1": rate(1000, 10)}
    logs = [plan.measure(cells[plan.criterion.name]).log_fail for plan in plans_of(declared)]
    assert average(logs, (1, 9)) < threshold(0.025) <= average(logs, (9, 1))
    assert counted(declared, cells).state is State.FAIL
    swapped = settings(*[c.model_copy(update={"weight": 10 - c.weight}) for c in criteria])
    assert counted(swapped, cells).state is State.WATCHING


@pytest.mark.parametrize(
    ("flagged", "state"),
    [("fail", State.FAIL), ("hold", State.WATCHING), ("report", State.PASS)],
)
def test_a_sick_slice_fails_holds_or_is_only_reported(flagged: str, state: State) -> None:
    declared = settings(RATE, flagged=flagged)
    cells = {
        ("disagreement", ALL): rate(20_000, 60),
        ("disagreement", "class=1"): rate(19_800, 10),
        ("disagreement", "class=2"): rate(200, 50),
    }
    verdict = counted(declared, cells, calls=20_000)
    assert verdict.state is state
    assert [(s.slice, s.flagged) for s in verdict.slices] == [("class=2", True), ("class=1", False)]
    assert verdict.slices[0].share == pytest.approx(0.01)
    if state is not State.PASS:
        assert "class=2" in verdict.reason


def test_a_sick_slice_of_an_informative_criterion_never_fails_the_shadow() -> None:
    informative = ShadowErrorRate(name="info", margin=0.01)
    cells = {("disagreement", ALL): rate(5000, 0), ("info", "class=2"): rate(200, 100)}
    verdict = counted(settings(RATE, informative), cells, calls=5000)
    assert verdict.state is State.PASS
    assert verdict.slices[0].flagged


def test_low_coverage_hides_disagreement_but_not_the_shadows_errors() -> None:
    declared = settings(RATE, required("shadow_error_rate", 0.01))
    bad, good = rate(1000, 500), rate(1000, 0)
    hidden = counted(declared, {"disagreement": bad, "shadow-error-rate": good}, covered=0.1)
    shown = counted(declared, {"disagreement": bad, "shadow-error-rate": bad}, covered=0.1)
    assert (hidden.state, shown.state) == (State.INCONCLUSIVE, State.FAIL)


def test_too_few_calls_never_pass_however_good_the_evidence() -> None:
    declared = settings(RATE, min_calls=10_000)
    verdict = counted(declared, {"disagreement": rate(9_999, 0)}, calls=9_999)
    assert verdict.state is State.WATCHING
    assert verdict.reason == "9,999 of at least 10,000 calls"


def test_where_much_is_not_compared_that_is_said_before_how_few_calls_there_are() -> None:
    few = counted(settings(RATE), {"disagreement": rate(20, 0)}, calls=20, covered=0.5)
    assert (few.state, few.reason) == (State.WATCHING, "20 of at least 100 calls")
    total = Total(20, Coverage(20, 400, 380), 0, {}, {}, {}, 1, 0)
    unseen = decide(settings(RATE), plans_of(settings(RATE)), total)
    assert unseen.state is State.INCONCLUSIVE
    assert unseen.reason == (
        "20 of 400 calls were compared (380 were not seen by the observer): "
        "coverage is 5.0%, its floor 90.0%"
    )
    assert unseen.blind == 380


def test_a_reason_has_its_figures_in_their_units() -> None:
    def reason(n: int, k: int, latches: Latches | None = None) -> str:
        cells = {"disagreement": rate(n, k)}
        return counted(settings(RATE), cells, calls=n, latches=latches).criteria[0].reason

    latches = Latches()
    assert (
        reason(5000, 5) == "0.1 % of calls disagree, below the margin of 1 % (0.0158 % to 0.315 %)"
    )
    assert reason(500, 50, latches).startswith("10 % of calls disagree, above the margin of 1 % (")
    later = reason(500, 0, latches)
    assert later.startswith(
        "decided 1970-01-01 00:00:00 UTC on 500 calls: 10 % of calls disagree ("
    )
    assert "; now 0 % of calls disagree (0 % to " in later
    undecided = reason(400, 2)
    assert undecided.startswith("undecided: 0.5 % of calls disagree (")
    assert ", margin 1 %; about " in undecided
    assert undecided.endswith(" more calls")
    assert reason(400, 4).endswith(", margin 1 %; too close to tell")


def test_required_criteria_have_to_hold_at_one_look_and_stand_from_then_on() -> None:
    declared = settings(RATE, required("shadow_error_rate", 0.01))
    latches = Latches()
    counted(declared, {"disagreement": rate(1000, 0)}, latches=latches)
    worse = {"disagreement": rate(2000, 15), "shadow-error-rate": rate(2000, 0)}
    assert counted(declared, worse, calls=2000, latches=latches).state is State.WATCHING
    good = {"disagreement": rate(9000, 15), "shadow-error-rate": rate(9000, 0)}
    passed = counted(declared, good, calls=9000, latches=latches)
    assert passed.state is State.PASS
    assert passed.criteria[0].decided_n == 9000
    later = counted(declared, worse, calls=9000, latches=latches)
    assert [c.state for c in later.criteria] == [State.PASS, State.PASS]


def test_an_informative_criterion_that_passed_stays_passed() -> None:
    declared = settings(RATE, Disagreement(name="info", margin=0.01))
    latches = Latches()
    counted(declared, {"info": rate(1000, 0)}, latches=latches)
    found = counted(declared, {"info": rate(2000, 15)}, calls=2000, latches=latches)
    assert found.criteria[1].state is State.PASS


def test_a_criterion_does_not_latch_while_coverage_is_low() -> None:
    latches = Latches()
    counted(settings(RATE), {"disagreement": rate(1000, 0)}, covered=0.5, latches=latches)
    assert latches.criteria == {}


def test_a_verdict_is_plain_json() -> None:
    verdict = counted(
        settings(RATE, required("latency_ratio", 0.1)),
        {"disagreement": rate(10, 0), "latency-ratio": {"a400": 1.0, "b400": 1.0}},
    )
    plain = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert plain["state"] == "WATCHING"
    assert plain["criteria"][1]["interval"][1] is None


def test_false_verdicts_of_the_whole_stay_within_alpha() -> None:
    """Four required criteria on their margins, one judge with latches that looks 25 times."""
    rng = np.random.default_rng(41)
    streams = 1000
    looks = np.unique(np.geomspace(100, 20_000, 25).astype(int))
    declared = settings(*[required("disagreement", 0.02, name=f"c{i}") for i in range(4)])
    false = {State.PASS: 0, State.FAIL: 0}
    for _ in range(streams):
        k = np.zeros(4)
        latches, before, state = Latches(), 0, State.WATCHING
        for n in looks:
            k += rng.binomial(n - before, 0.02, 4)
            before = n
            cells = {f"c{i}": rate(float(n), float(k[i])) for i in range(4)}
            measured = [p.measure(cells[p.criterion.name]) for p in plans_of(declared)]
            if any(max(m.log_pass, m.log_fail) > 2 for m in measured):
                state = counted(declared, cells, calls=int(n), latches=latches).state
        if state in false:
            false[state] += 1
    assert all(count / streams <= bound(0.025, streams) for count in false.values())


@pytest.mark.parametrize(
    ("direction", "shift", "state"),
    [
        ("both", 0.2, State.FAIL),
        ("both", -0.2, State.FAIL),
        ("both", 0.0, State.PASS),
        ("increase", -0.2, State.PASS),
        ("decrease", -0.2, State.FAIL),
        ("decrease", 0.2, State.PASS),
    ],
)
def test_bias_knows_which_way_is_bad(direction: str, shift: float, state: State) -> None:
    criterion = required("bias", 0.1, direction=direction)
    plan = criterion.plan(0.0)
    at = min(range(len(plan.edges)), key=lambda i: abs(plan.edges[i] - shift))
    verdict = counted(settings(criterion), {"bias": {"n": 3000.0, str(at): 3000.0}}, calls=3000)
    assert verdict.state is state
    assert verdict.criteria[0].state is state
    found = plan.measure({str(at): 3000.0})
    assert min(found.log_pass, found.log_fail) < 0 < max(found.log_pass, found.log_fail)


def test_calls_needed_are_those_after_which_the_claim_can_be_made() -> None:
    plan = RATE.plan(0.0)
    bounds = limits(0.025, 0.025)
    cell = rate(400, 2)
    needed = plan.calls_needed(cell, bounds)
    assert needed is not None
    assert needed > 0
    after, before = (plan.measure(cell, (400 + needed * f) / 400) for f in (1.0, 0.9))
    assert max(after.log_pass, after.log_fail) >= threshold(0.025)
    assert max(before.log_pass, before.log_fail) < threshold(0.025)
    assert plan.calls_needed(rate(400, 4), bounds) is None
    assert plan.calls_needed({}, bounds) is None
    assert plan.calls_needed(rate(1e5, 0), bounds) == 0
    assert plan.measure({}) == NOTHING


def between(low: float, high: float) -> Cell:
    """Counts whose evidence against the shadow lies between two thresholds."""
    plan = RATE.plan(0.0)
    cells = [rate(float(n), 20.0) for n in range(500, 2000)]
    return next(c for c in cells if low < plan.measure(c).log_fail < high)


def test_where_slices_may_fail_a_shadow_half_the_error_is_theirs() -> None:
    cell = between(threshold(0.025), threshold(0.0125))
    by_method = (SliceSettings(source="method"),)
    states = [
        counted(declared, {"disagreement": cell}).state
        for declared in (
            settings(RATE),
            settings(RATE, slices=by_method, flagged="report"),
            settings(RATE, slices=by_method),
        )
    ]
    assert states == [State.FAIL, State.FAIL, State.WATCHING]
    sliced = {("disagreement", "method=x"): cell}
    flags = [
        counted(settings(RATE, flagged=flagged), sliced).slices[0].flagged
        for flagged in ("report", "fail")
    ]
    assert flags == [True, False]
