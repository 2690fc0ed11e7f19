"""Captured answers, judged again: what counts, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.call import Observation
from sidecar.capture.reader import open_captured
from sidecar.capture.settings import CaptureSettings
from sidecar.capture.writer import Capture
from sidecar.judge.report import State
from sidecar.log import Log
from sidecar.replay.book import offline
from sidecar.replay.judged import added_up, judge_file, of_some
from sidecar.report.report import Report
from sidecar.settings.settings import Settings
from tests.capture.rows import row
from tests.house import answer, request

SETTINGS = offline(
    Settings.model_validate(
        {
            "wire": {"routes": [{"listen": "127.0.0.1:1", "upstream": "127.0.0.1:2"}]},
            "shadows": [{"name": "candidate", "address": "127.0.0.1:9"}],
            "judge": {
                "min_calls": 30,
                "criteria": [
                    {"name": "same", "kind": "disagreement", "margin": 0.05, "required": True}
                ],
            },
        }
    ),
    timed=False,
)


def written(
    folder: Path,
    numbers: range,
    *,
    score: float = 1.0,
    inputs: int = 10**9,
    gap_ns: int = 10**9,
    what: str = "all",
) -> str:
    """One captured file, always of the same name: `inputs` different requests in turn."""
    settings = CaptureSettings.model_validate({"dir": str(folder), "payloads": True, "what": what})
    capture = Capture(settings, "life", Log("test"))
    for number in numbers:
        made = row(number)
        made = made._replace(
            started_ns=made.started_ns + number * (gap_ns - 10**9),
            request=(request(0, age=float(number % inputs)),),
            production=Observation(0, "", (answer(1.0),), 0, 3_000_000),
            answer=Observation(0, "", (answer(score, version="2"),), 0, 4_000_000),
        )
        assert capture.offer(made)
    capture.close()
    (file,) = folder.glob("*.parquet")
    return str(file.rename(folder / "calls.parquet"))


def judged(*files: str) -> Report:
    (report,) = added_up([(file, judge_file(SETTINGS, file, "")) for file in files], 1.0)
    return report


def test_files_of_one_name_in_two_folders_both_count(tmp_path: Path) -> None:
    good = written(tmp_path / "monday", range(600))
    bad = written(tmp_path / "tuesday", range(1000, 1200), score=9.0)
    report = judged(good, bad)
    assert (report.state, report.verdict.calls) == (State.FAIL, 800)
    assert len(report.sidecars) == 2


@pytest.mark.parametrize(("gap_ns", "counted"), [(1_000_000, 40), (10**9, 400)])
def test_requests_that_repeat_within_a_second_count_once_as_they_do_live(
    tmp_path: Path, gap_ns: int, counted: int
) -> None:
    report = judged(written(tmp_path / "a", range(400), inputs=40, gap_ns=gap_ns))
    assert report.verdict.calls == counted


@pytest.mark.parametrize("what", ["differing", "sample"])
def test_of_pairs_that_are_there_because_they_differ_nothing_follows_for_all(
    tmp_path: Path, what: str
) -> None:
    file = written(tmp_path / "some", range(200), score=9.0, what=what)
    whole = written(tmp_path / "all", range(200), score=9.0)
    report = judged(file)
    assert report.state is State.FAIL
    (report,) = of_some([report], open_captured([file]))
    assert report.state is State.INCONCLUSIVE
    assert f"capture.what: {what}" in report.verdict.reason
    (report,) = of_some([judged(whole)], open_captured([whole]))
    assert report.state is State.FAIL


def test_a_second_shadows_calls_are_no_repeats_of_the_firsts(tmp_path: Path) -> None:
    both = Settings.model_validate(
        SETTINGS.model_dump()
        | {"shadows": [{"name": n, "address": "127.0.0.1:9"} for n in ("candidate", "other")]}
    )
    capture = Capture(
        CaptureSettings(dir=str(tmp_path), payloads=True, what="all"), "life", Log("test")
    )
    for number in range(400):
        for shadow in ("candidate", "other"):
            made = row(number, shadow=shadow)
            made = made._replace(
                started_ns=made.started_ns - number * 999_000_000,
                request=(request(number),),
                production=Observation(0, "", (answer(1.0),), 0, 3_000_000),
                answer=Observation(0, "", (answer(1.0, version="2"),), 0, 4_000_000),
            )
            assert capture.offer(made)
    capture.close()
    (file,) = map(str, tmp_path.glob("*.parquet"))
    reports = added_up([(file, judge_file(both, file, ""))], 1.0)
    assert [report.verdict.calls for report in reports] == [400, 400]
