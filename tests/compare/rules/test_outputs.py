"""One output beside another: type and shape first, then the rule, then one score."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from sidecar.compare.payload import Array, Output, bytes_array
from sidecar.compare.result import Outcome, OutputResult
from sidecar.compare.rules.finding import TOLERANCES
from sidecar.compare.rules.outputs import DEFAULT, Rules, compare_outputs
from sidecar.compare.rules.registry import RULE_NAMES, RULES
from sidecar.compare.settings import CompareSettings, OutputRule
from tests.compare.messages import DTYPES, floats


def _compare(
    a: Array, b: Array, rule: OutputRule = DEFAULT, dtype: str = "", name: str = "y"
) -> OutputResult:
    def output(array: Array) -> Output:
        word = "BYTES" if array.dtype == object else DTYPES[array.dtype]
        return Output(name, dtype or word, array)

    return compare_outputs(name, output(a), output(b), rule)


def _rule(**fields: Any) -> OutputRule:
    return OutputRule(**fields)


def test_the_first_matching_rule_wins() -> None:
    settings = CompareSettings(
        rules=(
            _rule(output="id", rule="ignore"),
            _rule(output="prob*", method="*/ModelInfer", model="digits", rule="argmax"),
            _rule(output="prob*", rule="exact"),
        )
    )
    rules = Rules(settings)
    assert rules.find("/a.B/C", "", "id").rule == "ignore"
    assert rules.find("/a.B/ModelInfer", "digits:3", "probs").rule == "argmax"
    assert rules.find("/a.B/ModelInfer", "digits", "probs").rule == "argmax"
    assert rules.find("/a.B/ModelInfer", "other:3", "probs").rule == "exact"
    assert rules.find("/a.B/Other", "digits:3", "probs").rule == "exact"
    assert rules.find("/a.B/Other", "digits:3", "label").rule == "auto"
    assert rules.need_model
    assert not Rules(CompareSettings()).need_model


def test_a_model_can_be_named_with_its_version() -> None:
    rules = Rules(CompareSettings(rules=(_rule(model="digits:3", rule="exact"),)))
    assert rules.find("/a.B/C", "digits:3", "y").rule == "exact"
    assert rules.find("/a.B/C", "digits:4", "y").rule == "auto"


def test_endless_output_names_do_not_fill_memory() -> None:
    rules = Rules(CompareSettings())
    for i in range(10_000):
        rules.find("/a.B/C", "", str(i))
    assert len(rules._found) <= 4096


@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        (floats(1), np.array([1.0]), Outcome.DTYPE),
        (floats(1), np.array([[1]], np.int32), Outcome.DTYPE),  # type comes before rank
        (floats(1), floats(1).reshape(1, 1), Outcome.RANK),
        (floats(1, 2), floats(1, 2, 3), Outcome.SHAPE),
    ],
)
@pytest.mark.parametrize("rule", ["auto", "exact", "tolerance", "argmax"])
def test_type_rank_and_shape_come_first(a: Array, b: Array, outcome: Outcome, rule: Any) -> None:
    for x, y in ((a, b), (b, a)):
        result = _compare(x, y, _rule(rule=rule))
        assert (result.outcome, result.score, result.raw) == (outcome, 1.0, {})


def test_types_of_one_width_are_still_two() -> None:
    a, b = Output("y", "BF16", floats(1)), Output("y", "FP32", floats(1))
    assert compare_outputs("y", a, b, DEFAULT).outcome is Outcome.DTYPE


def test_another_shape_is_told_with_both() -> None:
    deep = np.zeros((1,) * 9, np.float32)
    a, b = (Output("y", "FP32", array) for array in (floats(1, 2), deep))
    found = compare_outputs("y", a, b, DEFAULT)
    assert found.forms == "FP32 [2] against FP32 [1, 1, 1, 1, 1, 1, 1, 1, ...]"


@pytest.mark.parametrize("dtype", [t for t in TOLERANCES if t.startswith(("F", "B"))])
def test_floats_are_compared_by_a_tolerance_of_their_type(dtype: str) -> None:
    atol, rtol = TOLERANCES[dtype]
    kind = {"FP16": np.float16, "FP64": np.float64}.get(dtype, np.float32)
    a = np.array([[100.0, 0.0]], kind)
    within = np.array([[100 * (1 + rtol / 2), atol / 2]], kind)
    beyond = np.array([[100 * (1 + rtol * 2) + 2 * atol, 0.0]], kind)
    assert _compare(a, within, dtype=dtype).outcome is Outcome.EQUAL
    found = _compare(a, beyond, dtype=dtype)
    assert (found.outcome, found.rule, found.score) == (Outcome.VALUE, "tolerance", 1.0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True, True]), np.array([True, False])),
        (bytes_array([b"a", b"b"]), bytes_array([b"a", b"b\0"])),
    ],
    ids=["integers", "booleans", "text"],
)
def test_all_but_floats_is_compared_exactly(a: Array, b: Array) -> None:
    assert _compare(a, a.copy()).outcome is Outcome.EQUAL
    found = _compare(a, b)
    assert (found.outcome, found.rule, found.score) == (Outcome.VALUE, "exact", 0.5)
    assert found.raw == {"outside_share": 0.5}


def test_a_batch_gives_one_score_the_share_of_its_rows_that_differ() -> None:
    a = np.zeros((4, 3), np.float32)
    b = a.copy()
    b[1] = 1
    b[2, 0] = 1
    found = _compare(a, b)
    assert found.score == 0.5
    assert found.raw["outside_share"] == 4 / 12


def test_the_elements_of_a_vector_are_rows_but_one_vector_of_class_scores_is_one() -> None:
    assert _compare(floats(5, 6, 7, 8), floats(5, 6, 7, 9)).score == 0.25
    found = _compare(floats(0.1, 0.2, 0.7, 0), floats(0.1, 0.3, 0.6, 0))
    assert (found.score, found.raw["flips"]) == (1.0, 0)


def test_a_scalar_is_one_row() -> None:
    assert _compare(np.array(1.0), np.array(2.0)).score == 1.0


def test_a_share_of_elements_may_be_outside() -> None:
    a, b = np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)
    b[0, :2] = 1
    assert _compare(a, b, _rule(max_outside=0.25)).outcome is Outcome.EQUAL
    assert _compare(a, b, _rule(max_outside=0.24)).score == 0.5


def test_a_nan_is_never_within_the_share_that_may_be_outside() -> None:
    a, b = floats(1, 2, 3, 4), floats(1, 2, 3, np.nan)
    found = _compare(a, b, _rule(max_outside=1))
    assert (found.outcome, found.score) == (Outcome.NONFINITE, 0.25)


def test_tolerances_can_be_given() -> None:
    a, b = floats(1), floats(1.4)
    assert _compare(a, b, _rule(atol=0.5)).outcome is Outcome.EQUAL
    assert _compare(a, b, _rule(rtol=0.5)).outcome is Outcome.EQUAL
    assert _compare(a, b, _rule(atol=0, rtol=0.3)).outcome is Outcome.VALUE


def test_integers_can_be_given_a_tolerance() -> None:
    a, b = np.array([10, 20], np.int32), np.array([11, 20], np.int32)
    assert _compare(a, b, _rule(rule="tolerance", atol=1)).outcome is Outcome.EQUAL
    assert _compare(a, b, _rule(rule="tolerance")).outcome is Outcome.VALUE  # by default none
    true = np.array([True])
    assert _compare(true, ~true, _rule(rule="tolerance")).outcome is Outcome.VALUE
    assert _compare(true, ~true, _rule(rule="tolerance", atol=1)).outcome is Outcome.EQUAL


def test_text_under_a_rule_for_numbers_is_compared_exactly() -> None:
    for rule in ("tolerance", "argmax"):
        found = _compare(bytes_array([b"a"]), bytes_array([b"b"]), _rule(rule=rule))
        assert (found.rule, found.score) == ("exact", 1.0)


@pytest.mark.parametrize("rule", ["auto", "exact", "argmax"])
def test_nan_and_infinities_are_equal_to_themselves_and_to_nothing_else(rule: Any) -> None:
    a = floats(np.nan, np.inf, -np.inf, 0.0)
    assert _compare(a, a.copy(), _rule(rule=rule)).outcome is Outcome.EQUAL
    assert _compare(a, floats(np.nan, np.inf, -np.inf, -0.0), _rule(rule=rule)).score == 0
    for i, other in ((0, 1.0), (1, -np.inf), (1, np.nan), (2, 1.0), (3, np.nan)):
        b = a.copy()
        b[i] = other
        for x, y in ((a, b), (b, a)):
            found = _compare(x, y, _rule(rule=rule))
            assert found.outcome is Outcome.NONFINITE
            assert found.score == (1.0 if rule == "argmax" else 0.25)


def test_complex_numbers_differ_in_either_part() -> None:
    a = np.array([1 + 1j, 2 + 2j], np.complex64)
    assert _compare(a, a + np.complex64(1e-6j)).outcome is Outcome.EQUAL
    found = _compare(a, np.array([1 + 1j, 2 + 3j], np.complex64))
    assert (found.outcome, found.score) == (Outcome.VALUE, 0.5)


def test_class_scores_also_tell_their_flips() -> None:
    a = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    b = np.array([[0.6, 0.4], [0.4, 0.6]], np.float32)
    found = _compare(a, b)
    assert (found.outcome, found.score) == (Outcome.VALUE, 1.0)
    assert (found.raw["flips"], found.raw["flip_share"]) == (1, 0.5)
    assert _compare(a, a.copy()).raw["flips"] == 0
    assert "flips" not in _compare(a * 9, b * 9).raw


def test_argmax_scores_the_share_of_flips_and_nothing_else() -> None:
    a = np.array([[5, 1], [5, 1], [5, 1], [5, 1]], np.float32)
    b = np.array([[9, 1], [1, 5], [5, 4], [5, 1]], np.float32)
    found = _compare(a, b, _rule(rule="argmax"))
    assert (found.outcome, found.rule, found.score) == (Outcome.VALUE, "argmax", 0.25)
    assert _compare(a, a + 1, _rule(rule="argmax")).outcome is Outcome.EQUAL


def test_argmax_of_integers_and_of_one_vector() -> None:
    found = _compare(np.array([1, 2]), np.array([2, 1]), _rule(rule="argmax"))
    assert (found.score, found.raw["flips"]) == (1.0, 1)


def test_argmax_of_what_has_no_axis_is_equality() -> None:
    rule = _rule(rule="argmax")
    assert _compare(np.array(1.0), np.array(1.0), rule).outcome is Outcome.EQUAL
    assert _compare(np.array(1.0), np.array(2.0), rule).score == 1.0


@pytest.mark.parametrize("rule", sorted({*RULE_NAMES} - {"ignore"}))
@pytest.mark.parametrize("kind", [np.float32, np.int64, np.bool_, object])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_is_equal_to_nothing(rule: Any, kind: Any, shape: tuple[int, ...]) -> None:
    found = _compare(np.empty(shape, kind), np.empty(shape, kind), _rule(rule=rule))
    assert (found.outcome, found.score) == (Outcome.EQUAL, 0.0)


def test_a_rule_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"one of auto, tolerance, exact, .*, ignore"):
        _rule(rule="telepathy")


@pytest.mark.parametrize(
    ("rule", "key", "value"),
    [
        ("auto", "k", 3),
        ("exact", "atol", 0.1),
        ("ignore", "max_outside", 0.1),
        ("topk", "persistence", 0.5),
        ("argmax", "max_score", 0.1),
    ],
)
def test_a_key_that_a_rule_has_no_use_for_is_refused_by_name(
    rule: str, key: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"rule {rule} has no use for {key}"):
        _rule(rule=rule, **{key: value})


def test_a_rule_that_may_give_way_to_auto_may_have_its_keys() -> None:
    assert _rule(rule="topk", k=3, max_score=0.1, atol=0.1, rtol=0.1, max_outside=0.5).atol == 0.1


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_a_file_named_after_it(name: str) -> None:
    module = import_module(f"sidecar.compare.rules.{name}")
    assert module.RULE is RULES[name]
    assert RULES[name].settings <= set(OutputRule.model_fields)


@pytest.mark.parametrize("rule", sorted({*RULE_NAMES} - {"ignore"}))
@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.25, 0.75], [1, 0]], np.float32),
        floats(3, -1, np.nan, np.inf, 0),
        np.array([[1, 2], [3, 4]]),
        np.array([True, False]),
        np.array([1j, 2]),
        np.array(1.5),
        bytes_array([b"a b", b'{"x": 1}', b"\xff"]),
        bytes_array([b"a"]).reshape(()),
    ],
    ids=["probabilities", "odd floats", "integers", "booleans", "complex", "scalar", "text", "one"],
)
def test_under_every_rule_an_output_is_equal_to_itself(rule: Any, array: Array) -> None:
    found = _compare(array, array.copy(), _rule(rule=rule))
    assert (found.outcome, found.score) == (Outcome.EQUAL, 0.0)
