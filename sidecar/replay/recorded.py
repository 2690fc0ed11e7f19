"""Rows of captured files become calls, each once however many shadows it was shown to.

Rule: a call without its request messages cannot be asked again, and is named, not passed over.
Counterpart: `capture.columns`, which wrote the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sidecar.call import Metadata, Observation
from sidecar.capture.reader import Captured, CapturedError
from sidecar.capture.schema import fixed_schema

COLUMNS = (
    "call",
    "time",
    "request_ms",
    "timeout_ms",
    "method",
    "peer",
    "correlation_id",
    "trace_id",
    "shadow",
    "metadata",
    "request_messages",
    *(
        f"{side}_{name}"
        for side in ("production", "shadow")
        for name in ("status", "detail", "latency_ms", "headers", "trailers", "messages")
    ),
)
NEVER_NULL = tuple(f.name for f in fixed_schema() if f.name in COLUMNS and not f.nullable)
MASKED = "\u2022\u2022\u2022"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One captured call. Times are nanoseconds of Unix time."""

    number: int  # its place among the calls that were chosen, from 0
    call: str
    started_ns: int
    requested_ns: int  # the request was complete
    timeout_seconds: float | None
    method: str
    peer: str
    correlation_id: str
    trace_id: str
    metadata: Metadata
    request: tuple[bytes, ...]
    production: Observation
    shadow: str
    answer: Observation  # what that shadow answered then


def recorded(captured: Captured, *, shadow: str | None = None) -> Iterator[Recorded]:
    """The calls, in the order of the files.

    Args:
        captured: the rows.
        shadow: only rows of this one; None: the first row of each call.

    Raises:
        CapturedError: a row has no payload.
    """
    number, last = 0, ""
    for row in captured.rows(COLUMNS):
        if shadow is not None and row["shadow"] != shadow:
            continue
        if shadow is None and row["call"] == last:
            continue
        last = row["call"]
        yield _call(row, number)
        number += 1


def began_ns(captured: Captured) -> int:
    """When the first of the calls was made, Unix nanoseconds; 0 without any."""
    first = next(captured.rows(["time"]), None)
    return _unix_ns(first["time"]) if first is not None else 0


def _unix_ns(time: datetime) -> int:
    return round(time.timestamp() * 1e6) * 1000


def check_payloads(captured: Captured) -> None:
    """Look whether the calls can be asked again: in one file all have their payload, or none.

    Raises:
        CapturedError: files have none; all of them are named.
    """
    without = []
    for file in captured.files:
        one = replace(captured, files=(file,))
        first = next(one.rows(["request_messages", "production_messages"]), None)
        if first is not None and None in first.values():
            without.append(
                f"{file}: its calls were captured without payloads, and cannot be asked again; "
                "capture with capture.payloads: true"
            )
    if without:
        raise CapturedError(without)


def sharded(calls: Iterator[Recorded], index: int, shards: int) -> Iterator[Recorded]:
    """Every `shards`-th call, beginning with the `index`-th; all shards together are all calls."""
    for call in calls:
        if call.number % shards == index:
            yield replace(call, number=call.number // shards)


def _call(row: dict[str, Any], number: int) -> Recorded:
    if row["request_messages"] is None or row["production_messages"] is None:
        raise CapturedError(
            [
                f"call {row['call']} was captured without its payload, and cannot be asked again; "
                "capture with capture.payloads: true"
            ]
        )
    null = [name for name in NEVER_NULL if row[name] is None]
    if null or None in row["request_messages"] or None in row["production_messages"]:
        raise CapturedError(
            [f"call {row['call']}: {', '.join(null) or 'a message'} is null: not as captured"]
        )
    started_ns = _unix_ns(row["time"])
    requested_ns = started_ns + int(row["request_ms"] * 1e6)
    timeout = row["timeout_ms"]
    return Recorded(
        number=number,
        call=row["call"],
        started_ns=started_ns,
        requested_ns=requested_ns,
        timeout_seconds=None if timeout is None else timeout / 1e3,
        method=row["method"],
        peer=row["peer"],
        correlation_id=row["correlation_id"] or "",
        trace_id=row["trace_id"] or "",
        metadata=tuple((f["name"], f["value"]) for f in row["metadata"] if f["value"] != MASKED),
        request=tuple(row["request_messages"]),
        production=_answer(row, "production", requested_ns),
        shadow=row["shadow"],
        answer=_answer(row, "shadow", requested_ns),
    )


def _answer(row: dict[str, Any], side: str, requested_ns: int) -> Observation:
    return Observation(
        status=row[f"{side}_status"],
        detail=row[f"{side}_detail"],
        messages=tuple(row[f"{side}_messages"] or ()),
        started_ns=requested_ns,
        ended_ns=requested_ns + int(row[f"{side}_latency_ms"] * 1e6),
        headers=tuple((f["name"], f["value"]) for f in row[f"{side}_headers"]),
        trailers=tuple((f["name"], f["value"]) for f in row[f"{side}_trailers"]),
    )
