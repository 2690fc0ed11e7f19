from __future__ import annotations

from sidecar.call import CallKey, SkipReason, Started
from sidecar.experiment.skipped import APART_NS, EACH, TEXT, SkipLog, Step


def started(method: str = "/p.S/M", **metadata: str) -> Started:
    return Started(CallKey(1, 1), method, "", tuple(metadata.items()), "", 0)


def test_a_flood_of_one_reason_does_not_wash_another_away() -> None:
    log = SkipLog()
    log.add(started(), "candidate", SkipReason.TAP_GAP, Step.PAIRED, 1)
    for _ in range(100 * EACH):
        log.add(started(), "", SkipReason.NOT_SAMPLED, Step.ADMITTED, 2)
    assert len(log.latest(10**6)) == EACH + 1
    (gap,) = log.latest(9, [SkipReason.TAP_GAP])
    assert (gap.receiver, gap.number) == ("candidate", 1)


def test_what_callers_send_is_cut() -> None:
    log = SkipLog("metadata:user")
    log.add(
        started("/" + "m" * 9999, user="u" * 9999, traceparent="0" * 9999),
        "",
        SkipReason.METHOD,
        Step.ADMITTED,
        1,
    )
    (skip,) = log.latest(1)
    assert {len(skip.method), len(skip.correlation_id), len(skip.traceparent)} == {TEXT}
    assert skip.trace_id == ""


def test_the_correlation_id_is_the_one_that_labels_go_by() -> None:
    by_metadata, by_request = SkipLog("metadata:user"), SkipLog("request_id")
    for log in (by_metadata, by_request):
        log.add(started(user="ann"), "", SkipReason.EXPIRED, Step.SHADOWED, 1, "request-7")
    assert by_metadata.latest(1)[0].correlation_id == "ann"
    assert by_request.latest(1)[0].correlation_id == "request-7"


def test_of_many_calls_that_the_wire_left_out_some_are_kept_over_a_longer_time() -> None:
    log = SkipLog()
    calls, apart = 20 * EACH, APART_NS // 10
    for number in range(calls):
        call = started()._replace(started_ns=number * apart)
        log.add_some(call, "", SkipReason.SHED)
    kept = log.latest(10**6)
    assert len(kept) == EACH
    assert kept[0].time_ns - kept[-1].time_ns >= (EACH - 20) * APART_NS
    assert kept[0].time_ns >= (calls - 20) * apart
