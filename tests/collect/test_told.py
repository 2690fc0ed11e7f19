"""What a pod says is taken only if it can be true."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.collect.told import FUTURE_SECONDS, told_by
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.serve.convert import counts_message
from tests.collect.pods import part

NOW = time.time()
BLOCKS: dict[str, Any] = {"independent_calls": False}


def message(**given: Any) -> pb.ShadowCounts:
    return counts_message(part("a", 50, **BLOCKS, **given))


def test_what_a_pod_says_is_taken_as_it_is() -> None:
    told = told_by(message(), "here", NOW)
    assert told.part.snapshot.calls == 50
    assert pb.ShadowCounts.FromString(told.raw) == message()


def blocks(change: Callable[[Any], object]) -> Callable[[pb.ShadowCounts], object]:
    """A change of the first claim's blocks."""

    def apply(of: pb.ShadowCounts) -> None:
        plain = json.loads(of.snapshot.blocks)
        change(plain[0]["claims"][0])
        of.snapshot.blocks = json.dumps(plain).encode()

    return apply


def row(*values: float) -> Callable[[pb.ShadowCounts], object]:
    return blocks(
        lambda claim: claim["levels"][0].update({"rows": [list(values)], "first": 1, "last": 1})
    )


LIES: dict[str, Callable[[pb.ShadowCounts], object]] = {
    "no instance": lambda m: m.snapshot.ClearField("instance"),
    "no rules": lambda m: m.snapshot.ClearField("rules"),
    "no settings": lambda m: m.ClearField("judge_settings"),
    "other settings": lambda m: setattr(m, "judge_settings", '{"criteria": 7}'),
    "deep settings": lambda m: setattr(m, "judge_settings", "[" * 100_000),
    "negative calls": lambda m: setattr(m.snapshot, "calls", -1),
    "more compared than seen": lambda m: setattr(m.snapshot, "compared", 10**12),
    "lost less than nothing": lambda m: m.snapshot.lost.update({"expired": -5}),
    "a clock an hour ahead": lambda m: setattr(
        m.snapshot, "began_unix_ns", int((NOW + FUTURE_SECONDS + 3600) * 1e9)
    ),
    "a cell of nothing": lambda m: m.snapshot.cells[0].counts.update({"n": math.nan}),
    "an infinite cell": lambda m: m.snapshot.cells[0].counts.update({"n": math.inf}),
    "blocks of no JSON": lambda m: setattr(m.snapshot, "blocks", b"\xff{"),
    "deep blocks": lambda m: setattr(m.snapshot, "blocks", b"[" * 100_000),
    "blocks of a number": lambda m: setattr(m.snapshot, "blocks", b"7"),
    "blocks of no claims": lambda m: setattr(m.snapshot, "blocks", b'[{"criterion": "same"}]'),
    "a wider margin": blocks(lambda claim: claim["bets"].update(margin=0.9)),
    "another kind of claim": blocks(lambda claim: claim["bets"].update(kind="luck")),
    "other lengths": blocks(lambda claim: claim.update(lengths=[5, 10, 60, 600, 3600])),
    "sums without end": blocks(lambda claim: claim.update(closed=[math.inf, 0.0, 0.0])),
    "sums of nothing": blocks(lambda claim: claim.update(closed=[1.0, 0.0, math.nan])),
    "a block better than possible": row(1, 10.0, -500.0, -500.0),
    "a block worse than possible": row(1, 10.0, 500.0, 500.0),
    "a block of negative calls": row(1, -10.0, 0.0, 0.0),
    "a block of the next century": row(10**12, 10.0, 0.0, 0.0),
    "evidence of nothing": blocks(
        lambda claim: claim["levels"][0].update(
            {"sums": {"vector": [math.nan] * 102, "days": None, "today": 0}}
        )
    ),
    "an example of no note": lambda m: m.worst.add(criterion="x").examples.add(note=99),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_true_is_refused_with_a_reason(lie: str) -> None:
    told = message()
    LIES[lie](told)
    with pytest.raises(ValueError, match=r"cannot be read|contradicts itself"):
        told_by(told, "here", NOW)


def test_clocks_may_differ_by_a_minute() -> None:
    late = message()
    late.snapshot.began_unix_ns = int((NOW + 60) * 1e9)
    told_by(late, "here", NOW)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_whatever_bytes_come_are_taken_or_refused(junk: bytes, at: int) -> None:
    raw = bytearray(WHOLE)
    at %= len(raw)
    raw[at : at + len(junk)] = junk
    try:
        told = pb.ShadowCounts.FromString(bytes(raw))
    except Exception:  # protobuf's own refusal is the poll's to tell
        return
    try:
        told_by(told, "here", NOW)
    except ValueError:
        return


WHOLE = message().SerializeToString()
