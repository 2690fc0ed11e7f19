from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.store.decisions import RESET, Decided, Decisions, attempt_of, standing
from sidecar.store.kept import Key
from tests.store.made import KEY

OTHER_RULES = KEY._replace(digest="other")


def line(
    state: str, attempt: int = 1, key: Key = KEY, number: int = 1, identity: str = "a"
) -> Decided:
    return Decided(key, attempt, identity, number, 5, 9, state, "why", {"overall": [state, "why"]})


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    file = Decisions(tmp_path)
    assert file.read() == []
    for state in ("PASS", "FAIL"):
        file.append(line(state))
    assert Decisions(tmp_path).read() == [line("PASS"), line("FAIL")]


@given(st.data())
def test_a_line_that_is_damaged_costs_no_other(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Decisions(Path(folder))
        lines = [line("PASS", attempt) for attempt in range(1, 6)]
        for one in lines:
            file.append(one)
        text = bytearray(file.path.read_bytes())
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] ^= data.draw(st.integers(1, 255))
        file.path.write_bytes(text)
        found = file.read()
        assert len(found) >= 4
        assert all(one in lines for one in found)


def test_a_cut_line_costs_itself_only(tmp_path: Path) -> None:
    file = Decisions(tmp_path)
    file.append(line("FAIL"))
    whole = file.path.read_bytes()
    file.append(line("PASS"))
    file.path.write_bytes(file.path.read_bytes()[: len(whole) + 30])
    file.append(line("PASS", 3))
    assert file.read() == [line("FAIL"), line("PASS", 3)]


def test_what_was_read_is_not_read_again_and_what_others_append_is(tmp_path: Path) -> None:
    ours, theirs = Decisions(tmp_path), Decisions(tmp_path)
    lines = [line("PASS", attempt) for attempt in range(1, 40)]
    for i, one in enumerate(lines):
        (ours, theirs)[i % 2].append(one)
        if i % 3 == 0:
            assert ours.read() == lines[: i + 1]
    text = ours.path.read_bytes()
    ours.path.write_bytes(b"." * 300 + text[300:])  # nobody does; it shows what is looked at
    assert ours.read() == lines
    assert len(Decisions(tmp_path).read()) < len(lines)


def test_a_line_that_is_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    file = Decisions(tmp_path)
    file.append(line("PASS"))
    file.append(line("FAIL", 2))
    text = file.path.read_bytes()
    for end in range(len(text) - 30, len(text) + 1):
        file.path.write_bytes(text[:end])
        assert len(file.read()) == (1 if end < len(text) - 1 else 2)


@pytest.mark.parametrize("renamed", [True, False])
@pytest.mark.parametrize("more", [0, 5])
def test_a_file_that_was_put_back_is_read_anew(tmp_path: Path, renamed: bool, more: int) -> None:
    file = Decisions(tmp_path / "now")
    (tmp_path / "now").mkdir()
    (tmp_path / "then").mkdir()
    then = Decisions(tmp_path / "then")
    for attempt in range(1, 4):
        file.append(line("FAIL", attempt))
    for attempt in range(4 + more):
        then.append(line("PASS", attempt, number=7))
    assert len(file.read()) == 3
    if renamed:
        then.path.rename(file.path)
    else:
        file.path.write_bytes(then.path.read_bytes())
    assert file.read() == [line("PASS", attempt, number=7) for attempt in range(4 + more)]
    file.path.unlink()
    assert file.read() == []


def test_where_it_cannot_be_opened_what_was_read_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Decisions(tmp_path)
    file.append(line("FAIL"))
    assert file.read() == [line("FAIL")]

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sidecar.store.decisions.os.open", none_left)
    assert file.read() == [line("FAIL")]


def test_a_fail_stands_whatever_is_decided_later_and_until_a_reset() -> None:
    assert standing([], KEY) is None
    assert standing([line("PASS"), line("FAIL"), line("PASS", number=2)], KEY) == line("FAIL")
    assert standing([line("FAIL"), line(RESET)], KEY) is None
    assert standing([line("FAIL", key=OTHER_RULES)], KEY) is None
    # An observer that had not heard of the reset yet decides nothing for the next attempt.
    assert standing([line("FAIL"), line(RESET), line("FAIL")], KEY) is None
    assert standing([line(RESET), line("FAIL", number=2)], KEY) == line("FAIL", number=2)


def test_what_was_decided_or_reset_was_an_attempt_on_the_candidate() -> None:
    assert attempt_of([], KEY) == 1
    decided = [line("PASS", key=OTHER_RULES)]
    assert attempt_of(decided, KEY) == 2
    assert attempt_of([*decided, line("FAIL", attempt=2)], KEY._replace(digest="third")) == 3
    assert attempt_of([line(RESET)], KEY) == 2
    assert attempt_of([line("FAIL"), line(RESET), line(RESET, number=4)], KEY) == 2
    another = KEY._replace(shadow="8")
    assert attempt_of([line("FAIL")], another) == 1


def test_two_processes_that_ask_the_same_question_make_one_attempt() -> None:
    decided = [line("PASS", identity="b", number=9)]
    assert attempt_of(decided, KEY, {"b"}) == 1
    # One whose file is not there any more is no process beside us, but an attempt before us.
    assert attempt_of(decided, KEY, {"c"}) == 2
