"""One verdict of many pods' counts: what adds up, and what stands."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.call import SkipReason
from sidecar.collect.experiments import Experiment, Experiments
from sidecar.collect.ledger import Ledger
from sidecar.collect.lives import Heard
from sidecar.collect.nameless import Nameless
from sidecar.collect.service import Service
from sidecar.collect.told import Told, told_by
from sidecar.judge.counts import SnapshotKey
from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.report.live import parts_of
from sidecar.serve.convert import counts_message
from sidecar.settings.settings import Settings
from tests.collect.pods import NEED, SHADOW, STRICTER, facts, heard, heard_of, part, pod
from tests.house import DISAGREEMENT, MS, House
from tests.house import told as answered


def test_pods_decide_together_what_none_of_them_can() -> None:
    a, b = pod("a", 100, **NEED), pod("b", 100, **NEED)
    assert heard(Service(), a).state == "WATCHING"
    together = heard(Service(), a, b)
    assert (together.state, together.verdict.calls) == ("PASS", 200)
    assert facts(together).answering == 2


def test_a_pod_that_does_not_answer_forbids_pass_and_is_named() -> None:
    service = Service()
    a, b = pod("a", 200), pod("b", 200)
    assert heard(service, a, b).state == "PASS"
    short = heard(service, a, missing={"b:9096": "no answer in time"})
    assert short.state == "INCONCLUSIVE"
    assert short.missing == {"b:9096": "no answer in time"}
    allowed = Service(allow_missing=True)
    assert heard(allowed, a, missing={"b:9096": "no answer in time"}).state == "PASS"


def test_a_pod_that_is_gone_still_counts() -> None:
    service = Service()
    heard(service, pod("a", 100, **NEED))
    later = heard(service, pod("b", 100, **NEED), at=2.0)
    assert (later.state, later.verdict.calls) == ("PASS", 200)
    assert facts(later).gone == 1


def test_a_pod_that_is_gone_and_told_no_version_does_not() -> None:
    """Whose evidence that was nobody knows: the candidate may have been another one."""
    service = Service()
    heard(service, pod("a", 100, version="", **NEED))
    later = heard(service, pod("b", 100, version="", **NEED), at=2.0)
    assert (later.state, later.verdict.calls) == ("WATCHING", 100)


def test_where_no_version_is_told_a_fail_stands_whatever_pods_come(tmp_path: Path) -> None:
    """Who rolls the pods until they pass asks as often."""

    def begun_again(service: Service) -> Service:
        with closing(Ledger(tmp_path / "l")) as ledger:
            ledger.write([], 1.0, experiments=service.nameless.failed.values())
        with closing(Ledger(tmp_path / "l")) as ledger:
            decided = ledger.experiments()
        return Service(experiments=Experiments(decided), nameless=Nameless(decided))

    service = Service()
    assert heard(service, pod("a", 300, differing=True, version="")).state == "FAIL"
    for again in (service, begun_again(service)):
        for name in ("b", "c"):
            found = heard(again, pod(name, 300, version=""), at=2.0)
            assert (found.state, found.verdict.calls) == ("FAIL", 300)
            assert "stands, for no version tells another candidate" in found.verdict.reason
    found = heard(service, pod("x", 300, version="", **STRICTER), at=2.0)
    assert found.state != "FAIL", "other rules"
    assert heard(service, pod("d", 300), at=2.0).state == "PASS", "a version that is told"
    renamed = replace(part("e", 300, version=""), shadow="next")
    service.hear(Heard(3.0, [heard_of(renamed)]))
    assert service.report("next", 3.0).state == "PASS"


def test_where_no_version_is_told_a_fail_ends_when_every_pod_was_reset() -> None:
    def of_attempt(name: str, attempt: int) -> Told:
        one = part(name, 300, version="")
        later = one.snapshot.sequence + attempt
        return heard_of(
            replace(one, snapshot=replace(one.snapshot, attempt=attempt, sequence=later))
        )

    service = Service()
    assert heard(service, pod("a", 300, differing=True, version="")).state == "FAIL"
    assert heard(service, of_attempt("b", 2), of_attempt("c", 1), at=2.0).state == "FAIL"
    found = heard(service, of_attempt("b", 2), of_attempt("c", 2), at=3.0)
    assert (found.state, facts(found).attempt) == ("PASS", 2)


def test_where_no_version_is_told_each_roll_of_the_pods_is_an_attempt() -> None:
    service = Service()
    for attempt in range(1, 5):
        found = heard(service, pod(f"p{attempt}", 300, version=""), at=float(attempt))
        assert (found.state, facts(found).attempt) == ("PASS", attempt)
        assert any("no version is told" in n for n in found.notices) == (attempt > 1)
    stays = pod("q", 300, version="")
    for _ in range(3):
        assert facts(heard(service, stays, at=9.0)).attempt == 5, "asking again is none"
    assert facts(heard(service, stays, pod("r", 0, version=""), at=9.0)).attempt == 5
    assert facts(heard(service, pod("s", 300), at=10.0)).attempt == 1, "of a version only its own"


def test_a_pod_of_another_version_or_other_rules_forbids_pass_and_is_named() -> None:
    new = pod("a", 200, version="2", began=9)
    for other in (pod("b", 200), pod("b", 200, min_calls=2)):
        found = heard(Service(), new, other)
        assert found.state == "INCONCLUSIVE"
        assert "b:9096" in found.verdict.reason
        assert [row.source for row in found.sidecars if not row.counted] == ["b:9096"]
        assert found.verdict.calls == 200


def test_evidence_of_gone_pods_about_another_version_forbids_nothing() -> None:
    service = Service()
    heard(service, pod("old", 200))
    assert heard(service, pod("new", 200, version="2", began=9), at=2.0).state == "PASS"


def test_pods_that_are_there_lead_though_one_that_is_gone_began_later() -> None:
    service = Service()
    heard(service, pod("stays", 200), pod("canary", 20, version="2", began=9))
    back = heard(service, pod("stays", 200), at=2.0)
    assert (back.state, back.verdict.calls) == ("PASS", 200)


def test_a_fail_stands_whatever_comes_later() -> None:
    service = Service()
    assert heard(service, pod("a", 60, differing=True)).state == "FAIL"
    diluted = heard(service, *(pod(f"p{n}", 400) for n in range(6)), at=2.0)
    assert diluted.state == "FAIL"
    kept = [Experiment.from_dict(e.key, e.to_dict()) for e in service.experiments]
    again = Service(experiments=Experiments(kept))
    assert heard(again, pod("b", 400)).state == "FAIL", "after a restart, too"


def test_a_rollout_back_goes_on_where_the_old_pair_was() -> None:
    service = Service()
    first = heard(service, pod("a", 100, **NEED))
    between = heard(service, pod("b", 20, version="2", began=5, **NEED), at=2.0)
    back = heard(service, pod("c", 100, began=9, **NEED), at=3.0)
    assert [r.verdict.calls for r in (first, between, back)] == [100, 20, 200]
    experiments = [facts(r).experiment for r in (first, between, back)]
    assert experiments[0] == experiments[2] != experiments[1]
    assert [facts(r).attempt for r in (first, between, back)] == [1, 1, 1]
    assert back.state == "PASS"


def test_a_pod_that_goes_back_itself_goes_on_too() -> None:
    service = Service()
    one = part("a", 100, **NEED)
    heard(service, heard_of(one))
    other = part("a", 20, version="2", began=5, **NEED)
    heard(service, heard_of(with_epoch(other, 1)), at=2.0)
    again = heard(service, heard_of(with_epoch(part("a", 100, began=9, **NEED), 2)), at=3.0)
    assert (again.state, again.verdict.calls) == ("PASS", 200)


def with_epoch(part: Any, epoch: int) -> Any:
    key = SnapshotKey(part.snapshot.key.instance, epoch)
    return replace(part, snapshot=replace(part.snapshot, key=key))


def test_another_margin_for_a_candidate_that_was_decided_is_an_attempt_that_may_err_less() -> None:
    service = Service()
    first = heard(service, pod("a", 200))
    assert (first.state, facts(first).attempt) == ("PASS", 1)
    second = heard(service, pod("b", 200, began=5, **STRICTER), at=2.0)
    assert facts(second).attempt == 2
    third = heard(service, pod("c", 200, began=6, version="2", **STRICTER), at=3.0)
    assert facts(third).attempt == 1, "another candidate"
    highs = [
        r.verdict.criteria[0].interval[1] for r in (first, second) if r.verdict.criteria[0].interval
    ]
    assert highs[1] > highs[0], "the same counts, and less error allowed"
    assert alpha_of_attempt(0.05, 2) == alpha_of_attempt(0.05, 1) / 4


def test_each_experiment_about_a_candidate_is_an_attempt_decided_or_not() -> None:
    service = Service()
    attempts = []
    for number, margin in enumerate((0.05, 0.04, 0.03, 0.04)):
        rules = {"criteria": [DISAGREEMENT | {"margin": margin}]}
        found = heard(service, pod("a" * (number + 1), 5, began=number + 1, **rules))
        assert found.state == "WATCHING"
        attempts.append(facts(found).attempt)
    assert attempts == [1, 2, 3, 2]
    renamed = heard_of(replace(part("z", 5, began=9), shadow="renamed"))
    service.hear(Heard(9.0, [renamed]))
    assert facts(service.report("renamed", 9.0)).attempt == 4, "the same version by another name"


def test_shadows_that_are_judged_beside_each_other_are_no_attempts_of_each_other() -> None:
    service = Service()
    other = heard_of(replace(part("a", 5), shadow="another"))
    service.hear(Heard(1.0, [pod("a", 5), other]))
    reports = [service.report(name, 1.0) for name in (SHADOW, "another")]
    assert [facts(report).attempt for report in reports] == [1, 1]


def test_experiments_that_an_older_version_gave_the_same_number_are_told_apart() -> None:
    made = [
        Experiment(f"{n}", SHADOW, f"rules-{n}", {"shadow m": "1", "production m": "1"}, 1)
        for n in range(3)
    ]
    made[1].failed = "too many"
    assert sorted(one.attempt for one in Experiments(made)) == [1, 2, 3]
    assert made[1].attempt == 1


def test_a_version_that_becomes_known_later_does_not_make_a_fail_forgotten() -> None:
    service = Service()
    failed = part("a", 60, differing=True)
    heard(service, heard_of(failed))
    more = part("b", 400, began=2)
    models = {**more.snapshot.models, "shadow other": "7", "production other": "7"}
    grown = replace(more, snapshot=replace(more.snapshot, models=models))
    assert heard(service, heard_of(grown), at=2.0).state == "FAIL"


def test_a_pod_that_sees_no_call_is_named() -> None:
    found = heard(Service(), pod("a", 200), pod("b", 0))
    assert facts(found).silent == ("b:9096",)
    assert "no call was seen by b:9096" in found.notices[-1]


def test_without_a_round_since_the_start_nothing_passes() -> None:
    service = Service()
    service.lives.remember([(1.0, part("a", 200))])
    found = service.report(SHADOW, 5.0)
    assert (found.state, found.verdict.reason) == (
        "INCONCLUSIVE",
        "no pod was asked since the start",
    )


@pytest.mark.parametrize("allow_missing", [False, True])
def test_a_service_without_pods_is_no_pass(allow_missing: bool) -> None:
    assert heard(Service(allow_missing=allow_missing)).state == "INCONCLUSIVE"
    service = Service(allow_missing=allow_missing)
    assert heard(service, pod("a", 200)).state == "PASS"
    gone = heard(service, at=2.0)
    assert (gone.state, gone.verdict.calls) == ("INCONCLUSIVE", 200)


def test_kept_counts_of_another_version_forbid_pass_where_they_belong_and_are_told() -> None:
    here = pod("a", 200)
    for rules, state in ((here.part.snapshot.rules, "INCONCLUSIVE"), ("others", "PASS")):
        service = Service()
        service.cannot_read(SHADOW, rules, dict(here.part.snapshot.models))
        found = heard(service, here)
        assert found.state == state
        assert "1 kept counts are of another version" in found.notices[-1]


@pytest.mark.parametrize("pods", [1, 2, 7])
def test_harm_in_one_pod_is_harm_of_the_service(pods: int) -> None:
    told = [pod("bad", 200, differing=True), *(pod(f"p{n}", 30) for n in range(pods - 1))]
    assert heard(Service(), *told).state == "FAIL"


def lose(house: House, calls: int, reason: SkipReason) -> None:
    for _ in range(calls):
        house.now_ns += MS
        house.ledger.refuse(reason)


def tells(house: House, source: str = "a:9096") -> list[Told]:
    parts = parts_of(house.experiment.state(), house.judged)
    return [told_by(counts_message(part), source, time.time()) for part in parts]


@pytest.mark.parametrize("version", ["1", ""])
@pytest.mark.parametrize("reason", [SkipReason.SHED, SkipReason.EXPIRED])
def test_a_shadow_that_dies_after_a_pass_is_no_pass_until_its_calls_are_compared_again(
    reason: SkipReason, version: str
) -> None:
    judge = {
        "min_calls": 100,
        "criteria": [DISAGREEMENT | {"margin": 0.9}],
        "coverage_floor": 0.3,
        "min_distinct_inputs": 1,
    }
    house, service = House(judge), Service()

    def calls(number: int) -> None:
        for _ in range(number):
            house.call(answered(1.0, version=version), production=answered(1.0, version=version))

    calls(4_000)
    assert heard(service, *tells(house)).state == "PASS"
    lose(house, 4_000, reason)
    assert heard(service, *tells(house)).state == "PASS", "not enough to say it"
    if version:  # the collector is begun again, from what it wrote down
        kept = [Experiment.from_dict(e.key, e.to_dict()) for e in service.experiments]
        service = Service(experiments=Experiments(kept))
    lose(house, 1_500, reason)
    found = heard(service, *tells(house), at=2.0)
    assert found.verdict.coverage is not None
    assert found.verdict.coverage > 0.4
    assert found.state == "INCONCLUSIVE"
    assert "0.0% of the latest calls were compared" in found.verdict.reason
    calls(5_000)
    assert heard(service, *tells(house), at=3.0).state == "PASS"


def served(name: str, calls: int, **judge: Any) -> House:
    house = House(judge, instance=name)
    for _ in range(calls):
        house.call(answered(1.0), production=answered(1.0))
    return house


def test_a_pod_whose_shadow_is_dead_forbids_the_sum_to_pass_and_is_named() -> None:
    big, small, service = served("big", 9_000), served("small", 200), Service()
    lose(small, 100, SkipReason.EXPIRED)
    found = heard(service, *tells(big, "big:1"), *tells(small, "small:1"))
    assert found.verdict.coverage is not None
    assert found.verdict.coverage > 0.98
    assert found.state == "INCONCLUSIVE"
    assert found.verdict.reason.startswith("no ground for PASS at small:1: ")
    assert "big:1" not in found.verdict.reason
    gone = heard(service, *tells(big, "big:1"), at=2.0)
    assert gone.state == "PASS", "nothing comes to it any more"


def test_a_pod_that_just_began_forbids_nothing_by_its_first_calls() -> None:
    big, new = served("big", 2_000, **NEED), served("new", 5, **NEED)
    lose(new, 5, SkipReason.EXPIRED)
    assert heard(Service(), *tells(big, "big:1"), *tells(new, "new:1")).state == "PASS"


@pytest.mark.parametrize("calls", [20, 300])
@pytest.mark.parametrize("alone", [True, False])
def test_a_pod_that_samples_few_keys_forbids_pass_alone_or_not(alone: bool, calls: int) -> None:
    few = served("few", calls, **NEED)
    sticky = {"sample": {"fraction": 0.1, "key": "metadata:user"}}
    few.experiment.change(Settings.model_validate(few.settings.model_dump() | sticky))
    for n in range(50):
        few.experiment._operation._admission.keys.note(n / 50, sampled=n < 3)
    pods = tells(few, "few:1") + ([] if alone else tells(served("many", 300, **NEED), "many:1"))
    found = heard(Service(), *pods)
    if alone and calls < 100:
        assert found.state == "WATCHING"
        return
    assert found.state == "INCONCLUSIVE"
    assert "few:1: sample.key leaves whole keys out: 3 were sampled" in found.verdict.reason


def test_calls_of_few_keys_do_not_pass_when_their_pod_is_gone() -> None:
    few, service = served("few", 0, **NEED), Service()
    sticky = {"sample": {"fraction": 0.1, "key": "metadata:user"}}
    few.experiment.change(Settings.model_validate(few.settings.model_dump() | sticky))
    few.experiment.sweep()
    for _ in range(300):
        few.call(answered(1.0), production=answered(1.0))
    assert heard(service, *tells(few, "few:1")).state == "INCONCLUSIVE"
    found = heard(service, *tells(served("new", 200, **NEED), "new:1"), at=2.0)
    assert (found.state, found.verdict.calls) == ("INCONCLUSIVE", 500)
    assert "300 of 500 calls were sampled by a key" in found.verdict.reason
    found = heard(service, *tells(served("more", 3000, **NEED), "more:1"), at=3.0)
    assert (found.state, found.verdict.calls) == ("PASS", 3500)


def test_pods_whose_budget_is_used_up_undecided_may_pass_together() -> None:
    budget = {"max_calls": 60, "min_calls": 60}
    pods = [served(name, 60, **budget) for name in "abc"]
    told = [tells(house, f"{n}:1") for n, house in enumerate(pods)]
    assert all(one.part.stands[0] == "INCONCLUSIVE" for (one,) in told if one.part.stands)
    assert heard(Service(), *(one for (one,) in told)).state == "PASS"
