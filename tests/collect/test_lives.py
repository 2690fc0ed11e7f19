"""What is known of pods: what is heard twice, what is put back or copied, who is missing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from sidecar.collect.experiments import Experiment, Experiments
from sidecar.collect.lives import NOT_INJECTED, Heard, Lives
from sidecar.collect.service import Service
from sidecar.judge.counts import Gap
from tests.collect.pods import NEED, SHADOW, STRICTER, Pod, facts, heard, heard_of, part, pod


def test_hearing_the_same_twice_or_late_changes_nothing() -> None:
    service = Service()
    early, late = pod("a", 50), pod("a", 100)
    heard(service, late)
    assert heard(service, late).verdict.calls == 100
    assert heard(service, early).verdict.calls == 100


def test_a_pod_that_asked_for_the_sidecar_and_has_none_forbids_pass_and_is_named() -> None:
    service = Service()
    service.hear(Heard(1.0, [pod("a", 200)], not_injected={"digits-x": "no port", "digits-y": ""}))
    found = service.report(SHADOW, 1.0)
    assert found.state == "INCONCLUSIVE"
    assert found.missing == {"digits-x": f"{NOT_INJECTED}: no port", "digits-y": NOT_INJECTED}
    assert facts(found).not_injected == {"digits-x": "no port", "digits-y": ""}


def test_a_pod_without_the_shadow_is_missing_from_it() -> None:
    other = heard_of(replace(part("b", 10), shadow="another"))
    service = Service()
    found = heard(service, pod("a", 200), other)
    assert found.missing == {"b:9096": "has no shadow called 'candidate'"}
    assert found.state == "INCONCLUSIVE"
    assert service.lives.shadows == ["another", "candidate"]


def test_the_halves_of_a_rollout_may_have_other_shadows_than_each_other() -> None:
    canary = heard_of(replace(part("b", 200), shadow="previous"))
    service = Service(lives=Lives(other_shadows=True))
    found = heard(service, pod("a", 200), canary)
    assert (found.state, found.missing) == ("PASS", {})
    assert service.report("previous", 1.0).state == "PASS"
    without = heard(service, canary, at=2.0)
    assert without.state == "INCONCLUSIVE", "nobody has it any more"


def test_evidence_that_had_to_go_forbids_pass() -> None:
    service = Service(lives=Lives(most=2))
    for number in range(3):
        service.hear(Heard(float(number), [pod(f"p{number}", 200)]))
    found = service.report(SHADOW, 3.0)
    assert len(service.lives.parts(SHADOW)) == 2
    assert (found.state, found.verdict.calls) == ("INCONCLUSIVE", 400)
    assert "older evidence was let go" in found.verdict.reason
    kept = [Experiment.from_dict(e.key, e.to_dict()) for e in service.experiments]
    service = Service(experiments=Experiments(kept))  # a collector that begins again
    found = heard(service, pod("p2", 200), at=4.0)
    assert (found.state, found.verdict.calls) == ("INCONCLUSIVE", 200)
    assert "older evidence was let go" in found.verdict.reason


def test_one_pod_whose_criteria_are_not_those_of_its_digest_is_left_out_and_named() -> None:
    honest, other = part("a", 200), part("b", 200, **STRICTER)
    lies = replace(other, snapshot=replace(other.snapshot, rules=honest.snapshot.rules))
    service = Service()
    heard(service, heard_of(honest))
    found = heard(service, heard_of(honest), heard_of(lies), at=2.0)
    assert found.state == "INCONCLUSIVE"
    assert list(found.missing) == ["b:9096"]
    assert found.verdict.calls == 200


def test_a_state_that_was_put_back_from_a_backup_is_named_and_is_no_pass(tmp_path: Path) -> None:
    folder, backup, service = tmp_path / "state", tmp_path / "backup", Service()
    pod = Pod(folder)
    pod.serve(60)
    pod.second()
    assert heard(service, *pod.tells()).state == "WATCHING"
    pod.kill()
    shutil.copytree(folder, backup)
    for _ in range(3):
        pod = Pod(folder)
        pod.serve(200)
        pod.second()
        found = heard(service, *pod.tells())
        pod.kill()
    assert (found.state, found.verdict.calls) == ("PASS", 660)
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    pod = Pod(folder)
    pod.serve(1_200, 9.0)
    pod.second()
    found = heard(service, *pod.tells())
    pod.kill()
    assert found.state == "INCONCLUSIVE"
    assert "lacks what it told until" in found.missing["10.0.0.7:9096"]
    assert "by itself it says FAIL" in found.missing["10.0.0.7:9096"]
    pod = Pod(folder)  # one that is still behind a restart later
    assert heard(service, *pod.tells()).state == "INCONCLUSIVE"
    pod.kill()


def test_a_state_whose_later_lives_were_forgotten_is_known_by_its_gap() -> None:
    """Its sequence may have overtaken what was told; a kill of a moment ago is no such thing."""
    service = Service()
    then = part("a", 200, **NEED)
    heard(service, heard_of(then))
    more = part("a", 900, **NEED).snapshot
    told_until = then.snapshot.latest_unix_ns
    for begun, state in ((31, "INCONCLUSIVE"), (29, "PASS")):
        gap = Gap(told_until - begun * 10**9, told_until + 3600 * 10**9)
        later = replace(more, began_unix_ns=then.snapshot.began_unix_ns, gaps=(gap,))
        found = heard(service, heard_of(replace(then, snapshot=later)))
        assert found.state == state


def test_a_gap_of_minutes_is_told_and_outlives_restarts(tmp_path: Path) -> None:
    pod = Pod(tmp_path / "state")
    pod.serve(20)
    pod.second()
    pod.kill()
    for _ in range(2):
        pod = Pod(tmp_path / "state", later_ns=3600 * 10**9)
        pod.serve(1)
        pod.second()
        (told,) = pod.tells()
        pod.kill()
    gaps = told.part.snapshot.gaps
    assert len(gaps) == 2
    assert round((gaps[1].to_unix_ns - gaps[1].from_unix_ns) / 3600e9) == 1


def test_a_state_that_goes_from_pod_to_pod_counts_once_whatever_they_are_called(
    tmp_path: Path,
) -> None:
    service = Service()
    for number in range(1, 7):
        pod = Pod(tmp_path / "state", f"digits-{number}")
        if number == 1:
            pod.serve(40)
        pod.second()
        pod.second()
        found = heard(service, *pod.tells())
        assert (found.state, found.verdict.calls) == ("WATCHING", 40)
        pod.kill()


def test_what_was_kept_under_a_pod_s_name_is_replaced_by_what_its_state_tells_now() -> None:
    """An older version named counts by the host, too."""
    service = Service()
    for host in ("digits-1", "digits-2"):
        one = part(f"{host}-0123456789ab", 100, **NEED)
        found = heard(service, heard_of(one))
    assert (found.state, found.verdict.calls) == ("WATCHING", 100)


def test_two_pods_that_go_on_with_copies_of_one_state_are_named_and_no_pass(
    tmp_path: Path,
) -> None:
    service = Service()
    one = Pod(tmp_path / "one", "digits-1")
    one.serve(200)
    one.second()
    one.kill()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    pods = [Pod(tmp_path / name, f"digits-{name}") for name in ("one", "two")]
    found = heard(service, *pods[0].tells("one:1"), *pods[1].tells("two:1"))
    assert found.state == "INCONCLUSIVE"
    assert "the same state as two:1" in found.missing["one:1"]
    assert "the same state as one:1" in found.missing["two:1"]
    twice = heard(service, *pods[0].tells("one:1"), *pods[0].tells("[::1]:1"), at=2.0)
    assert (twice.state, twice.verdict.calls) == ("PASS", 200), "one pod by two addresses"
    for one in pods:
        one.kill()
