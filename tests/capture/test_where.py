"""Expressions over captured columns."""

from __future__ import annotations

import contextlib

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.capture.where import WhereError, parse_where

TABLE = pa.table(
    {
        "outcome": ["equal", "value", "shadow_error"],
        "latency": [1.0, 12.5, 40.0],
        "agrees": [True, False, False],
        "detail": ["", "value: score", "DEADLINE_EXCEEDED"],
        "input.age": [30, None, 50],
        "time": pa.array([0, 3_600_000_000_000, 7_200_000_000_000], pa.timestamp("ns", "UTC")),
    }
)


def _chosen(text: str) -> list[str]:
    expression = parse_where(text, TABLE.column_names)
    found = ds.dataset(TABLE).to_table(filter=expression)
    return [str(value) for value in found.column("outcome").to_pylist()]


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        ("outcome == 'value'", ["value"]),
        ('outcome != "value" and latency > 10', ["shadow_error"]),
        ("not agrees", ["value", "shadow_error"]),
        ("agrees or latency >= 40", ["equal", "shadow_error"]),
        ("1 < latency < 20", ["value"]),
        ("outcome in ['equal', 'value']", ["equal", "value"]),
        ("outcome not in ('equal',)", ["value", "shadow_error"]),
        ("'score' in detail", ["value"]),
        ("outcome.startswith('shadow')", ["shadow_error"]),
        ("`input.age` > 30", ["shadow_error"]),
        ("`input.age` is None", ["value"]),
        ("`input.age` is not None", ["equal", "shadow_error"]),
        ("time >= '1970-01-01T01:00'", ["value", "shadow_error"]),
        ("latency > -1", ["equal", "value", "shadow_error"]),
    ],
)
def test_an_expression_chooses_rows(text: str, outcomes: list[str]) -> None:
    assert _chosen(text) == outcomes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("outcome ==", "does not parse"),
        ("nothing == 1", "'nothing' is no column; there are agrees, detail"),
        ("__import__('os').system('true')", "must be a comparison"),
        ("latency + 1 > 2", "must be a column, a number or a text"),
        ("outcome == open('x')", "must be a column"),
        ("time > 'yesterday'", "is no time such as"),
        ("latency in detail", "`in` takes a list"),
        ("(" * 500 + "agrees" + ")" * 500, ""),
    ],
)
def test_what_cannot_be_used_is_told(text: str, told: str) -> None:
    with pytest.raises(WhereError, match=None) as error:
        _chosen(text)
    assert told in str(error.value)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    with contextlib.suppress(WhereError):
        parse_where(text, TABLE.column_names)
