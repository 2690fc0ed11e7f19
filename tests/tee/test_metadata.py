"""The metadata policy: what a shadow receives of what the caller sent."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.call import GrpcMetadata, Metadata
from sidecar.tee.metadata import MAX_NAMES, MetadataPolicy
from sidecar.tee.settings import DENIED_METADATA, ShadowSettings

OURS = "00-" + "a" * 32 + "-" + "c" * 16 + "-01"


def sent(metadata: Metadata, traceparent: str = "", **settings: Any) -> GrpcMetadata:
    """What goes out besides `x-shadow`."""
    policy = MetadataPolicy(ShadowSettings(name="next", address="h:1", **settings))
    trace = (("traceparent", traceparent),) if traceparent else ()
    outgoing = policy.outgoing(metadata, trace)
    assert outgoing == policy.outgoing(metadata, trace)
    assert outgoing.count(("x-shadow", "next")) == 1
    return tuple(field for field in outgoing if field != ("x-shadow", "next"))


def test_the_callers_fields_are_copied_in_order_and_repeats_are_kept() -> None:
    metadata = (("b", "1"), ("a", "2"), ("b", ""), ("x-request-id", " r "), ("tracestate", "v=1"))

    assert sent(metadata) == metadata


@pytest.mark.parametrize(
    "name",
    [
        *(":path", ":authority", "te", "content-type", "content-length", "user-agent", "host"),
        *("grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-trace-bin"),
        *("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"),
        *DENIED_METADATA,
        *("x-shadow", "traceparent", "b3", "x-b3-traceid", "x-b3-sampled", "uber-trace-id"),
    ],
)
def test_what_is_not_the_shadows_business_stays_here(name: str) -> None:
    assert sent(((name, "AAAA"), ("kept", "1"))) == (("kept", "1"),)


def test_the_deny_list_is_of_globs_in_any_case_and_is_configuration() -> None:
    metadata = (("x-secret-key", "1"), ("x-open", "2"), ("authorization", "3"))

    assert sent(metadata, deny_metadata=("X-Secret-*",)) == metadata[1:]


def test_traceparent_is_ours_or_none() -> None:
    theirs = (("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-00"),)

    assert sent(theirs, OURS) == (("traceparent", OURS),)
    assert sent(theirs) == ()


def test_added_fields_replace_the_callers_but_never_ours_or_grpcs() -> None:
    added = {"Team": "ml", "authorization": "Bearer shadow", "x-shadow": "no", "grpc-x": "no"}

    outgoing = sent((("team", "web"), ("authorization", "caller")), OURS, add_metadata=added)

    assert outgoing == (
        ("team", "ml"),
        ("authorization", "Bearer shadow"),
        ("traceparent", OURS),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/wA=", [b"\xff\x00"]),
        ("/wA", [b"\xff\x00"]),
        ("", [b""]),
        ("/wA,AQ==", [b"\xff\x00", b"\x01"]),
        ("not base64!", []),
        ("/w.A", []),
        ("A", []),
    ],
)
def test_binary_values_are_decoded_with_or_without_padding(
    value: str, expected: list[bytes]
) -> None:
    assert sent((("k-bin", value),)) == tuple(("k-bin", data) for data in expected)


def test_a_suffix_without_a_name_is_not_a_name() -> None:
    assert sent((("-bin", "AAAA"),)) == ()


@given(st.lists(st.binary()))
def test_every_binary_value_survives(values: list[bytes]) -> None:
    metadata = tuple(("k-bin", base64.b64encode(value).decode()) for value in values)

    assert sent(metadata) == tuple(("k-bin", value) for value in values)


@given(st.lists(st.tuples(st.text(), st.text())), st.dictionaries(st.text(), st.text()))
def test_nothing_goes_out_that_grpcio_would_refuse(
    metadata: list[tuple[str, str]], added: dict[str, str]
) -> None:
    for name, value in sent(tuple(metadata), OURS, add_metadata=added):
        assert re.fullmatch(r"[a-z0-9_.-]+", name)
        assert isinstance(value, bytes) or re.fullmatch(r"[\x20-\x7e]*", value)
        assert isinstance(value, bytes) == name.endswith("-bin")


def test_what_is_remembered_of_names_is_bounded() -> None:
    policy = MetadataPolicy(ShadowSettings(address="h:1"))
    metadata = tuple((f"k{i}", "v") for i in range(2 * MAX_NAMES + 1))

    assert policy.outgoing(metadata)[:-1] == metadata
    assert len(policy._copied) <= MAX_NAMES
