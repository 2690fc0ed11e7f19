"""Labels that are corrected after they were counted forbid a PASS that they could undo."""

from __future__ import annotations

from sidecar.judge.labels import Label
from sidecar.judge.report import State
from tests.house import ACCURACY, House, told

CALLS = 600


def house() -> House:
    """Production says 1 always, the candidate 0 in every second call."""
    found = House({"min_calls": 100, "criteria": [ACCURACY]})
    for i in range(CALLS):
        name = f"r{i}"
        found.call(
            told(0.1 if i % 2 else 0.9, request_id=name), production=told(0.9, request_id=name)
        )
    return found


def label(on: House, value: int, of: int = CALLS) -> list[str]:
    return [on.experiment.label(Label(f"r{i}", value)) for i in range(of)]


def test_a_wrong_export_that_is_corrected_before_anybody_looks_is_no_pass() -> None:
    on = house()
    assert set(label(on, 0)) == {""}
    assert all("says something else" in why for why in label(on, 1))
    verdict = on.judged.evaluate(on.now_ns)
    assert verdict.state is State.INCONCLUSIVE
    assert "600 labels were corrected" in verdict.reason


def test_a_pass_that_stands_says_nothing_once_its_labels_were_corrected() -> None:
    on = house()
    label(on, 0)
    assert on.state() is State.PASS
    label(on, 1)
    verdict = on.judged.evaluate(on.now_ns)
    assert (verdict.state, "600 labels" in verdict.reason) == (State.INCONCLUSIVE, True)


def test_a_few_corrected_labels_that_could_change_nothing_forbid_nothing() -> None:
    on = house()
    label(on, 0)
    label(on, 1, of=20)
    assert on.judged.label_fates["contradicted"] == 20
    assert on.state() is State.PASS


def test_what_they_could_move_is_added_to_what_is_known() -> None:
    """One in 24 is worse: within the margin of 10 %, but not with 150 of 2,400 at their worst."""
    on = House({"min_calls": 100, "criteria": [ACCURACY]})
    for i in range(4 * CALLS):
        name = f"r{i}"
        on.call(
            told(0.9 if i % 24 else 0.1, request_id=name), production=told(0.9, request_id=name)
        )
        on.experiment.label(Label(name, 1))
    assert on.state() is State.PASS
    label(on, 0, of=150)
    assert on.state() is State.INCONCLUSIVE


def test_the_same_label_again_forbids_nothing() -> None:
    on = house()
    label(on, 0)
    label(on, 0)
    assert on.state() is State.PASS
