"""Text in BYTES: folded, counted, edited, and JSON by path."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.compare.payload import BYTES, Output, bytes_array
from sidecar.compare.result import Outcome, OutputResult
from sidecar.compare.rules.edit import BLOCK, MAX_BLOCKS, _levenshtein, edits
from sidecar.compare.rules.outputs import compare_outputs
from sidecar.compare.settings import OutputRule
from tests.compare.messages import floats

RULES = ["text", "tokens", "edit", "json"]


def _compare(rule: Any, a: list[bytes], b: list[bytes], **fields: Any) -> OutputResult:
    return compare_outputs(
        "y",
        Output("y", BYTES, bytes_array(a)),
        Output("y", BYTES, bytes_array(b)),
        OutputRule(rule=rule, **fields),
    )


def _score(rule: Any, a: str | bytes, b: str | bytes, **fields: Any) -> float:
    x, y = (t.encode() if isinstance(t, str) else t for t in (a, b))
    return _compare(rule, [x], [y], **fields).score


@pytest.mark.parametrize("rule", RULES)
@given(st.binary(max_size=40), st.binary(max_size=40))
@example(b"[" * 5000, b"[" * 5001)
@example(b"9" * 5000, b"9" * 5001)
@example(b"[1e999, NaN]", b"[-1e999, 1]")
def test_any_two_texts_have_a_bounded_distance(rule: str, a: bytes, b: bytes) -> None:
    found = _compare(rule, [a], [b])
    assert 0 <= found.score <= 1
    assert (found.score == 0) == (found.outcome is Outcome.EQUAL)
    assert _compare(rule, [a], [a]).score == 0


def test_text_is_folded() -> None:
    assert _score("text", "caf\u00e9  au\nlait ", "cafe\u0301 au lait") == 0
    assert _score("text", "caf\u00e9", "cafe") == 1


def test_bytes_that_are_no_text_are_compared_as_bytes() -> None:
    for rule in RULES:
        assert _score(rule, b"\xff", b"\xff") == 0
        assert _score(rule, b"\xff", b"\xfe") == 1
        assert _score(rule, b"a", b"\xfe") == 1


def test_tokens_are_counted_as_often_as_they_come() -> None:
    assert _score("tokens", "a b c", "c b a") == 0
    assert _score("tokens", "a a b", "a b b") == pytest.approx(1 - 2 * 2 / 6)
    assert _score("tokens", "a", "") == 1
    assert _score("tokens", " ", "") == 0


def test_edits_are_a_share_of_the_longer_text() -> None:
    assert _score("edit", "kitten", "sitting") == pytest.approx(3 / 7)
    assert _score("edit", "", "abc") == 1


@cache
def _distance(a: str, b: str) -> int:
    """The definition, as it stands in every book."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        _distance(a[1:], b) + 1,
        _distance(a, b[1:]) + 1,
        _distance(a[1:], b[1:]) + (a[0] != b[0]),
    )


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_edits_are_levenshteins(a: str, b: str) -> None:
    assert edits(a, b)[0] == _distance(a, b)


@given(st.text("ab", min_size=BLOCK, max_size=3 * BLOCK), st.text("ab", max_size=3 * BLOCK))
def test_edits_of_long_texts_are_bounded_from_above(a: str, b: str) -> None:
    count, _ = edits(a, b)
    assert _levenshtein(a, b) <= count <= max(len(a), len(b))


def test_a_small_change_in_a_long_text_is_counted_exactly() -> None:
    text = "ab" * 50_000
    assert edits(text, text[:70_001] + "x" + text[70_002:]) == (1, MAX_BLOCKS - 1)


def test_the_work_on_one_output_is_bounded_and_the_rest_counts_as_edited() -> None:
    a, b = "a" * BLOCK, "b" + "a" * (BLOCK - 2) + "b"
    many = MAX_BLOCKS + 4
    found = _compare("edit", [a.encode()] * many, [b.encode()] * many)
    assert found.score == pytest.approx((MAX_BLOCKS * 2 / BLOCK + 4) / many)


def test_json_is_compared_by_path() -> None:
    a = {"id": 1, "scores": [0.5, 0.25], "who": {"name": "x", "tags": []}}
    b = {"who": {"tags": [], "name": "y"}, "scores": [0.5, 0.75], "id": 1}
    assert _score("json", json.dumps(a), json.dumps(b)) == pytest.approx(2 / 5)
    assert _score("json", json.dumps(a), json.dumps(a, indent=2)) == 0


@pytest.mark.parametrize(
    ("a", "b", "score"),
    [
        ("1", "1.0", 0),
        ("1", "1.000001", 0),
        ("1", "1.1", 1),
        ("1", "true", 1),
        ("0", "null", 1),
        ("NaN", "NaN", 0),
        ("NaN", "1", 1),
        ("1e999", "-1e999", 1),
        ('"a"', '"b"', 1),
        ("[]", "{}", 1),
        ("[1]", "[1, 2]", 0.5),
        ('{"a": 1}', '{"b": 1}', 1),
        ("[[1], 2]", "[1, 2]", 2 / 3),
        ("1" + "0" * 400, "1" + "0" * 399, 1),
        ("1" + "0" * 400, "1.5", 1),
    ],
)
def test_json_values(a: str, b: str, score: float) -> None:
    assert _score("json", a, b) == pytest.approx(score)


def test_json_numbers_have_a_tolerance() -> None:
    assert _score("json", "[1, 1]", "[1.4, 1.6]", atol=0.5) == 0.5


def test_what_is_not_json_on_both_sides_is_text() -> None:
    assert _score("json", "a  b", "a b") == 0
    assert _score("json", "1", "one") == 1


def test_elements_have_their_mean_and_max_score_is_allowed() -> None:
    found = _compare("tokens", [b"a b", b"c"], [b"a c", b"c"])
    assert (found.score, found.raw) == (0.25, {"tokens": 0.25})
    found = _compare("tokens", [b"a b", b"c"], [b"a c", b"c"], max_score=0.25)
    assert (found.outcome, found.score) == (Outcome.EQUAL, 0)


def test_numbers_under_a_rule_for_text_are_compared_as_numbers() -> None:
    a, b = Output("y", "FP32", floats(1)), Output("y", "FP32", floats(2))
    assert compare_outputs("y", a, b, OutputRule(rule="json")).rule == "tolerance"
