"""What stays on disk."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.collect.experiments import Experiments
from sidecar.collect.ledger import MOST_VERDICTS, Ledger, LedgerError
from sidecar.collect.lives import Heard
from sidecar.collect.service import Service
from sidecar.collect.told import Told
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.report import VerdictChange
from tests.collect.pods import part, pod

FAILED = VerdictChange(2.0, "candidate", "abc", "FAIL", "same: too different", 7)


def test_what_was_kept_is_there_again_and_only_the_newest(tmp_path: Path) -> None:
    old, new, other = pod("a", 3), pod("a", 5), pod("b", 2)
    with closing(Ledger(tmp_path / "deep" / "l.sqlite")) as ledger:
        ledger.write([new, other], 10.0)
        ledger.write([old], 20.0)
    with closing(Ledger(tmp_path / "deep" / "l.sqlite")) as ledger:
        found = {p.source: (seen, p.snapshot) for seen, p in ledger.parts()[0]}
        ledger.write([], 30.0, gone=[other.part])
        left = [p.source for _, p in ledger.parts()[0]]
    assert found == {"a:9096": (10.0, new.part.snapshot), "b:9096": (10.0, other.part.snapshot)}
    assert left == ["a:9096"]


def test_changes_are_kept_newest_first_and_have_a_bound(tmp_path: Path) -> None:
    passed = VerdictChange(3.0, "candidate", "def", "PASS", "all pass", 9)
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.write([], 1.0, changes=[FAILED])
        ledger.write([], 1.0, changes=[passed])
    with closing(Ledger(tmp_path / "l")) as ledger:
        assert ledger.history() == [passed, FAILED]
        ledger.write([], 1.0, changes=[FAILED] * (MOST_VERDICTS + 5))
        assert len(ledger.history(2 * MOST_VERDICTS)) == MOST_VERDICTS


def test_experiments_are_there_again_with_what_was_decided_and_watched(tmp_path: Path) -> None:
    from sidecar.judge.counts import counts_of, total
    from sidecar.judge.verdict import plans_of

    told = part("a", 200, independent_calls=False)
    experiments = Experiments()
    one = experiments.of("candidate", [told.snapshot])
    assert one is not None
    one.passes(plans_of(told.settings), total(counts_of([told.snapshot])), 0.05, 7.0)
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.write([], 1.0, experiments=experiments)
    with closing(Ledger(tmp_path / "l")) as ledger:
        (found,) = ledger.experiments()
    assert found.to_dict() == one.to_dict()
    assert found.latches.watches.keys() == {"same"}


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 40, None])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "l"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(LedgerError, match=str(path)):
        Ledger(path)
    assert content is None or path.read_bytes() == content


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l").close()
    with closing(sqlite3.connect(tmp_path / "l")) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="schema 99"):
        Ledger(tmp_path / "l")


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("left", [b"", None])
def test_a_file_that_was_emptied_or_taken_away_is_no_new_one(
    tmp_path: Path, left: bytes | None, older: bool
) -> None:
    """A FAIL may have stood in it; who wants to begin anew has to say so."""
    path, mark = tmp_path / "l", tmp_path / "l.made"
    Ledger(path).close()
    if older:  # its version made no mark, so that the first look of this one does
        mark.unlink()
        Ledger(path).close()
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    for _ in range(2):
        with pytest.raises(LedgerError, match=f"{path}: empty or gone.*put it back, or remove"):
            Ledger(path)
    mark.unlink()
    Ledger(path).close()


@pytest.mark.parametrize("left", ["older", "none"])
def test_a_fail_outlives_the_ledger_that_has_it(tmp_path: Path, left: str) -> None:
    """An operator puts back the one of yesterday, or begins anew."""
    ledger_file, backup = tmp_path / "l", tmp_path / "backup"

    def told_again(pods: list[Told], at: float) -> str:
        with closing(Ledger(ledger_file)) as ledger:
            service = Service(experiments=Experiments(ledger.experiments()))
            service.lives.remember(ledger.parts()[0])
            service.hear(Heard(at, pods))
            found = service.report("candidate", at).state
            ledger.write(pods, at, experiments=service.experiments)
        return found

    assert told_again([pod("a", 300)], 1.0) == "PASS"
    shutil.copy(ledger_file, backup)
    assert told_again([pod("b", 3000, differing=True)], 2.0) == "FAIL"
    for file in tmp_path.glob("l*"):
        if not file.name.endswith(".failed"):
            file.unlink()
    if left == "older":
        shutil.copy(backup, ledger_file)
    assert told_again([pod("c", 300)], 3.0) == "FAIL"
    with (tmp_path / "l.failed").open("ab") as damaged:
        damaged.write(b"1234 {}\n\xff")
    assert told_again([pod("c", 300)], 4.0) == "FAIL"
    assert (tmp_path / "l.failed").read_bytes().count(b'"failed"') == 1
    (tmp_path / "l.failed").unlink()
    for file in tmp_path.glob("l*"):
        file.unlink()
    assert told_again([pod("c", 300)], 5.0) == "PASS"


def test_two_collectors_do_not_share_a_file(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "l")), pytest.raises(LedgerError, match="locked"):
        Ledger(tmp_path / "l", wait_seconds=0.1)


def test_counts_that_cannot_be_read_are_refused_not_forgotten(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.write([pod("a", 3)], 1.0)
    with closing(sqlite3.connect(tmp_path / "l")) as base, base:
        base.execute("UPDATE parts SET message = ?", (b"\xff\xff",))
    with closing(Ledger(tmp_path / "l")) as ledger, pytest.raises(LedgerError, match="a:9096"):
        ledger.parts()


def test_counts_of_another_version_are_left_out_and_kept(tmp_path: Path) -> None:
    told = pod("a", 3)
    message = pb.ShadowCounts.FromString(told.raw)
    message.judge_settings = '{"a key of tomorrow": 1}'
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.write([Told(told.part, message.SerializeToString()), pod("b", 2)], 1.0)
    for _ in range(2):
        with closing(Ledger(tmp_path / "l")) as ledger:
            found, unread = ledger.parts()
        assert [p.source for _, p in found] == ["b:9096"]
        assert [(one.source, one.shadow) for one in unread] == [("a:9096", "candidate")]
        assert "a key of tomorrow" in unread[0].why
