from __future__ import annotations

from sidecar.judge.report import State
from sidecar.report.live import parts_of, report_of
from sidecar.serve.convert import counts_message, part_of_message
from tests.house import House, told


def test_the_report_shows_each_row_and_is_about_the_first() -> None:
    house = House({})
    for version, score in (("7", 2.0), ("8", 1.0)):
        for _ in range(300):
            house.call(told(score, version=version))
        house.state()
    report = report_of(house.experiment.state(), house.judged)
    assert report.state is State.PASS
    assert [(v.production, v.shadow, v.state, v.calls, v.current) for v in report.versions] == [
        ("m:1", "m:8", "PASS", 300, True),
        ("m:1", "m:7", "FAIL", 300, False),
    ]
    assert report.versions[1].reason.startswith("same: ")
    assert len(report.sidecars) == 1
    assert report.verdict.left_out == 0
    assert "verdict and gate are about production m:1 and shadow m:8" in report.notices[0]
    # The same by way of the message that collectors pull.
    for part in parts_of(house.experiment.state(), house.judged):
        again = part_of_message(counts_message(part), "")
        assert (again.is_current, again.away) == (part.is_current, part.away)
        assert again.snapshot.came_up_unix_ns == part.snapshot.came_up_unix_ns
