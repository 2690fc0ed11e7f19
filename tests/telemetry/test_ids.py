from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.telemetry.ids import (
    TraceContext,
    caller_traceparent,
    format_traceparent,
    new_span_id,
    new_trace_id,
    parse_traceparent,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_a_traceparent_of_version_00_is_read() -> None:
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-01") == TraceContext(
        int(TRACE, 16), int(SPAN, 16), True
    )


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_only_the_lowest_flag_says_sampled(flags: str, sampled: bool) -> None:
    context = parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert context is not None
    assert context.sampled is sampled


@pytest.mark.parametrize("text", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes"])
def test_a_later_version_is_read_as_far_as_we_know_it(text: str) -> None:
    context = parse_traceparent(text)
    assert context is not None
    assert context.span_hex == SPAN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0\u0661",
    ],
)
def test_what_the_specification_calls_invalid_is_absent(text: str) -> None:
    assert parse_traceparent(text) is None


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
)
def test_what_is_written_is_read_back(trace_id: int, span_id: int, sampled: bool) -> None:
    context = TraceContext(trace_id, span_id, sampled)
    text = format_traceparent(context)
    assert len(text) == 55
    assert parse_traceparent(text) == context


@given(st.text())
def test_any_text_is_read_or_absent(text: str) -> None:
    parse_traceparent(text)


def test_the_callers_field_is_found_unread() -> None:
    assert caller_traceparent((("a", "b"), ("traceparent", " what it is "))) == "what it is"
    assert caller_traceparent((("a", "b"),)) == ""


def test_two_fields_are_as_good_as_none() -> None:
    field = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    assert caller_traceparent((field, field)) == ""


def test_a_drawn_id_is_never_all_zero() -> None:
    assert new_trace_id(lambda bits: 0) == 1
    assert new_span_id(lambda bits: 0) == 1
    assert new_trace_id(lambda bits: 2**bits - 1) == 2**128 - 1
    assert new_span_id(lambda bits: 2**bits - 1) == 2**64 - 1
