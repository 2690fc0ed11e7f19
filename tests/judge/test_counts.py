from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import CallKey
from sidecar.judge.counts import (
    Coverage,
    Snapshot,
    SnapshotKey,
    alike,
    counts_of,
    merge,
    total,
)
from sidecar.judge.judge import Judge
from sidecar.judge.settings import SliceSettings
from tests.judge.pairs import MS, compared, pair, required, settings

DECLARED = settings(
    required("disagreement", 0.01), required("bias", 0.1), slices=(SliceSettings(source="method"),)
)


def history(instance: str, calls: list[tuple[bool, str]]) -> list[Snapshot]:
    """Every snapshot that a pod gave while it watched these calls: (differs, version)."""
    judges: dict[str, Judge] = {}
    numbers = count()
    snapshots = []
    for i, (differs, version) in enumerate(calls):
        if version not in judges:
            judges[version] = Judge(DECLARED, instance, i * MS, numbers=numbers)
        judge = judges[version]
        judge.observe(pair(i, comparison=compared(differs, models=("m:1", version))), i * MS)
        snapshots.append(judge.snapshot(i * MS, Coverage(i + 1, i + 2)))
    return snapshots


calls = st.lists(st.tuples(st.booleans(), st.sampled_from(["m:2", "m:3"])), max_size=6)
histories = st.tuples(calls, calls, calls).map(
    lambda cs: [s for name, c in zip("abc", cs, strict=True) for s in history(name, c)]
)


@st.composite
def pulled(draw: st.DrawFn) -> list[dict[SnapshotKey, Snapshot]]:
    """What three reports pulled, at any moments, from the same pods."""
    snapshots = draw(histories)
    some = st.lists(st.sampled_from(snapshots), max_size=8) if snapshots else st.just([])
    return [counts_of(draw(some)) for _ in range(3)]


@given(pulled())
def test_merging_is_commutative_associative_and_idempotent(
    parts: list[dict[SnapshotKey, Snapshot]],
) -> None:
    a, b, c = parts
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == merge(c, b, a)
    assert merge(a, a) == a
    assert merge(a, merge(a, b)) == merge(a, b)
    assert total(merge(a, b, c)) == total(merge(c, a, b))


@given(pulled())
def test_a_total_adds_the_newest_of_each_pod(parts: list[dict[SnapshotKey, Snapshot]]) -> None:
    merged = merge(*parts)
    summed = total(merged)
    assert summed.judges + summed.left_out <= len(merged)
    assert summed.left_out < len({key.instance for key in merged}) or not merged
    lead = max(merged.values(), key=lambda s: s.began_unix_ns, default=None)
    assert (lead is None) == (summed.judges == 0)
    for cell in summed.cells.values():
        assert all(count >= 0 for count in cell.values())


def test_a_pod_that_saw_several_versions_counts_with_those_that_came_up_last() -> None:
    seen = history("a", [(False, "m:2"), (False, "m:3"), (True, "m:2"), (False, "m:2")])
    summed = total(counts_of(seen))
    assert (summed.judges, summed.left_out, summed.calls) == (1, 0, 1)
    assert summed.models["shadow m"] == "3"
    back = [replace(s, since_unix_ns=9 * MS) if s.models["shadow m"] == "2" else s for s in seen]
    summed = total(counts_of(back))
    assert (summed.judges, summed.left_out, summed.calls) == (1, 0, 3)


def test_a_pod_that_never_saw_these_versions_is_left_out() -> None:
    both = history("a", [(False, "m:2"), (False, "m:3")])
    summed = total(counts_of([*both, *history("b", [(False, "m:2")])]))
    assert (summed.judges, summed.left_out, summed.calls) == (1, 1, 1)


def test_epochs_of_one_judge_about_the_same_versions_both_count() -> None:
    first = history("a", [(False, "m:2")] * 3)[-1]
    second = replace(first, key=SnapshotKey("a", 7), began_unix_ns=first.began_unix_ns + 9)
    summed = total(counts_of([first, second]))
    assert (summed.judges, summed.left_out, summed.calls) == (2, 0, 6)


def test_what_an_instance_keeps_apart_is_not_added() -> None:
    known = history("a", [(False, "m:2")] * 3)[-1]
    unknown = replace(known, key=SnapshotKey("a", 7), models={"production m": "1"})
    summed = total(counts_of([known, unknown]))
    assert (summed.judges, summed.left_out, summed.calls) == (1, 0, 3)
    other = replace(unknown, key=SnapshotKey("b", 0))  # another may know less
    assert total(counts_of([known, other])).calls == 6


def test_those_that_are_there_lead_though_others_began_later() -> None:
    old = history("here", [(False, "m:2")])[0]
    new = replace(history("gone", [(False, "m:3")])[0], began_unix_ns=old.began_unix_ns + 1)
    counts = counts_of([old, new])
    assert [s.key.instance for s in alike(counts)] == ["gone"]
    assert [s.key.instance for s in alike(counts, {old.key})] == ["here"]


def test_counters_only_grow_within_an_epoch() -> None:
    older, newer = history("a", [(True, "m:2"), (False, "m:2"), (True, "m:2")])[::2]
    assert newer.sequence > older.sequence
    for key, cell in older.cells.items():
        assert all(newer.cells[key][name] >= count for name, count in cell.items())


def test_a_snapshot_does_not_change_when_its_judge_goes_on() -> None:
    judge = Judge(DECLARED, "a", 0)
    judge.observe(pair(0), 0)
    snapshot = judge.snapshot(0, Coverage(1, 1))
    before = {key: dict(cell) for key, cell in snapshot.cells.items()}
    judge.observe(pair(1, differs=True), MS)
    assert snapshot.cells == before


def test_only_like_is_added_to_like_and_the_newest_leads() -> None:
    def one(name: str, began: int, *, rules: str = "r", shadow: str = "2") -> Snapshot:
        return Snapshot(
            key=SnapshotKey(name, 0),
            sequence=1,
            rules=rules,
            models={"shadow m": shadow},
            began_unix_ns=began,
            elapsed_ns=began,
            calls=10,
            coverage=Coverage(9, 10),
            cells={},
        )

    parts = [one("a", 3), one("b", 2), one("c", 1, rules="old"), one("d", 1, shadow="1")]
    summed = total(counts_of(parts))
    assert (summed.judges, summed.left_out, summed.calls) == (2, 2, 20)
    assert summed.coverage == Coverage(18, 20)
    assert summed.elapsed_ns == 3
    assert summed.models == {"shadow m": "2"}


@pytest.mark.parametrize(
    ("coverage", "share"), [((0, 0), None), ((1, 2), 0.5), ((5, 4), 1.0), ((0, 3), 0.0)]
)
def test_coverage_is_a_share_or_nothing(coverage: tuple[int, int], share: float | None) -> None:
    assert Coverage(*coverage).share == share


def test_a_calls_key_stands_in_where_nothing_else_names_it() -> None:
    judge = Judge(DECLARED, "a", 0)
    judge.observe(pair(0, correlation_id="", key=CallKey(3, 5)), 0)
    assert [e.note.identity for e in judge.sample("disagreement")] == ["3/5@0"]
