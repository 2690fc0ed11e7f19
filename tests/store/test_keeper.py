from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.store.folder import StoreError
from sidecar.store.reading import listed, reset
from tests.store.made import KEY, SECOND, Opened, row, write

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
).filter(lambda value: value is not None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@settings(suppress_health_check=list(HealthCheck), max_examples=25)
@given(pieces=st.dictionaries(st.text(), PLAIN | st.binary()), number=st.integers(1, 2**40))
def test_what_was_kept_is_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, pieces: dict[str, Any], number: int
) -> None:
    folder = tmp_path_factory.mktemp("kept") / "state"
    one = Opened(folder)
    one.keep(write(row(number), pieces))
    one.keeper.close()
    again = Opened(folder)
    kept = again.keeper.load(KEY)
    again.keeper.close()
    assert kept is not None
    assert kept.pieces == pieces
    assert kept.row == row(number, written_unix_ns=10 * SECOND)
    assert again.keeper.before_unix_ns == 10 * SECOND


def test_numbers_that_are_not_finite_are_kept_too(folder: Path) -> None:
    one = Opened(folder)
    one.keep(write(row(), {"a": [math.inf, -math.inf, math.nan, -0.0, 5e-324]}))
    one.keeper.close()
    kept = Opened(folder).keeper.load(KEY)
    assert kept is not None
    assert repr(kept.pieces["a"]) == "[inf, -inf, nan, -0.0, 5e-324]"


def test_a_decision_outlives_a_process_that_is_killed_before_its_transaction(folder: Path) -> None:
    one = Opened(folder)
    one.keep(write(row(), {"a": 1}))
    decided = row(state="FAIL", reason="too many", sequence=9, decided_unix_ns=7)
    one.keeper.decided(decided, {"latches": "failed"})
    one.keeper._place.leave()  # as a kill does; nothing else of it was written
    kept = Opened(folder).keeper.load(KEY)
    assert kept is not None
    assert (kept.row.state, kept.row.reason, kept.row.decided_unix_ns) == ("FAIL", "too many", 7)
    assert kept.pieces == {"a": 1, "latches": "failed"}


def test_a_fail_outlives_its_evidence_and_a_pass_does_not(folder: Path) -> None:
    for state, stands in (("FAIL", True), ("PASS", False)):
        place = folder / state
        place.parent.mkdir(mode=0o700, exist_ok=True)
        one = Opened(place)
        one.keep(write(row(), {"a": 1}))
        one.keeper.decided(row(state=state), {})
        one.keeper.close()
        (place / "evidence-0.db").write_bytes(b"x" * 8192)
        again = Opened(place)
        assert "damaged-" in again.keeper.state.damaged
        assert "damaged_state_set_aside" in again.told.getvalue()
        kept = again.keeper.load(KEY)
        assert (kept is not None) is stands
        assert kept is None or (kept.row.state, kept.row.calls) == ("FAIL", 0)
        again.keeper.close()


def test_a_fail_of_one_process_stands_for_another_of_the_directory(folder: Path) -> None:
    one, two = (Opened(folder, places=2) for _ in range(2))
    assert one.keeper.identity != two.keeper.identity
    for opened in (one, two):
        opened.keep(write(row(), {"a": 1}))
    one.keeper.decided(row(state="FAIL", sequence=1), {})
    two.keeper.close()
    again = Opened(folder, places=2)
    assert again.keeper.identity == two.keeper.identity
    kept = again.keeper.load(KEY)
    assert kept is not None
    assert kept.row.state == "FAIL"


def test_another_versions_file_is_refused_with_what_to_do_and_left_alone(folder: Path) -> None:
    Opened(folder).keeper.close()
    path = folder / "evidence-0.db"
    for pragma, words in (
        ("user_version=7", "another version of shadow-sidecar .schema 7; this one reads 1.: run"),
        ("application_id=5", "is no file of shadow-sidecar's: move it away"),
    ):
        with sqlite3.connect(path) as sql:
            sql.execute(f"PRAGMA {pragma}")
        sql.close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match=words):
            Opened(folder)
        assert path.read_bytes() == before


@pytest.mark.parametrize("seed", range(15))
def test_a_byte_that_changed_anywhere_is_told_or_harmless(folder: Path, seed: int) -> None:
    dice = Random(seed)
    one = Opened(folder)
    pieces = {f"piece-{i}": dice.randbytes(dice.randrange(1, 900)) for i in range(60)}
    one.keep(write(row(), pieces))
    one.keeper.close()
    path = folder / "evidence-0.db"
    data = bytearray(path.read_bytes())
    for _ in range(dice.randrange(1, 4)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)
    try:
        again = Opened(folder)
    except StoreError:  # the eight bytes that name application and schema
        return
    kept = again.keeper.load(KEY)
    if kept is None:
        assert again.keeper.state.damaged
    else:
        assert kept.pieces == pieces
    again.keep(write(row(again.keeper.next_number()), {"a": 1}))
    assert again.keeper.state.error == ""
    again.keeper.close()


def test_a_reset_is_noticed_by_who_counts_and_is_an_attempt(folder: Path) -> None:
    one = Opened(folder)
    one.keep(write(row(), {"a": 1}))
    assert one.keeper.attempt(KEY) == 1
    (ended,) = reset(folder, lambda found: found.key.name == "candidate")
    assert ended.row.number == 1
    assert one.keeper.ended() == []
    one.keep(write(row(calls=99), {"a": 2}))
    assert one.keeper.ended() == [1]
    assert one.keeper.attempt(KEY) == 2
    assert one.keeper.load(KEY) is None
    one.keep(write(row(2, attempt=2), {"a": 3}))
    assert [(f.row.number, f.row.ended, f.row.calls) for f in listed(folder)] == [
        (2, "", 10),
        (1, "reset", 10),
    ]
    one.keeper.close()
