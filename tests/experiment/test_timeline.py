from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.experiment.timeline import MOST, Bucket, Timeline

SECOND = 1_000_000_000
times = st.lists(st.tuples(st.integers(0, 10**6), st.booleans(), st.booleans()), max_size=300)


def filled(calls: list[tuple[int, bool, bool]]) -> Timeline:
    timeline = Timeline()
    for second, differs, failed in calls:
        timeline.add(second * SECOND, differs=differs, failed=failed)
    return timeline


def whole(timeline: Timeline) -> Bucket:
    total = Bucket()
    for bucket in timeline.buckets.values():
        total = total.plus(bucket)
    return total


def test_calls_of_one_second_share_a_bucket() -> None:
    timeline = filled([(7, False, False), (7, True, False), (9, True, True)])
    assert timeline.rows() == [
        {"unix_seconds": 7, "compared": 2, "differing": 1, "failed": 0},
        {"unix_seconds": 9, "compared": 1, "differing": 1, "failed": 1},
    ]


@given(times)
def test_however_long_a_life_no_call_is_lost_and_the_buckets_are_few(
    calls: list[tuple[int, bool, bool]],
) -> None:
    timeline = filled(calls)
    assert len(timeline.buckets) <= MOST
    assert whole(timeline) == (
        len(calls),
        sum(differs for _, differs, _ in calls),
        sum(failed for *_, failed in calls),
    )
    assert all(at % timeline.width_seconds == 0 for at in timeline.buckets)


@given(st.lists(times, max_size=4))
def test_timelines_of_pods_add_in_any_order_and_stay_as_they_were(
    pods: list[list[tuple[int, bool, bool]]],
) -> None:
    parts = [filled(calls) for calls in pods]
    before = [part.rows() for part in parts]
    forth, back = Timeline.merged(parts), Timeline.merged(parts[::-1])
    assert forth.rows() == back.rows()
    assert len(forth.buckets) <= MOST
    assert whole(forth) == whole(filled([call for calls in pods for call in calls]))
    assert [part.rows() for part in parts] == before
