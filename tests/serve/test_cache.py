from __future__ import annotations

import pytest

from sidecar.serve.cache import MOST_NS, SHARE, AnswerCache


class Clock:
    """Time passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 5

    def __call__(self) -> int:
        return self.now


class Maker:
    """Answers how often it was asked; each answer takes some time to make."""

    def __init__(self, clock: Clock, took: int) -> None:
        self.clock, self.took, self.made = clock, took, 0

    def __call__(self) -> int:
        self.clock.now += self.took
        self.made += 1
        return self.made


@pytest.mark.parametrize(
    ("took", "kept"), [(0, 0), (1, SHARE), (1_000, SHARE * 1_000), (MOST_NS, MOST_NS)]
)
def test_an_answer_is_given_again_until_it_has_paid_for_itself(took: int, kept: int) -> None:
    clock = Clock()
    maker = Maker(clock, took)
    answers = AnswerCache[int](clock)
    assert answers.get("a", maker) == 1
    if kept:
        clock.now += kept - 1
        assert answers.get("a", maker) == 1
        clock.now += 1
    assert answers.get("a", maker) == 2


def test_however_many_ask_making_takes_a_bounded_share_of_the_time() -> None:
    clock = Clock()
    maker = Maker(clock, 3_000)
    answers = AnswerCache[int](clock)
    began = clock.now
    for _ in range(10_000):
        clock.now += 100
        answers.get("a", maker)
    assert maker.made > 1
    assert maker.made * maker.took / (clock.now - began) < 1 / SHARE


def test_names_are_kept_apart() -> None:
    clock = Clock()
    answers = AnswerCache[str](clock)
    slow = Maker(clock, 9)
    assert answers.get("a", lambda: f"a{slow()}") == "a1"
    assert answers.get("b", lambda: f"b{slow()}") == "b2"
    assert answers.get("a", lambda: f"a{slow()}") == "a1"
