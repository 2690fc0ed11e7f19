"""A label reaches its call in whichever row that is counted, and whichever came first."""

from __future__ import annotations

from pathlib import Path

from sidecar.experiment.judged import MOST_ROWS
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from tests.experiment.test_keeping import Life
from tests.house import MS, House, told

ACCURACY = {
    "name": "right",
    "kind": "accuracy",
    "margin": 0.05,
    "required": True,
    "decision": {"threshold": 0.5},
    "labels": "sample",
}
JUDGE = {"criteria": [ACCURACY], "min_calls": 100}


def call(house: House, name: str, version: str, *, right: bool) -> None:
    house.call(
        told(0.9 if right else 0.1, version=version, request_id=name),
        production=told(0.9, request_id=name),
    )


def labelled(house: House, name: str, version: str, *, right: bool) -> None:
    """A call whose label came a moment before it."""
    house.judging.label(Label(name, 1))
    call(house, name, version, right=right)


def shadows(house: House) -> dict[str, dict[str, int]]:
    """What became of labels, but for zeroes, by the shadow's version."""
    return {
        row.known.versions.shadow: {fate: n for fate, n in row.judge.label_fates.items() if n}
        for row in house.judged.rows
    }


def test_one_call_of_another_version_does_not_take_the_labels_that_come_before_their_calls() -> (
    None
):
    house = House(JUDGE)
    for i in range(60):
        labelled(house, f"good-{i}", "7", right=True)
    labelled(house, "other", "8", right=True)
    for i in range(600):
        labelled(house, f"bad-{i}", "7", right=False)
    house.now_ns += 601 * 1_000 * MS
    for i in range(120):
        labelled(house, f"late-{i}", "7", right=True)
    assert house.state() is State.FAIL
    assert house.judged.row.known.versions.shadow == "m:7"
    assert house.judged.verdict.criteria[0].n == 780
    assert [row.judge.label_fates["joined"] for row in house.judged.rows] == [780, 1]


def test_the_same_two_versions_pass_where_they_are_right() -> None:
    house = House(JUDGE)
    for i in range(600):
        labelled(house, f"{i}", "78"[i % 2], right=True)
    assert [row.evaluate(house.now_ns).state for row in house.judged.rows] == [State.PASS] * 2


def test_an_early_label_that_is_corrected_is_replaced_where_it_waits() -> None:
    house = House(JUDGE)
    call(house, "a", "7", right=True)
    house.judging.label(Label("x", 0, time_ns=1))
    call(house, "b", "8", right=True)  # is current now
    house.judging.label(Label("x", 1, time_ns=2))
    call(house, "x", "8", right=True)
    assert house.judged.evaluate(house.now_ns).criteria[0].estimate == 0.0
    waiting = [row.judge.label_store.early() for row in house.judged.rows]
    assert waiting == [[], []]


def test_a_request_that_was_tried_again_is_labelled_in_the_row_of_each_version() -> None:
    house = House(JUDGE)
    call(house, "again", "7", right=False)
    call(house, "again", "8", right=True)
    house.judging.label(Label("again", 1))
    assert shadows(house) == {"m:8": {"joined": 1}, "m:7": {"joined": 1}}


def test_labels_that_wait_outlive_the_row_that_goes_from_memory() -> None:
    house = House(JUDGE)
    call(house, "first", "0", right=True)
    house.judging.label(Label("x", 1))
    for i in range(1, MOST_ROWS + 3):
        house.now_ns += 60_000 * MS
        call(house, f"{i}", f"{i}", right=True)
        house.judging.sweep()
    assert "m:0" not in shadows(house)
    call(house, "x", f"{MOST_ROWS + 2}", right=False)
    assert shadows(house)[f"m:{MOST_ROWS + 2}"]["joined"] == 1


def test_a_row_that_comes_back_from_the_store_finds_the_labels_that_came_meanwhile(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path / "state", JUDGE)
    house = life.house
    call(house, "x", "0", right=False)
    for i in range(1, MOST_ROWS + 3):
        house.now_ns += 60_000 * MS
        call(house, f"{i}", f"{i}", right=True)
        life.second()
    assert "m:0" not in shadows(house)
    house.judging.label(Label("x", 1))
    house.now_ns += 60_000 * MS
    call(house, "y", "0", right=True)
    assert shadows(house)["m:0"]["joined"] == 1
    assert not any(row.judge.label_store.early() for row in house.judged.every_row)
    life.kill()


def test_labels_that_wait_stay_when_an_experiment_is_ended_or_the_rules_change() -> None:
    house = House(JUDGE)
    call(house, "a", "7", right=True)
    house.judging.label(Label("x", 1))
    house.judged.replace(house.judged.row, house.now_ns)
    house.judging.label(Label("y", 1))
    house.judged.follow("other rules", house.now_ns)
    for name in "xy":
        call(house, name, "7", right=False)
    assert house.judged.evaluate(house.now_ns).criteria[0].n == 2
