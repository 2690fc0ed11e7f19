"""Choosing captured pairs: `outcome == "value" and production_latency_ms > 10`.

The language is Python's own for comparisons: names of columns, numbers, texts, `and or not`,
`== != < <= > >= in`, `is null`; `"..." in detail` looks for a part of a text, and
`column.startswith("...")` for its beginning. Nothing is executed: the text is parsed and turned
into an Arrow expression. A name with a dot in it stands in backticks: `input.age` > 30. Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
MAX_LENGTH = 10_000
_QUOTED = re.compile(r"`([^`]+)`")


class WhereError(ValueError):
    """An expression that cannot be used; says what is wrong and what may stand there."""


def parse_where(text: str, columns: Collection[str]) -> pc.Expression:
    """Turn text into an Arrow expression over the columns.

    Raises:
        WhereError: it does not parse, or names a column that is not there.
    """
    if len(text) > MAX_LENGTH:
        raise WhereError(f"longer than {MAX_LENGTH:,} characters")
    names: list[str] = []

    def quoted(match: re.Match[str]) -> str:
        names.append(match[1])
        return f"quoted_{len(names) - 1}_"

    try:
        tree = ast.parse(_QUOTED.sub(quoted, text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WhereError(f"{text!r} does not parse: {error}") from None
    known = {f"quoted_{i}_": name for i, name in enumerate(names)}
    try:
        return _Parser(columns, known).boolean(tree.body)
    except RecursionError:
        raise WhereError("nested too deeply") from None


class _Parser:
    def __init__(self, columns: Collection[str], quoted: Mapping[str, str]) -> None:
        self._columns = columns
        self._quoted = quoted

    def boolean(self, node: ast.expr) -> Any:
        match node:
            case ast.BoolOp(op=op, values=values):
                found = self.boolean(values[0])
                for value in values[1:]:
                    other = self.boolean(value)
                    found = found & other if isinstance(op, ast.And) else found | other
                return found
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.boolean(operand)
            case ast.Compare(left=left, ops=ops, comparators=right):
                found = None
                for how, other in zip(ops, right, strict=True):
                    one = self._compare(left, how, other)
                    found = one if found is None else found & one
                    left = other
                return found
            case ast.Call(
                func=ast.Attribute(value=value, attr="startswith" | "endswith" as end),
                args=[ast.Constant(value=str(part))],
                keywords=[],
            ):
                make = pc.starts_with if end == "startswith" else pc.ends_with
                return make(self._value(value), part)
            case ast.Name():
                return self._value(node)  # a column of truths
        raise WhereError(
            f"{ast.unparse(node)!r}: must be a comparison, `and`, `or`, `not`, a column of truths, "
            "or COLUMN.startswith(TEXT)"
        )

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        null = isinstance(right, ast.Constant) and right.value is None
        if isinstance(op, (ast.Is, ast.IsNot)) and null:
            found = self._value(left).is_null()
            return found if isinstance(op, ast.Is) else ~found
        if isinstance(op, (ast.In, ast.NotIn)):
            if isinstance(right, (ast.List, ast.Tuple, ast.Set)):
                values = pa.array([self._constant(item) for item in right.elts])
                found = self._value(left).isin(values)
            elif isinstance(left, ast.Constant) and isinstance(left.value, str):
                found = pc.match_substring(self._value(right), left.value)
            else:
                raise WhereError(f"{ast.unparse(right)!r}: `in` takes a list, or TEXT in COLUMN")
            return found if isinstance(op, ast.In) else ~found
        make = _COMPARE.get(type(op))
        if make is None:
            raise WhereError(f"{ast.unparse(left)}: only == != < <= > >= in, is None")
        left_value, right_value = self._value(left), self._value(right)
        return make(*_timed(left_value, right_value, left, right))

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                column = self._quoted.get(name, name)
                if column not in self._columns:
                    raise WhereError(
                        f"{column!r} is no column; there are {', '.join(sorted(self._columns))}"
                    )
                return pc.field(column)
            case ast.Constant() | ast.UnaryOp(op=ast.USub()):
                return pc.scalar(self._constant(node))
        raise WhereError(f"{ast.unparse(node)!r}: must be a column, a number or a text")

    def _constant(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
        raise WhereError(f"{ast.unparse(node)!r}: must be a number or a text")


def _timed(a: Any, b: Any, left: ast.expr, right: ast.expr) -> tuple[Any, Any]:
    """Text beside the column `time` is a time: "2026-11-24T15:00"."""
    sides = ((a, right), (b, left))
    done = []
    for (value, other), node in zip(sides, (left, right), strict=True):
        timed = isinstance(other, ast.Name) and other.id == "time"
        if timed and isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                moment = datetime.fromisoformat(node.value)
            except ValueError:
                raise WhereError(f"{node.value!r} is no time such as 2026-11-24T15:00") from None
            if moment.tzinfo is None:
                from datetime import UTC

                moment = moment.replace(tzinfo=UTC)
            done.append(pc.scalar(pa.scalar(moment, pa.timestamp("us", "UTC"))))
        else:
            done.append(value)
    return done[0], done[1]
