from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.judge.report import State, Verdict
from sidecar.serve.gate import HOOKS, hooked, measured

VERDICT = Verdict(State.WATCHING, "so far", False, 7, 0.5, 1.0, (), (), {}, {})


@pytest.mark.parametrize(
    ("state", "ended", "waiting"),
    [
        (State.PASS, False, 200),
        (State.FAIL, False, 200),
        (State.WATCHING, False, 503),
        (State.INCONCLUSIVE, False, 503),  # coverage may recover
        (State.INCONCLUSIVE, True, 200),
    ],
)
def test_a_metric_waits_for_a_decision_if_it_asks_to(
    state: State, ended: bool, waiting: int
) -> None:
    verdict = replace(VERDICT, state=state, ended=ended)
    assert measured("s", verdict, wait=True)[0] == waiting
    status, body = measured("s", verdict, wait=False)
    assert status == 200
    assert (body["verdict"], body["reason"], body["calls"]) == (state, "so far", 7)
    assert [body["successful"], body["failed"], body["inconclusive"]] == [
        state is State.PASS,
        state is State.FAIL,
        state is State.INCONCLUSIVE,
    ]


@pytest.mark.parametrize(
    ("hook", "advancing"),
    [
        ("confirm-rollout", {"PASS", "WATCHING", "INCONCLUSIVE"}),
        ("pre-rollout", {"PASS", "WATCHING", "INCONCLUSIVE"}),
        ("rollout", {"PASS", "WATCHING", "INCONCLUSIVE"}),
        ("confirm-traffic-increase", {"PASS"}),
        ("confirm-promotion", {"PASS"}),
        ("rollback", {"FAIL"}),
        ("post-rollout", set(State)),
        ("event", set(State)),
    ],
)
def test_each_of_flaggers_hooks_advances_in_its_states_only(hook: str, advancing: set[str]) -> None:
    for state in State:
        status, _ = hooked("s", replace(VERDICT, state=state), hook)
        assert status == (200 if state in advancing else 409)


def test_every_hook_is_tested() -> None:
    assert len(HOOKS) == 8
