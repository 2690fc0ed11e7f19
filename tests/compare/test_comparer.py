"""Two observations of one call: status, then messages, then outputs; the worst is the whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sidecar.call import Observation
from sidecar.compare.comparer import MAX_NAME, Comparer
from sidecar.compare.payload import MAX_OUTPUTS, Array, Decoded, bytes_array
from sidecar.compare.readers.protocols import READERS
from sidecar.compare.readers.registry import Registry
from sidecar.compare.result import AGREEING, Comparison, Outcome
from sidecar.compare.settings import CompareSettings, OutputRule
from sidecar.pb.inference import open_inference_pb2 as v2
from tests.compare.messages import (
    MODEL_INFER,
    MODEL_STREAM_INFER,
    answer,
    floats,
    infer,
    infer_response,
)

UNKNOWN = "/a.B/C"


def _compare(
    a: Observation, b: Observation, *rules: OutputRule, method: str = MODEL_INFER
) -> Comparison:
    return Comparer(CompareSettings(rules=rules), Registry()).examine(method, (), a, b).comparison


def _outcomes(comparison: Comparison) -> dict[str, Outcome]:
    return {output.name: output.outcome for output in comparison.outputs}


@pytest.mark.parametrize(
    ("production", "shadow", "outcome"),
    [
        (0, 14, Outcome.SHADOW_ERROR),
        (4, 0, Outcome.PRODUCTION_ERROR),
        (5, 5, Outcome.BOTH_ERROR_SAME),
        (5, 13, Outcome.BOTH_ERROR_OTHER),
    ],
)
def test_a_failed_call_is_told_by_its_status_alone(
    production: int, shadow: int, outcome: Outcome
) -> None:
    found = _compare(answer(b"\xff", status=production), answer(b"\xfe", status=shadow))
    assert (found.outcome, found.outputs) == (outcome, ())
    assert found.agrees == (outcome is Outcome.BOTH_ERROR_SAME)


TEXT = {"rules": [{"output": "text", "rule": "text"}, {"output": "index", "rule": "ignore"}]}


def _chunks(*pieces: str, **more: Array) -> tuple[bytes, ...]:
    return tuple(infer({"text": bytes_array([p.encode()]), **more}) for p in pieces)


def _streams(a: tuple[bytes, ...], b: tuple[bytes, ...], **settings: Any) -> Comparison:
    rules = CompareSettings.model_validate(settings or TEXT).rules
    return _compare(answer(*a), answer(*b), *rules, method=MODEL_STREAM_INFER)


@pytest.mark.parametrize(
    "other", [("Hel", "lo wor", "ld"), ("Hello world",), ("", "Hello", " ", "world", "")]
)
def test_another_chunking_of_the_same_text_is_no_difference(other: tuple[str, ...]) -> None:
    found = _streams(_chunks("Hello ", "world"), _chunks(*other))
    assert (found.outcome, [o.name for o in found.outputs]) == (Outcome.EQUAL, ["text"])


def test_another_text_is_a_difference_however_it_is_cut() -> None:
    for other in (("Hello ", "word"), ("Hello word",), ("Hello ", "world", "!"), ()):
        found = _streams(_chunks("Hello ", "world"), _chunks(*other))
        assert not found.agrees, other


def test_what_comes_beside_a_text_is_counted_by_message_unless_it_is_ignored() -> None:
    one, two = floats(1), floats(2)
    same = _streams(_chunks("a", "b", index=one), _chunks("ab", index=two))
    assert same.outcome is Outcome.EQUAL
    found = _streams(_chunks("a", "b", score=one), _chunks("ab", score=one))
    assert found.outcome is Outcome.MESSAGE_COUNT
    differs = _streams(_chunks("a", "b", score=one), _chunks("", "ab", score=two))
    assert {o.name for o in differs.differing} == {"score", "[1]score"}


def test_bytes_are_joined_where_that_is_declared_and_texts_apart_likewise() -> None:
    a, b = _chunks("a", "b"), _chunks("ab")
    assert _streams(a, b, rules=[]).outcome is Outcome.MESSAGE_COUNT
    assert _streams(a, b, rules=[{"rule": "exact", "join": True}]).outcome is Outcome.EQUAL
    apart = _streams(a, b, rules=[{"rule": "text", "join": False}])
    assert apart.outcome is Outcome.MESSAGE_COUNT


def test_of_what_the_last_message_tells_its_value_stands_for_the_answer() -> None:
    def stream(*pieces: tuple[str, float]) -> tuple[bytes, ...]:
        return tuple(
            infer({"text": bytes_array([text.encode()]), "used": floats(used)})
            for text, used in pieces
        )

    a, b = stream(("a", 0), ("b", 0), ("", 7)), stream(("ab", 0), ("", 7))
    text = {"output": "text", "rule": "text"}
    apart = _streams(a, b, rules=[text])
    assert apart.outcome is Outcome.MESSAGE_COUNT
    assert apart.detail == "3 messages against 2; not joined: used"
    rules = [text, {"output": "used", "join": "last"}]
    assert _streams(a, b, rules=rules).outcome is Outcome.EQUAL
    (found,) = _streams(a, stream(("ab", 7), ("", 9)), rules=rules).differing
    assert (found.name, found.outcome) == ("used", Outcome.VALUE)
    (alike,) = _streams(a, stream(("x", 0), ("b", 7), ("", 7)), rules=rules).differing
    assert alike.name == "text"  # as many messages: the values between do not count either


def test_pieces_that_change_their_shape_are_no_text() -> None:
    two = infer({"text": bytes_array([b"a", b"b"])})
    found = _streams((*_chunks("a"), two), _chunks("a", "ab"))
    assert [o.outcome for o in found.differing] == [Outcome.SHAPE]


def test_an_error_inside_one_of_the_messages_is_an_error_of_the_answer() -> None:
    broken = v2.ModelStreamInferResponse(error_message="out of memory").SerializeToString()
    found = _streams(_chunks("a", "b"), (*_chunks("ab"), broken, broken))
    assert found.outcome is Outcome.SHADOW_ERROR


def test_another_number_of_messages_is_not_looked_into() -> None:
    message = infer({"y": floats(1)})
    found = _compare(answer(message, message), answer(message), method=MODEL_STREAM_INFER)
    assert (found.outcome, found.outputs) == (Outcome.MESSAGE_COUNT, ())
    assert found.detail == "2 messages against 1"


def test_no_message_on_either_side_is_equal() -> None:
    assert _compare(answer(), answer()).outcome is Outcome.EQUAL


def test_the_models_are_named_and_do_not_count_as_a_difference() -> None:
    a = infer({"y": floats(1)}, version="1", request_id="a")
    b = infer({"y": floats(1)}, version="2", request_id="b")
    found = _compare(answer(a), answer(b))
    assert (found.outcome, found.models) == (Outcome.EQUAL, ("m:1", "m:2"))
    assert found.reader == "open_inference"


def test_outputs_are_told_apart_by_name_and_the_worst_is_the_whole() -> None:
    a = {"gone": floats(1), "kind": floats(1), "off": floats(1, 2), "same": floats(1)}
    b = {"kind": np.array([1]), "new": floats(1), "off": floats(1, 9), "same": floats(1)}
    found = _compare(answer(infer(a)), answer(infer(b)))
    assert found.outcome is Outcome.MISSING_OUTPUT
    assert _outcomes(found) == {
        "gone": Outcome.MISSING_OUTPUT,
        "kind": Outcome.DTYPE,
        "off": Outcome.VALUE,
        "same": Outcome.EQUAL,
        "new": Outcome.EXTRA_OUTPUT,
    }
    assert {o.name: o.score for o in found.outputs}["off"] == 0.5
    assert found.detail == "missing_output: gone"
    assert len(found.differing) == 4


def test_the_order_of_outputs_does_not_matter() -> None:
    a = {"x": floats(1), "y": np.array([b"a"], object), "z": np.array([[3]])}
    b = dict(reversed(a.items()))
    assert _compare(answer(infer(a)), answer(infer(b))).outcome is Outcome.EQUAL


def test_an_output_that_comes_twice_is_two() -> None:
    response = infer_response({"y": floats(1)})
    for value in (2, 3):
        twice = v2.ModelInferResponse()
        twice.CopyFrom(response)
        twice.outputs.append(response.outputs[0])
        twice.raw_output_contents.append(floats(value).tobytes())
        if value == 2:
            a = twice.SerializeToString()
    found = _compare(answer(a), answer(twice.SerializeToString()))
    assert _outcomes(found) == {"y": Outcome.EQUAL, "y#2": Outcome.VALUE}


def test_an_ignored_output_is_not_told_even_when_it_is_missing() -> None:
    ignore = OutputRule(output="time*", rule="ignore")
    a = {"y": floats(1), "time": floats(3), "time2": floats(3)}
    b = {"y": floats(1), "time": floats(4), "time3": floats(4)}
    found = _compare(answer(infer(a)), answer(infer(b)), ignore)
    assert found.outcome is Outcome.EQUAL
    assert _outcomes(found) == {"y": Outcome.EQUAL}


def test_a_rule_can_be_for_the_model_that_only_the_request_names() -> None:
    request = v2.ModelInferRequest(model_name="digits").SerializeToString()
    rule = OutputRule(model="digits", rule="ignore")
    comparer = Comparer(CompareSettings(rules=(rule,)), Registry())
    a, b = (answer(infer({"y": floats(v)}, model="", version="")) for v in (1, 2))
    assert comparer.examine(MODEL_INFER, (request,), a, b).comparison.outcome is Outcome.EQUAL
    assert comparer.examine(MODEL_INFER, (b"\xff",), a, b).comparison.outcome is Outcome.VALUE


def test_the_messages_of_a_stream_are_compared_one_by_one() -> None:
    a = [infer({"y": floats(1)}), infer({"y": floats(2)})]
    b = [infer({"y": floats(1)}), infer({"y": floats(3)})]
    found = _compare(answer(*a), answer(*b), method=MODEL_STREAM_INFER)
    assert _outcomes(found) == {"y": Outcome.EQUAL, "[1]y": Outcome.VALUE}
    assert found.outcome is Outcome.VALUE


def test_tritons_wrapper_and_a_bare_message_may_say_the_same() -> None:
    bare = infer_response({"y": floats(1)})
    wrapped = v2.ModelStreamInferResponse(infer_response=bare).SerializeToString()
    found = _compare(answer(bare.SerializeToString()), answer(wrapped), method=MODEL_STREAM_INFER)
    assert found.outcome is Outcome.EQUAL


@pytest.mark.parametrize(
    ("production", "shadow", "outcome"),
    [
        ("", "broken", Outcome.SHADOW_ERROR),
        ("broken", "", Outcome.PRODUCTION_ERROR),
        ("broken", "broken too", Outcome.BOTH_ERROR_SAME),
    ],
)
def test_an_error_inside_a_stream_is_an_error(
    production: str, shadow: str, outcome: Outcome
) -> None:
    a, b = (
        v2.ModelStreamInferResponse(
            error_message=error, infer_response=infer_response({"y": floats(1)})
        ).SerializeToString()
        for error in (production, shadow)
    )
    found = _compare(answer(a), answer(b), method=MODEL_STREAM_INFER)
    assert found.outcome is outcome


def test_the_side_that_cannot_be_read_is_told() -> None:
    good = infer({"y": floats(1)})
    found = _compare(answer(good), answer(b"\xff"))
    assert (found.outcome, found.models) == (Outcome.UNDECODABLE, ("m:1", ""))
    assert found.detail.startswith("shadow: ")
    found = _compare(answer(b"\xff"), answer(good))
    assert found.outcome is Outcome.UNDECODABLE
    assert found.detail.startswith("production: ")


def test_the_same_bytes_are_equal_even_if_nobody_can_read_them() -> None:
    assert _compare(answer(b"\xff"), answer(b"\xff")).outcome is Outcome.EQUAL


def test_the_same_bytes_give_the_same_figures_as_the_same_values() -> None:
    values = {"probs": np.array([[0.25, 0.75]]), "y": np.array([1])}
    a, b = infer(values), infer(values, version="2")
    assert _compare(answer(a), answer(a)).outputs == _compare(answer(a), answer(b)).outputs


def test_an_unknown_method_is_compared_as_bytes() -> None:
    assert _compare(answer(b"a"), answer(b"a"), method=UNKNOWN).outcome is Outcome.EQUAL
    found = _compare(answer(b"a"), answer(b"b"), method=UNKNOWN)
    assert (found.outcome, found.reader) == (Outcome.VALUE, "opaque")


def test_too_many_outputs_or_too_long_a_name_cannot_be_read() -> None:
    few = infer({"y": floats(1)})
    many = infer({str(i): floats(1) for i in range(MAX_OUTPUTS + 1)})
    assert _compare(answer(few), answer(many)).outcome is Outcome.UNDECODABLE
    long = infer({"y" * (MAX_NAME + 1): floats(1)})
    found = _compare(answer(few), answer(long))
    assert found.outcome is Outcome.UNDECODABLE
    assert len(found.detail) < MAX_NAME


def test_a_models_name_is_cut_to_what_a_span_can_hold() -> None:
    message = infer({}, model="m" * 100_000)
    assert _compare(answer(message), answer(message)).models == ("m" * MAX_NAME,) * 2


def test_what_was_read_can_be_had_beside_the_comparison() -> None:
    comparer = Comparer(CompareSettings(), Registry())
    a, b = infer({"y": floats(1)}), infer({"y": floats(2)})
    examined = comparer.examine(MODEL_INFER, (), answer(a), answer(b))
    assert examined.comparison.outcome is Outcome.VALUE
    assert examined.production[0].outputs[0].array.tolist() == [1]
    assert examined.shadow[0].outputs[0].array.tolist() == [2]
    assert comparer.examine(MODEL_INFER, (), answer(a), answer(status=5)).production == ()


def test_a_request_is_read_as_far_as_it_can_be() -> None:
    comparer = Comparer(CompareSettings(), Registry())
    request = v2.ModelInferRequest(model_name="m", id="i").SerializeToString()
    (read,) = comparer.read_request(MODEL_INFER, (request,))
    assert (read.model, read.request_id) == ("m", "i")
    assert comparer.read_request(MODEL_INFER, (b"\xff",)) == ()


class _Broken:
    """A reader with a fault of its own."""

    name = "broken"

    def read_response(self, message: bytes) -> Decoded:
        raise RecursionError(f"secret {message!r}")

    read_request = read_response


def test_a_readers_own_fault_is_a_counted_difference_and_tells_no_payload() -> None:
    registry = Registry({UNKNOWN: _Broken()})
    comparer = Comparer(CompareSettings(), registry)
    found = comparer.examine(UNKNOWN, (), answer(b"a"), answer(b"b")).comparison
    assert (found.outcome, found.detail) == (Outcome.UNDECODABLE, "RecursionError")
    assert comparer.read_request(UNKNOWN, (b"a",)) == ()


ARRAYS = st.one_of(
    *(
        hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
        for kind in ("<f2", "<f4", "<f8", "<i1", "<i8", "<u8", "?")
    ),
    st.lists(st.binary(max_size=5), max_size=4).map(
        lambda items: np.array([*items, None], object)[:-1]
    ),
)
OUTPUTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), ARRAYS, max_size=4)
RULES = st.sampled_from([(), ("exact",), ("argmax",), ("tolerance",)])

Drawn = dict[str, Any]


def _rules(names: tuple[Any, ...]) -> tuple[OutputRule, ...]:
    return tuple(OutputRule(rule=name) for name in names)


@given(OUTPUTS, RULES, st.randoms(use_true_random=False))
def test_an_answer_is_equal_to_itself_whatever_is_in_it(
    outputs: Drawn, rules: tuple[Any, ...], random: Any
) -> None:
    shuffled = list(outputs.items())
    random.shuffle(shuffled)
    a, b = answer(infer(outputs)), answer(infer(dict(shuffled), version="2"))
    for other in (a, b):
        found = _compare(a, other, *_rules(rules))
        assert found.outcome is Outcome.EQUAL
        assert all(output.score == 0 for output in found.outputs)
        assert len(found.outputs) == len(outputs)


MIRRORED = {
    Outcome.MISSING_OUTPUT: Outcome.EXTRA_OUTPUT,
    Outcome.EXTRA_OUTPUT: Outcome.MISSING_OUTPUT,
}


@given(OUTPUTS, OUTPUTS, RULES)
def test_scores_are_bounded_figures_finite_and_sides_can_be_swapped(
    a: Drawn, b: Drawn, rules: tuple[Any, ...]
) -> None:
    there = _compare(answer(infer(a)), answer(infer(b)), *_rules(rules))
    back = _compare(answer(infer(b)), answer(infer(a)), *_rules(rules))
    for output in (*there.outputs, *back.outputs):
        assert 0 <= output.score <= 1
        assert (output.score == 0) == (output.outcome is Outcome.EQUAL)
        assert all(math.isfinite(figure) for figure in output.raw.values())
    assert there.agrees == (there.outcome in AGREEING)
    backwards = _outcomes(back)
    for name, outcome in _outcomes(there).items():
        # Tolerance and flips are relative to production; all else must not care who is who.
        if outcome not in (Outcome.VALUE, Outcome.EQUAL):
            assert backwards[name] is MIRRORED.get(outcome, outcome)


@given(
    st.sampled_from([*READERS, UNKNOWN]),
    st.lists(st.binary(max_size=60), max_size=2),
    st.lists(st.binary(max_size=60), max_size=2),
)
def test_arbitrary_bytes_never_raise(method: str, a: list[bytes], b: list[bytes]) -> None:
    found = _compare(answer(*a), answer(*b), method=method)
    assert found.detail != "RecursionError"
    assert not found.detail.endswith("Error")  # no fault of our own was caught
    assert (found.outcome is Outcome.EQUAL) >= (a == b)
