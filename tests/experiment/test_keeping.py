"""What an observer counted is there for the next one, and its decisions stand."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.call import SkipReason
from sidecar.compare.readers.opaque import OPAQUE
from sidecar.compare.result import Comparison, Outcome
from sidecar.experiment.keeping import Keeping
from sidecar.judge.counts import Coverage
from sidecar.judge.labels import Label
from sidecar.judge.pieces import _OF_CONFIGURATION
from sidecar.judge.report import State
from sidecar.log import Log
from sidecar.report.live import report_of
from sidecar.serve.metrics import Metrics
from sidecar.settings.settings import Settings
from sidecar.store.keeper import Keeper
from sidecar.store.reading import listed, reset
from tests import disk
from tests.experiment.test_blind import greeting
from tests.house import FAILED, MS, House, told
from tests.judge.pairs import pair

SECOND = 1_000 * MS


class Life:
    """One observer's life over a directory."""

    def __init__(self, folder: Path, judge: dict[str, Any] | None = None, **given: Any) -> None:
        self.told = io.StringIO()
        places = given.pop("places", 1)
        self.keeper = Keeper(folder, Log("test", self.told), patience=0.0, places=places)
        wire = given.pop("wire", True)
        self.house = House(judge or {}, keeping=Keeping(self.keeper, "host"), **given)
        if wire:
            self.attach(greeting())

    def attach(self, hello: dict[str, Any]) -> None:
        """A wire attaches; what is kept in that moment is written."""
        self.house.experiment.connections.attached(hello)
        self._wait()

    def serve(self, calls: int, score: float = 1.0, version: str = "7") -> None:
        for _ in range(calls):
            self.house.call(told(score, version=version))

    def second(self) -> State:
        """A second passes; what is there is written."""
        self.house.now_ns += SECOND
        self.house.judging.sweep()
        self._wait()
        return self.house.judged.verdict.state

    def _wait(self) -> None:
        assert self.keeper.wait(30)

    def kill(self) -> None:
        """As SIGKILL: nothing is written any more, and the file is free."""
        self.keeper._place.leave()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_killed_observer_goes_on_where_it_was(folder: Path) -> None:
    one = Life(folder)
    one.serve(60)
    one.second()
    one.second()
    one.kill()
    two = Life(folder)
    verdict = two.house.judged.evaluate(two.house.now_ns)
    assert (verdict.calls, verdict.coverage, verdict.state) == (60, 1.0, State.WATCHING)
    assert two.house.judging.instance == one.house.judging.instance
    two.serve(240)
    assert two.second() is State.PASS
    report = report_of(two.house.experiment.state(), two.house.judged)
    assert (report.verdict.calls, report.outcomes, report.attempt) == (300, {"equal": 300}, 1)
    assert report.latency.shadow.count == 300
    assert any(n.startswith("the observer was away once, ") for n in report.notices)


def test_a_decision_is_kept_though_the_observer_is_killed_in_that_moment(folder: Path) -> None:
    one = Life(folder)
    one.serve(60)
    one.second()
    one.serve(240, 2.0)
    assert one.house.state() is State.FAIL  # somebody asked; no second has passed
    one.kill()
    two = Life(folder)
    assert two.house.state() is State.FAIL
    two.serve(3000)
    assert two.second() is State.FAIL
    (row,) = [found.row for found in listed(folder)]
    assert (row.state, row.attempt) == ("FAIL", 1)
    assert row.decided_unix_ns > 0


def test_a_pass_waits_until_what_it_rests_on_is_written(folder: Path) -> None:
    one = Life(folder, wire=False)
    one.serve(300)
    verdict = one.house.judged.evaluate(one.house.now_ns)
    assert verdict.state is State.WATCHING
    assert verdict.reason.startswith("the evidence is being written down: every required ")
    one.second()
    assert one.second() is State.PASS
    one.serve(5)
    one.kill()
    assert Life(folder).house.state() is State.PASS


def test_a_decision_finds_its_row_though_its_version_was_learned_a_moment_before(
    folder: Path,
) -> None:
    one = Life(folder)
    one.house.call(told(1.0, version=""), production=told(1.0, version=""))
    one.second()
    one.serve(300)
    one.house.judging.sweep()
    assert one.house.state() is State.PASS
    one.kill()
    two = Life(folder)
    assert two.house.state() is State.PASS
    assert [r.known.versions for r in two.house.judged.rows] == [("m:1", "m:7")]


def test_what_is_not_kept_yet_is_a_second_of_calls_and_no_more(folder: Path) -> None:
    one = Life(folder)
    one.serve(60)
    one.second()
    one.second()
    one.serve(7)
    one.kill()
    assert Life(folder).house.judged.evaluate(2 * SECOND).calls == 60


def test_a_fail_of_7_stays_7s_and_8_begins_with_a_clean_slate(folder: Path) -> None:
    one = Life(folder)
    one.serve(300, 2.0, "7")
    one.second()
    one.kill()
    two = Life(folder)
    two.serve(10, 1.0, "8")
    two.second()
    assert [r.verdict.state for r in two.house.judged.rows] == [State.WATCHING, State.FAIL]
    two.kill()
    three = Life(folder)
    assert [r.known.versions.shadow for r in three.house.judged.rows] == ["m:8", "m:7"]
    assert [r.judge.calls for r in three.house.judged.rows] == [10, 300]


def test_other_criteria_are_another_experiment_and_another_attempt(folder: Path) -> None:
    one = Life(folder)
    one.serve(300, 2.0)
    one.second()
    one.kill()
    looser = {"criteria": [{"name": "same", "kind": "disagreement", "margin": 0.1}]}
    two = Life(folder, looser)
    two.serve(10)
    two.second()
    report = report_of(two.house.experiment.state(), two.house.judged)
    assert (report.attempt, report.verdict.calls) == (2, 10)
    assert any("attempt 2 on this candidate" in notice for notice in report.notices)
    two.kill()
    # Back to the old ones: the FAIL is there.
    three = Life(folder)
    assert (three.house.state(), three.house.judged.judge.attempt) == (State.FAIL, 1)


def test_each_rules_under_which_a_call_was_counted_are_an_attempt_decided_or_not(
    folder: Path,
) -> None:
    margins = (0.1, 0.2, 0.3, 0.2, 0.4)
    attempts = []
    for margin in margins:
        row = {"name": "same", "kind": "disagreement", "margin": margin, "required": True}
        life = Life(folder, {"criteria": [row]})
        if margin != 0.3:  # nothing was asked under these
            life.serve(5)
            attempts.append(life.house.judged.judge.attempt)
        life.second()
        life.kill()
    assert attempts == [1, 2, 2, 3]


def deadline(life: Life, seconds: float) -> None:
    plain = life.house.settings.model_dump()
    plain["shadows"][0]["deadline_seconds"] = seconds
    life.house.experiment.change(Settings.model_validate(plain))
    life.second()


def test_what_was_begun_before_a_decision_has_not_the_whole_alpha_after_it(folder: Path) -> None:
    life = Life(folder)
    for number in range(6):
        deadline(life, 1 + number / 1000)
        life.serve(1)
    deadline(life, 1.0)
    life.serve(400, 9.0)
    assert life.second() is State.FAIL
    attempts = []
    for number in range(6):
        deadline(life, 1 + number / 1000)
        attempts.append(life.house.judged.judge.attempt)
    life.kill()
    assert attempts == [1, 2, 3, 4, 5, 6]
    later = Life(folder, deadline_seconds=1.003)
    assert later.house.judged.judge.attempt == 4
    later.serve(1)
    assert later.house.judged.judge.attempt == 4
    later.kill()


def test_a_candidate_that_is_given_up_whenever_it_looks_bad_may_err_ever_less(
    folder: Path,
) -> None:
    life = Life(folder)
    for number in range(5):
        deadline(life, 1 + number / 1000)
        life.serve(10)
        assert life.second() is State.WATCHING
        assert life.house.judged.judge.attempt == number + 1
    life.kill()


def test_another_name_for_the_same_version_is_another_attempt(folder: Path) -> None:
    one = Life(folder)
    one.serve(10)
    one.second()
    one.kill()
    names = frozenset({"candidate", "renamed"})
    beside = Keeper(folder, Log("test", io.StringIO()), patience=0.0, beside=names)
    key = one.house.judged.row.key._replace(name="renamed")
    assert beside.attempt(key) == 1, "it is judged beside the other"
    beside.close()
    alone = Keeper(folder, Log("test", io.StringIO()), patience=0.0, beside={"renamed"})
    assert alone.attempt(key) == 2
    alone.close()


@pytest.mark.parametrize(("score", "state"), [(1.0, State.PASS), (9.0, State.FAIL)])
def test_another_server_that_tells_no_version_has_nothing_of_the_one_before(
    folder: Path, score: float, state: State
) -> None:
    for address, before in (("10.0.0.1:9000", 0), ("10.0.0.1:9000", 400), ("10.0.0.2:9000", 0)):
        life = Life(folder, address=address)
        verdict = life.house.judged.evaluate(life.house.now_ns)
        assert (verdict.calls, verdict.state is state) == (before, bool(before))
        if not before:
            assert life.second() is State.WATCHING
        if address.startswith("10.0.0.1") and not before:
            life.serve(400, score, version="")
            life.second()
            assert life.second() is state
        life.kill()
    assert "tells no version, and was at 10.0.0.1:9000, now at 10.0.0.2:9000" in (
        life.told.getvalue()
    )
    last = Life(folder, address="10.0.0.2:9000")
    last.serve(20, score, version="")
    last.second()
    assert (last.house.judged.judge.calls, last.house.judged.judge.attempt) == (20, 2)
    last.kill()


def test_a_version_that_is_told_goes_on_at_any_address(folder: Path) -> None:
    for calls, address in ((30, "10.0.0.1:9000"), (60, "10.0.0.2:9000")):
        life = Life(folder, address=address)
        life.serve(30)
        life.second()
        assert life.house.judged.judge.calls == calls
        life.kill()


@pytest.mark.parametrize("passed_before", [False, True])
def test_while_the_disk_takes_nothing_nothing_passes_and_a_fail_is_told(
    folder: Path, passed_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(folder)
    life.serve(400 if passed_before else 20)
    life.second()
    assert life.house.state() is (State.PASS if passed_before else State.WATCHING)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sidecar.store.evidence.Evidence.write", full)
        life.serve(400)
        life.second()
        life.second()
        assert life.house.state() is State.INCONCLUSIVE
        assert "not kept on disk: " in life.house.judged.verdict.reason
        report = report_of(life.house.experiment.state(), life.house.judged)
        assert report.state is State.INCONCLUSIVE
        if not passed_before:
            life.serve(2_000, 9.0)
            assert life.house.state() is State.FAIL
    life.second()
    assert life.house.state() is (State.PASS if passed_before else State.FAIL)
    life.kill()


@pytest.mark.parametrize("calls", [20, 0])
def test_a_fail_stands_though_the_disk_takes_not_a_byte(folder: Path, calls: int) -> None:
    life = Life(folder)
    life.serve(calls)
    life.second()
    if not calls:
        life.serve(1, 9.0)  # the first call is told of before the disk is full
    with disk.full():
        life.serve(400, 9.0)
        life.second()
        assert life.house.state() is State.FAIL
    life.kill()
    for _ in range(2):
        again = Life(folder)
        again.serve(400)
        again.second()
        assert again.house.state() is State.FAIL
        assert again.house.judged.judge.attempt == 1
        assert list(folder.glob("decisions.failed-*")) == []
        again.kill()


def test_a_fail_is_written_though_the_disk_is_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has room for nothing but what is in the place of what was held for it."""
    life = Life(folder)
    life.serve(20)
    life.second()
    spare = folder / "decisions.spare"
    assert spare.stat().st_blocks * 512 >= 64 << 10
    really = os.write

    def write(file: int, data: bytes) -> int:
        if spare.exists():
            raise OSError(28, "No space left on device")
        return really(file, data)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sidecar.store.decisions.os.write", write)
        patched.setattr("sidecar.store.evidence.Evidence.write", full)
        life.serve(400, 9.0)
        assert life.second() is State.FAIL
        life.kill()  # before the disk has room
    again = Life(folder)
    assert again.house.state() is State.FAIL
    again.serve(400)
    assert again.second() is State.FAIL
    assert spare.exists(), "there is room again"
    again.kill()


def test_a_reset_begins_anew_while_the_observer_runs_and_is_an_attempt(folder: Path) -> None:
    life = Life(folder)
    life.serve(300, 2.0)
    assert life.second() is State.FAIL
    reset(folder, lambda row: row.key.name == "candidate")
    life.second()  # its transaction is refused
    life.second()  # and it begins anew
    verdict = life.house.judged.evaluate(life.house.now_ns)
    assert (verdict.state, verdict.calls, life.house.judged.judge.attempt) == (State.WATCHING, 0, 2)
    life.serve(600)
    life.second()
    assert life.second() is State.PASS
    life.kill()
    again = Life(folder)
    assert (again.house.state(), again.house.judged.judge.attempt) == (State.PASS, 2)


def test_after_a_restart_nobody_is_told_pass_before_the_first_look(folder: Path) -> None:
    """Metrics tell of the last look; what forbids a PASS now is known at the next."""
    one = Life(folder)
    one.serve(400)
    one.second()
    assert one.second() is State.PASS
    one.kill()
    two = Life(folder)
    metrics = Metrics(two.house.experiment.state).expose("")[0].decode()
    assert 'verdict{shadow="candidate",state="PASS"} 0.0' in metrics
    two.serve(1)
    assert two.second() is State.PASS
    metrics = Metrics(two.house.experiment.state).expose("")[0].decode()
    assert 'verdict{shadow="candidate",state="PASS"} 1.0' in metrics
    two.kill()


def test_labels_wait_through_a_kill(folder: Path) -> None:
    accuracy = {"name": "right", "kind": "accuracy", "margin": 0.05, "decision": {"threshold": 0.5}}
    one = Life(folder, {"criteria": [accuracy]})
    for _ in range(3):
        one.house.call(told(0.9), production=told(0.1))
    one.house.judging.label(Label("request-2", 0))
    one.house.judging.label(Label("not-here-yet", 0))
    one.second()
    one.kill()
    two = Life(folder, {"criteria": [accuracy]})
    judge = two.house.judged.judge
    assert judge.wanted(9) == ["request-1", "request-3"]
    for name in ("request-1", "request-2"):
        two.house.judging.label(Label(name, 0))
    assert judge.label_fates == {"joined": 2, "early": 1, "duplicate": 1}


@pytest.mark.parametrize("left", [b"no database" * 999, b"", None])
def test_a_pass_whose_evidence_was_lost_is_no_pass_and_a_fail_stands(
    folder: Path, left: bytes | None
) -> None:
    """Damaged, emptied (a copy that failed, a power cut), or taken away."""
    for score, before, after in ((1.0, State.PASS, State.WATCHING), (2.0, State.FAIL, State.FAIL)):
        place = folder / str(score)
        folder.mkdir(mode=0o700, exist_ok=True)
        one = Life(place)
        one.serve(300, score)
        one.second()
        assert one.second() is before
        one.keeper.close()
        for file in place.glob("evidence-0.db*"):
            if file.suffix != ".made":
                file.unlink()
        if left is not None:
            (place / "evidence-0.db").write_bytes(left)
        two = Life(place)
        assert "damaged_state_set_aside" in two.told.getvalue()
        two.serve(1)
        assert two.second() is after
        report = report_of(two.house.experiment.state(), two.house.judged)
        assert report.attempt == (2 if before is State.PASS else 1)
        assert any("kept evidence was damaged" in notice for notice in report.notices)
        two.keeper.close()
        three = Life(place)
        assert "damaged" not in three.told.getvalue()
        three.kill()


def test_calls_that_may_be_anothers_are_still_lost_in_the_next_life(folder: Path) -> None:
    one = Life(folder)
    one.serve(30)
    one.serve(30, version="8")
    for _ in range(5):
        one.house.call(FAILED)
    one.second()
    one.kill()
    two = Life(folder)
    assert [row.coverage[:2] for row in two.house.judged.rows] == [(30, 35), (30, 35)]
    two.kill()


def test_what_came_after_a_kill_counts_by_what_the_killed_one_sampled(folder: Path) -> None:
    one = Life(folder, wire=False)
    one.house.judging.attached(greeting(), 0.5)
    one.serve(30)
    one.second()
    one.kill()
    two = Life(folder, wire=False)
    two.house.judging.attached(greeting(session=2, _1=130), 0.0001)
    blind = two.house.judged.coverage.blind
    two.kill()
    assert blind == 65  # House does not tell the books of the 30 that it saw


def test_a_fail_that_a_version_took_over_is_its_own_in_the_next_life(folder: Path) -> None:
    one = Life(folder)
    for _ in range(300):
        one.house.call(FAILED, production=told(1.0, version="1"))
    assert one.second() is State.FAIL
    one.serve(300)
    one.second()
    one.kill()
    two = Life(folder)
    two.serve(300)
    assert two.second() is State.FAIL
    assert two.house.judged.row.known.versions.shadow == "m:7"
    two.kill()


def test_evidence_that_this_version_cannot_read_is_told_and_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Life(folder)
    one.serve(30)
    one.second()
    one.kill()
    fewer = _OF_CONFIGURATION - {"_rules"}
    monkeypatch.setattr("sidecar.judge.pieces._OF_CONFIGURATION", fewer)
    two = Life(folder)
    assert two.house.judged.evaluate(SECOND).calls == 0
    assert "not written by this version" in two.keeper.state.damaged
    assert "evidence_damaged" in two.told.getvalue()
    two.serve(5)
    two.second()
    two.kill()
    assert Life(folder).house.judged.evaluate(SECOND).calls == 5


def test_a_decision_that_the_disk_does_not_take_stands_and_is_written_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(folder)
    life.serve(10)
    life.second()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sidecar.store.decisions.Decisions.append", full)
        life.serve(300, 2.0)
        assert life.second() is State.FAIL
        assert "No space left" in life.keeper.state.error
    life.second()
    assert life.keeper.state.error == ""
    life.kill()
    (folder / "evidence-0.db").unlink()
    assert Life(folder).house.judged.evaluate(SECOND).state in {State.FAIL, State.WATCHING}
    assert [d.state for d in life.keeper._writer.decisions.read()] == ["BEGUN", "FAIL"]


def test_two_observers_share_a_directory_and_each_finds_its_own(folder: Path) -> None:
    one, two = Life(folder, places=2), Life(folder, places=2)
    assert one.house.judging.instance != two.house.judging.instance
    for life, calls in ((one, 20), (two, 30)):
        life.serve(calls)
        life.second()
    one.kill()
    again = Life(folder, places=2)
    assert again.house.judged.evaluate(SECOND).calls == 20
    two.serve(300, 2.0)
    assert two.second() is State.FAIL
    again.kill()
    # What one of them has found out, the other need not find out again.
    assert Life(folder, places=2).house.state() is State.FAIL


def test_an_error_before_the_first_version_goes_to_whom_the_last_life_knew(folder: Path) -> None:
    one = Life(folder)
    one.serve(5)
    one.second()
    one.kill()
    two = Life(folder)
    two.house.call(FAILED)
    assert [(r.known.versions.shadow, r.judge.calls) for r in two.house.judged.rows] == [("m:7", 6)]


def test_a_file_that_breaks_while_the_observer_runs_costs_nothing_that_it_holds(
    folder: Path,
) -> None:
    life = Life(folder)
    life.serve(200)
    life.second()
    sql = life.keeper._writer.evidence._database.sql
    sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sql.execute("PRAGMA cache_size=0")
    path = folder / "evidence-0.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    life.serve(5)
    for _ in range(3):
        life.second()
    assert "damaged-" in life.keeper.state.damaged
    life.kill()
    assert Life(folder).house.judged.evaluate(SECOND).calls == 205


def refuse(life: Life, calls: int) -> None:
    """So many calls were seen, and not compared for want of time."""
    for _ in range(calls):
        life.house.judging.blind.seen()
        life.house.ledger.refuse(SkipReason.SHED)


def test_calls_that_were_skipped_are_in_the_row_whenever_they_are_in_the_books(
    folder: Path,
) -> None:
    one = Life(folder, wire=False)
    one.attach(greeting())
    one.serve(20)
    for _ in range(20):
        one.house.judging.blind.seen()
    one.second()
    refuse(one, 180)  # after the evaluation: only the ledger knows
    one.second()
    one.kill()
    two = Life(folder, wire=False)
    two.attach(greeting(session=2, _1=200))
    assert two.house.judged.coverage == Coverage(20, 200)


def test_however_long_evaluating_takes_what_was_counted_is_kept_each_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 10**15, 10 * SECOND))  # each look at the clock is ten seconds later
    monkeypatch.setattr("sidecar.experiment.sweeping.thread_time_ns", lambda: next(ticks))
    one = Life(folder, wire=False)
    one.second()
    one.serve(60)
    one.second()
    one.kill()
    assert Life(folder, wire=False).house.judged.evaluate(2 * SECOND).calls == 60


@pytest.mark.parametrize("calls", [0, 20])
def test_a_row_that_has_no_books_has_missed_whatever_came(folder: Path, calls: int) -> None:
    one = Life(folder, wire=False)
    one.serve(calls)
    one.second()  # no wire has attached yet
    one.kill()
    two = Life(folder, wire=False)
    two.serve(300)
    assert two.second() is State.WATCHING
    two.attach(greeting(session=2, _1=5000, unattended=7))
    assert two.second() is State.INCONCLUSIVE
    assert two.house.judged.coverage.blind == 5007


def test_another_wire_s_earlier_sessions_are_missed_too(folder: Path) -> None:
    one = Life(folder, wire=False)
    one.attach(greeting(life="a"))
    one.serve(20)
    one.second()
    one.kill()
    two = Life(folder, wire=False)
    two.attach(greeting(life="b", session=2, _1=500))
    assert two.house.judged.coverage.blind == 500


@pytest.mark.parametrize("killed", [True, False])
def test_what_the_wire_was_killed_with_is_taken_for_missed(folder: Path, killed: bool) -> None:
    one = Life(folder, wire=False)
    one.attach(greeting(life="a"))
    for calls in (5, 20, 10):
        one.serve(calls)
        for _ in range(calls):
            one.house.judging.blind.seen()
        one.second()
    if killed:
        one.kill()
    else:
        one.house.judging.close()
    two = Life(folder, wire=False)
    two.attach(greeting(life="b"))
    assert two.house.judged.coverage.blind == (2 * 20 if killed else 0)
    assert two.house.judged.evaluate(SECOND).calls == 35
    two.kill()
    three = Life(folder, wire=False)  # at once, by the same wire: nothing is counted again
    three.attach(greeting(life="b", session=2))
    assert three.house.judged.coverage.blind == (2 * 20 if killed else 0)


def test_a_process_that_was_killed_before_it_kept_anything_is_not_forgotten(folder: Path) -> None:
    one = Life(folder, wire=False)
    one.attach(greeting())
    one.serve(20)
    one.second()
    one.kill()
    three = Life(folder, wire=False)  # the second had session 2, and nothing of it is on disk
    hello = greeting(session=3, unattended=4, _1=30, _2=500) | {"unattended": {"2": 9}}
    three.attach(hello)
    assert three.house.judged.coverage.blind == 30 + 500 + 9 + 4


def test_calls_that_other_rules_answered_for_are_not_missed_under_these(folder: Path) -> None:
    looser = {"criteria": [{"name": "same", "kind": "disagreement", "margin": 0.1}]}
    one = Life(folder, wire=False)
    one.attach(greeting())
    one.second()
    one.kill()
    two = Life(folder, looser, wire=False)
    two.attach(greeting(session=2, _1=0))
    two.second()
    two.kill()
    three = Life(folder, wire=False)
    three.attach(greeting(session=3, unattended=4, _1=0, _2=500))
    assert three.house.judged.coverage.blind == 4


def test_a_fail_that_was_taken_back_does_not_come_back_with_the_next_life(folder: Path) -> None:
    one = Life(folder)

    def compared(number: int, reader: str, outcome: Outcome) -> None:
        one.house.now_ns += MS
        found = Comparison(outcome, reader=reader, models=("m:1", "m:7"))
        call = pair(number, method="/p.S/X", arrived_ns=one.house.now_ns, comparison=found)
        one.house.judged.observe(call, one.house.now_ns, one.house.now_ns)

    for number in range(200):
        compared(number, OPAQUE, Outcome.VALUE)
    assert one.house.state() is State.FAIL
    one.second()
    compared(1000, "open_inference", Outcome.EQUAL)  # the method can be read now
    assert one.house.state() is not State.FAIL
    one.second()
    one.kill()
    assert Life(folder).house.state() is not State.FAIL
