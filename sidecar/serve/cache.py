"""Answers that are given again for a moment, so that many who ask cost little more than one.

Rule: making one kind of answer takes at most one part in `SHARE` of the process's time, however
many ask, and none is older than `MOST_NS`. Counterpart: `http`, which answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

SHARE = 20
MOST_NS = 1_000_000_000

T = TypeVar("T")


@dataclass(slots=True)
class AnswerCache(Generic[T]):
    """The latest answer of each name. Names come from the configuration, so they are few."""

    now_ns: Callable[[], int]
    _answers: dict[str, tuple[int, T]] = field(default_factory=dict)

    def get(self, name: str, make: Callable[[], T]) -> T:
        """The answer of that name: a new one, unless the last has not yet paid for itself."""
        began = self.now_ns()
        until, answer = self._answers.get(name, (began, None))
        if answer is not None and began < until:
            return answer
        made = make()
        ended = self.now_ns()
        self._answers[name] = ended + min(MOST_NS, SHARE * (ended - began)), made
        return made
