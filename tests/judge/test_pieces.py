"""A judge that is cut into pieces and put together in another process is the same judge."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from sidecar.judge.codec import Codec
from sidecar.judge.counts import Coverage
from sidecar.judge.criteria.disagreement import Disagreement
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label
from sidecar.judge.pieces import Cutter, restore
from sidecar.judge.report import State
from sidecar.judge.settings import JudgeSettings, SliceSettings
from sidecar.judge.slices import slices_of
from tests.judge.pairs import METHOD, MS, SECOND, compared, pair, settings
from tests.judge.test_kinds import EVERY, LIVES, Life

OFFSET = 1_700_000_000 * SECOND
ANOTHER = -77 * SECOND  # the other process's monotonic clock began later
SAME = Disagreement(name="same", margin=0.2)
REQUIRED = Disagreement(name="same", margin=0.2, required=True)
BY = tuple(SliceSettings(source=f"metadata:{name}") for name in ("user", "a/b=c"))


class Kept:
    """What a store would hold of a judge."""

    def __init__(self, judge: Judge) -> None:
        self.cutter = Cutter(judge)
        self.pieces: dict[str, Any] = {}

    def write(self) -> dict[str, Any]:
        """Take over what has changed, as the store does."""
        changed = self.cutter.changed(whole=True)
        for path, value in changed.items():
            if value is None:
                self.pieces.pop(path, None)  # it came and went
            else:
                plain = value() if callable(value) else value
                self.pieces[path] = json.loads(json.dumps(plain))
        assert self.cutter.count == len(self.pieces)
        return changed


def made(declared: JudgeSettings, offset_ns: int = OFFSET) -> Judge:
    return Judge(declared, "pod", OFFSET - offset_ns, unix_offset_ns=offset_ns)


def again(declared: JudgeSettings, pieces: dict[str, Any], now_unix_ns: int) -> Judge:
    judge = made(declared, OFFSET + ANOTHER)
    restore(judge, pieces, now_unix_ns - OFFSET - ANOTHER)
    return judge


def go(judge: Judge, life: Life, first: int, last: int, every_ns: int = 300 * MS) -> None:
    """Calls, labels of some of them, time that passes and somebody who looks."""
    for i in range(first, last):
        at = OFFSET + i * every_ns - judge.unix_offset_ns
        call = life.harmed(i) if i % 5 == 0 else life.well(i)
        users = (("user", f"u{i * i % 11 % 6}"), ("a/b=c", f"x/{i % 2}=é"))
        judge.observe(replace(call, arrived_ns=at, slices=slices_of(BY, metadata=users)), at)
        if life.truth is not None and i % 3:
            judge.label(Label(f"id-{i - i % 4}", life.truth(i), time_ns=i), at)
        if i % 7 == 0:
            judge.lose({"queue_full": 1}, at)
        if i % 60 == 0:
            judge.verdict(at, Coverage(i, i))


def shown(judge: Judge, at_unix_ns: int) -> str:
    """Everything that can be seen of a judge, but for how often it was looked at."""
    snapshot = judge.snapshot(at_unix_ns - judge.unix_offset_ns, Coverage(9, 9))
    blocks = [(k, [b.to_dict() for b in cell]) for k, cell in sorted(snapshot.blocks.items())]
    verdict = judge.verdict(at_unix_ns - judge.unix_offset_ns, Coverage(9, 9))
    fields = [f for f in snapshot.__slots__ if f not in {"sequence", "blocks", "cells"}]
    seen = [sorted(snapshot.cells.items()), *(getattr(snapshot, f) for f in fields)]
    examples = [(judge.worst(*k), judge.sample(*k)) for k in sorted(snapshot.cells)]
    return repr((seen, blocks, verdict, examples, judge.wanted(99), judge.label_fates))


@EVERY
def test_every_kind_goes_on_to_the_last_bit(life: Life) -> None:
    declared = settings(
        life.criterion, slices=BY, max_slices=8, repeat_seconds=0.0, independent_calls=False
    )
    one = made(declared)
    kept = Kept(one)
    for last in (1, 40, 130):
        go(one, life, {1: 0, 40: 1, 130: 40}[last], last)
        kept.write()
    now = OFFSET + 130 * 300 * MS
    two = again(declared, kept.pieces, now)
    assert shown(two, now) == shown(one, now)
    go(one, life, 130, 180)
    go(two, life, 130, 180)
    later = OFFSET + 180 * 300 * MS
    assert shown(two, later) == shown(one, later)
    # And what is kept of both is the same, attribute by attribute.
    a, b = Kept(one), Kept(two)
    a.write()
    b.write()
    for judge_kept in (a, b):
        del judge_kept.pieces["judge/_sequence"]
    assert a.pieces == b.pieces


@pytest.mark.parametrize("life", [LIVES[k] for k in ("disagreement", "accuracy", "out_of_range")])
@hypothesis(max_examples=3, phases=[Phase.generate])
@given(cuts=st.lists(st.integers(1, 120), min_size=1, max_size=6, unique=True))
def test_wherever_it_is_cut(life: Life, cuts: list[int]) -> None:
    declared = settings(life.criterion, slices=BY, max_slices=4, independent_calls=False)
    whole, other = made(declared), made(declared)
    go(whole, life, 0, 121, 3 * SECOND)
    began = 0
    for cut in sorted(cuts):
        go(other, life, began, cut, 3 * SECOND)
        kept = Kept(other)
        kept.write()
        other = again(declared, kept.pieces, OFFSET + cut * 3 * SECOND)
        began = cut
    go(other, life, began, 121, 3 * SECOND)
    end = OFFSET + 400 * SECOND
    assert shown(other, end) == shown(whole, end)


def test_a_pass_that_is_watched_stays_watched() -> None:
    declared = settings(REQUIRED, independent_calls=False, min_blocks=0, repeat_seconds=0.0)
    one = made(declared)
    for i in range(9000):
        at = OFFSET + i * SECOND - one.unix_offset_ns
        one.observe(pair(i, arrived_ns=at), at)
    now = OFFSET + 9000 * SECOND
    assert one.verdict(now - one.unix_offset_ns, Coverage(9, 9)).state is State.PASS
    kept = Kept(one)
    kept.write()
    two = again(declared, kept.pieces, now)
    for i in range(9000, 12_000):
        at = OFFSET + i * SECOND - two.unix_offset_ns
        two.observe(pair(i, differs=True, arrived_ns=at), at)
    verdict = two.verdict(OFFSET + 12_000 * SECOND - two.unix_offset_ns, Coverage(9, 9))
    assert verdict.state is State.FAIL
    assert "passed at" in verdict.reason
    assert "worse since" in verdict.reason


def test_how_many_calls_were_compared_as_bytes_is_kept() -> None:
    declared = settings(REQUIRED)
    one = made(declared)
    one.observe(pair(0, comparison=compared(True)._replace(reader="opaque")), 0)
    kept = Kept(one)
    kept.write()
    assert kept.pieces["judge/_as_bytes"] == {"d": [[METHOD, 1]]}
    two = again(declared, kept.pieces, OFFSET)
    two.observe(pair(1), 0)
    assert two.snapshot(0, Coverage(1, 1)).events["unread"] == 1


def test_only_what_a_call_changed_is_cut_again() -> None:
    declared = settings(SAME, slices=BY)
    one = made(declared)
    kept = Kept(one)
    for i in range(60):
        one.observe(pair(i, slices=(("user", f"u{i % 9}"),)), i)
    kept.write()
    assert kept.write() == {}
    one.observe(pair(99, slices=(("user", "u3"),)), 99)
    changed = set(kept.write())
    assert {p for p in changed if p.startswith("cell/")} == {"cell/same/", "cell/same/user=u3"}
    assert not {p for p in changed if p.startswith("level/")}


def test_a_clock_that_was_set_back_does_not_pile_calls_into_one_block() -> None:
    declared = settings(SAME, independent_calls=False)
    one = made(declared)
    for i in range(600):
        at = OFFSET + i * SECOND - one.unix_offset_ns
        one.observe(pair(i, arrived_ns=at), at)
    one.verdict(OFFSET + 600 * SECOND - one.unix_offset_ns, Coverage(9, 9))
    kept = Kept(one)
    kept.write()
    an_hour_before = OFFSET - 3600 * SECOND
    two = again(declared, kept.pieces, an_hour_before)
    now = an_hour_before - OFFSET - ANOTHER  # by its own clock
    for i in range(600):
        two.observe(pair(i, arrived_ns=now + i * SECOND), now + i * SECOND)
    snapshot = two.snapshot(now + 600 * SECOND, Coverage(9, 9))
    (blocks,) = next(iter(snapshot.blocks.values()))
    assert blocks.calls == 1200
    assert blocks.late == 0
    assert snapshot.elapsed_ns == 1200 * SECOND


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("judge/_calls", None),
        ("judge/_new", 1),
        ("judge/_slices", {"c": ["judge.slices:Slices", {"_clock": 1}]}),
        ("judge/_slices", {"c": ["judge.slices:Nobody", {}]}),
        ("judge/_slices", {"c": ["subprocess:Popen", {}]}),
        ("judge/_slices", {"x": 1}),
        ("blocks/same/0/", {}),
        ("blocks/other/0/", {}),
    ],
)
def test_what_another_version_wrote_is_an_error_and_no_guess(path: str, value: Any) -> None:
    declared = settings(SAME, independent_calls=False)
    kept = Kept(made(declared))
    kept.write()
    if value is None:
        del kept.pieces[path]
    else:
        kept.pieces[path] = value
    with pytest.raises((ValueError, KeyError, IndexError)):
        again(declared, kept.pieces, OFFSET)


def test_what_cannot_be_read_again_is_not_written() -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        Codec({}).plain(iter([]))
    with pytest.raises(TypeError, match="cannot be kept"):
        Codec({}).plain(np.array(["a", None], dtype=object))
