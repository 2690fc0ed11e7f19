from __future__ import annotations

from typing import Any

from sidecar.report.as_json import to_json
from sidecar.report.live import report_of
from sidecar.serve.diagnosis import LEAST_FREE_BYTES, Check, Facts, Finding, diagnose
from sidecar.serve.status import status
from tests.house import House, told

GOOD, WRONG, LOOK = Finding.GOOD, Finding.WRONG, Finding.LOOK


def facts(house: House, **changes: Any) -> Facts:
    """As `doctor` gathers them, over an experiment that runs well, with changes of the status."""
    seen = status(house.experiment.state())
    seen["routes"] = [{"listen": "127.0.0.1:9000", "upstream": "127.0.0.1:9001"}]
    reports = {"candidate": to_json(report_of(house.experiment.state(), house.judged))}
    reached = {"127.0.0.1:9000": "", "127.0.0.1:9001": "", "127.0.0.1:1": ""}
    return Facts({**seen, **changes}, reports, reached, 0.1, {"/tmp": 1 << 40}, 1 << 20)


def running() -> House:
    house = House({})
    house.experiment.connections.attached({"pid": 1})
    for _ in range(5):
        house.call(told(1.0))
    return house


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.what: check for check in checks}


def test_what_runs_well_has_nothing_wrong() -> None:
    found = diagnose(facts(running()))
    assert not [check for check in found if check.finding is WRONG]
    named = by_name(found)
    assert named["shadow candidate at 127.0.0.1:1"].finding is GOOD
    assert named["/inference.GRPCInferenceService/ModelInfer"].seen == "read by open_inference"
    order = [check.what for check in found]
    assert order[:3] == ["tap", "listener 127.0.0.1:9000", "upstream 127.0.0.1:9001"]
    assert order[-2:] == ["disk /tmp", "limits"]


def test_without_traffic_it_says_so_and_claims_nothing() -> None:
    named = by_name(diagnose(facts(House({}))))
    assert named["tap"].finding is WRONG
    assert named["traffic"].finding is named["trace context"].finding is LOOK
    assert "no gRPC call" in named["traffic"].seen


def test_each_thing_that_is_wrong_is_named_with_its_next_step() -> None:
    house = running()
    seen = status(house.experiment.state())
    failing = {
        "since": 1.0,
        "seconds": 63.0,
        "calls": 120,
        "cause": "UNIMPLEMENTED: no such method",
    }
    seen["shadows"]["candidate"]["failing"] = failing
    given = facts(
        house,
        shadows=seen["shadows"],
        opaque={"TLS": 3},
        spans={"exported": 0, "failed": 9, "dropped": 0, "held": 0},
        configuration={"needs_restart": ("match.methods",), "refused": ("sample: wrong",)},
        limits={"connections": 10_000, "open_files": 1024},
    )
    given = Facts(
        given.status,
        given.reports,
        {"127.0.0.1:9000": "", "127.0.0.1:9001": "Connection refused"},
        -7.0,
        {"/full": LEAST_FREE_BYTES - 1},
        1024,
    )
    found = diagnose(given)
    named = by_name(found)
    shadow = named["shadow candidate at 127.0.0.1:1"]
    assert shadow.seen == "UNIMPLEMENTED: no such method: 120 calls in 63 s"
    assert "other methods than production" in shadow.next_step
    assert named["upstream 127.0.0.1:9001"].seen == "Connection refused"
    assert "TLS" in named["connections"].seen
    wrong = {check.what for check in found if check.finding is WRONG}
    assert {"exporter", "configuration", "disk /full", "connections"} <= wrong
    assert named["clock"].finding is named["limits"].finding is LOOK
    assert all(check.next_step for check in found if check.finding is WRONG)
