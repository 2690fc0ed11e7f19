"""One verdict of many pods' counts: what adds up, what is missing, what stands."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.collect.service import OTHERS, Heard, Service
from sidecar.report.part import Part
from tests.collect.pods import part

NEED: dict[str, Any] = {"min_calls": 150}
SHADOW = "candidate"


def heard(
    service: Service, *parts: Part, at: float = 1.0, missing: dict[str, str] | None = None
) -> dict[str, Any]:
    service.hear(Heard(at, list(parts), missing or {}))
    return service.report(SHADOW, at)


def state(report: dict[str, Any]) -> str:
    return str(report["verdict"]["state"])


def test_pods_decide_together_what_none_of_them_can() -> None:
    a, b = part("a", 100, **NEED), part("b", 100, **NEED)
    assert state(heard(Service(), a)) == "WATCHING"
    together = heard(Service(), a, b)
    assert (state(together), together["verdict"]["calls"]) == ("PASS", 200)
    assert together["service"]["answering"] == 2


def test_hearing_the_same_twice_or_late_changes_nothing() -> None:
    service = Service()
    early, late = part("a", 50), part("a", 100)
    heard(service, late)
    assert heard(service, late)["verdict"]["calls"] == 100
    assert heard(service, early)["verdict"]["calls"] == 100


def test_a_pod_that_does_not_answer_forbids_pass_and_is_named() -> None:
    service = Service()
    a, b = part("a", 200), part("b", 200)
    assert state(heard(service, a, b)) == "PASS"
    short = heard(service, a, missing={"b:9096": "no answer in time"})
    assert state(short) == "INCONCLUSIVE"
    assert short["missing"] == {"b:9096": "no answer in time"}
    allowed = Service(allow_missing=True)
    assert state(heard(allowed, a, missing={"b:9096": "no answer in time"})) == "PASS"


def test_a_pod_that_is_gone_still_counts() -> None:
    service = Service()
    heard(service, part("a", 100, **NEED))
    later = heard(service, part("b", 100, **NEED), at=2.0)
    assert (state(later), later["verdict"]["calls"]) == ("PASS", 200)
    assert later["service"]["gone"] == 1


def test_a_pod_of_another_version_or_other_rules_forbids_pass_and_is_named() -> None:
    new = part("a", 200, version="2", began=9)
    for other in (part("b", 200), part("b", 200, min_calls=2)):
        found = heard(Service(), new, other)
        assert state(found) == "INCONCLUSIVE"
        assert found["missing"] == {"b:9096": OTHERS}
        assert found["verdict"]["calls"] == 200


def test_evidence_of_gone_pods_about_another_version_forbids_nothing() -> None:
    service = Service()
    heard(service, part("old", 200))
    assert state(heard(service, part("new", 200, version="2", began=9), at=2.0)) == "PASS"


def test_a_pod_without_the_shadow_is_missing_from_it() -> None:
    from dataclasses import replace

    other = replace(part("b", 10), shadow="another")
    service = Service()
    found = heard(service, part("a", 200), other)
    assert found["missing"] == {"b:9096": "has no shadow called 'candidate'"}
    assert state(found) == "INCONCLUSIVE"
    assert service.shadows == ["another", "candidate"]


def test_a_fail_stands_whatever_comes_later() -> None:
    service = Service()
    assert state(heard(service, part("a", 60, differing=True))) == "FAIL"
    diluted = heard(service, *(part(f"p{n}", 400) for n in range(6)), at=2.0)
    assert state(diluted) == "FAIL"
    again = Service(failed=dict(service.failed))
    assert state(heard(again, part("b", 400))) == "FAIL", "after a restart, too"


def test_a_rollout_back_goes_on_where_the_old_pair_was() -> None:
    service = Service()
    first = heard(service, part("a", 100, **NEED))
    between = heard(service, part("b", 20, version="2", began=5, **NEED), at=2.0)
    back = heard(service, part("c", 100, began=9, **NEED), at=3.0)
    assert [r["verdict"]["calls"] for r in (first, between, back)] == [100, 20, 200]
    experiments = [r["service"]["experiment"] for r in (first, between, back)]
    assert experiments[0] == experiments[2] != experiments[1]
    assert state(back) == "PASS"


def test_a_pod_that_sees_no_call_is_named() -> None:
    found = heard(Service(), part("a", 200), part("b", 0))
    assert found["service"]["silent"] == ["b:9096"]
    assert "no call was seen by b:9096" in found["notices"][-1]


def test_without_a_round_since_the_start_nothing_passes() -> None:
    service = Service()
    service.remember([(1.0, part("a", 200))])
    found = service.report(SHADOW, 5.0)
    assert (state(found), found["verdict"]["reason"]) == (
        "INCONCLUSIVE",
        "no pod was asked since the start",
    )


def test_nobody_at_all_is_no_pass() -> None:
    assert state(heard(Service())) == "INCONCLUSIVE"


def test_evidence_that_had_to_go_forbids_pass() -> None:
    service = Service(most_parts=2)
    for number in range(3):
        service.hear(Heard(float(number), [part(f"p{number}", 200)], {}))
    found = service.report(SHADOW, 3.0)
    assert len(service.parts(SHADOW)) == 2
    assert (state(found), found["verdict"]["calls"]) == ("INCONCLUSIVE", 400)
    assert "older evidence was let go" in found["verdict"]["reason"]


@pytest.mark.parametrize("pods", [1, 2, 7])
def test_harm_in_one_pod_is_harm_of_the_service(pods: int) -> None:
    parts = [part("bad", 200, differing=True), *(part(f"p{n}", 30) for n in range(pods - 1))]
    assert state(heard(Service(), *parts)) == "FAIL"
