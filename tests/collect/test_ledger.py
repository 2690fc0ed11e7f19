"""What stays on disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.collect.ledger import MOST_VERDICTS, Change, Ledger, LedgerError
from tests.collect.pods import part

FAILED = Change(2.0, "candidate", "abc", "FAIL", "same: too different", 7)


def test_what_was_kept_is_there_again_and_only_the_newest(tmp_path: Path) -> None:
    old, new, other = part("a", 3), part("a", 5), part("b", 2)
    with closing(Ledger(tmp_path / "deep" / "l.sqlite")) as ledger:
        ledger.keep([new, other], 10.0)
        ledger.keep([old], 20.0)
    with closing(Ledger(tmp_path / "deep" / "l.sqlite")) as ledger:
        found = {p.source: (seen, p.snapshot) for seen, p in ledger.parts()}
        ledger.forget("candidate", [("b", 0)])
        left = [p.source for _, p in ledger.parts()]
    assert found == {"a:9096": (10.0, new.snapshot), "b:9096": (10.0, other.snapshot)}
    assert left == ["a:9096"]


def test_changes_are_kept_newest_first_and_a_fail_stands(tmp_path: Path) -> None:
    passed = Change(3.0, "candidate", "def", "PASS", "all pass", 9)
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.changed(FAILED)
        ledger.changed(passed)
    with closing(Ledger(tmp_path / "l")) as ledger:
        assert ledger.history() == [passed, FAILED]
        assert ledger.history("other") == []
        assert ledger.failed() == {"abc": "same: too different"}


def test_the_history_has_a_bound_and_the_fail_outlives_it(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.changed(FAILED)
        rows = [(float(n), "candidate", "x", "PASS", "", n) for n in range(MOST_VERDICTS)]
        ledger._write(
            "INSERT INTO verdicts (unix, shadow, experiment, state, reason, calls) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        ledger.changed(Change(4.0, "candidate", "x", "WATCHING", "", 1))
        assert len(ledger.history(most=MOST_VERDICTS * 2)) == MOST_VERDICTS
        assert "abc" in ledger.failed()


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


def test_counts_that_cannot_be_read_are_refused_not_forgotten(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "l")) as ledger:
        ledger.keep([part("a", 3)], 1.0)
    with closing(sqlite3.connect(tmp_path / "l")) as base, base:
        base.execute("UPDATE parts SET message = ?", (b"\xff\xff",))
    with closing(Ledger(tmp_path / "l")) as ledger, pytest.raises(LedgerError, match="a:9096"):
        ledger.parts()
