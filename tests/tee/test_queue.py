"""The waiting line against a list that does the same slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.tee.queue import WaitingLine

actions = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 100)),
        st.tuples(st.just("pop"), st.just(0)),
        st.tuples(st.just("older"), st.integers(0, 50)),
        st.tuples(st.just("discard"), st.integers(0, 50)),
    ),
    max_size=50,
)


@given(actions)
def test_it_keeps_order_and_exact_counts(script: list[tuple[str, int]]) -> None:
    line: WaitingLine[int, str] = WaitingLine()
    model: list[tuple[int, int]] = []  # key, which is also when it came; size
    for now, (action, n) in enumerate(script):
        got = expected = None
        if action == "push":
            line.push(now, f"item {now}", n, now)
            model.append((now, n))
        elif action == "pop":
            got = line.pop()
            expected = model.pop(0)[0] if model else None
        elif action == "older":
            got = line.pop_older(n)
            expected = model.pop(0)[0] if model and model[0][0] < n else None
        else:
            got = line.discard(n)
            found = [entry for entry in model if entry[0] == n]
            expected = n if found else None
            model = [entry for entry in model if entry[0] != n]
        assert got == (None if expected is None else f"item {expected}")
        assert len(line) == len(model)
        assert line.bytes == sum(size for _, size in model)
        assert all(key in line for key, _ in model)


def test_a_key_can_wait_only_once() -> None:
    line: WaitingLine[int, str] = WaitingLine()
    line.push(1, "a", 5, 0)

    with pytest.raises(KeyError):
        line.push(1, "b", 7, 0)
    assert (len(line), line.bytes) == (1, 5)
