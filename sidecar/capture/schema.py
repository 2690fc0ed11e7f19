"""The columns of a captured file, and the version of both.

Rule: a column never changes its meaning. One that is new has a later version, and `reader` gives it
as null for files that are older; files of a later version than ours are refused by name.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

VERSION: Final = 2
"""1: `scores` was always empty. 2: it is filled, and there is `shadow_wait_ms`."""
ADDED: Final = ("shadow_wait_ms",)  # columns that came later than version 1
VERSION_KEY: Final = b"shadow_sidecar.capture_version"
WHAT_KEY: Final = b"shadow_sidecar.capture_what"
"""Which pairs are in a file: `capture.what`. Files before this key do not say."""
ALL: Final = "all"
INPUT: Final = "input."
PRODUCTION: Final = "production."
SHADOW: Final = "shadow."
"""Prefixes of the typed columns: one for each chosen input, two for each chosen output."""

FIELDS: Final = pa.list_(
    pa.struct([pa.field("name", pa.string(), False), pa.field("value", pa.string(), False)])
)
"""Metadata or slices: names may come twice, so it is no map."""

SCORES: Final = pa.list_(
    pa.struct([pa.field("name", pa.string(), False), pa.field("value", pa.float64(), False)])
)

DIFFERENCES: Final = pa.list_(
    pa.struct(
        [
            pa.field("output", pa.string(), False),
            pa.field("outcome", pa.string(), False),
            pa.field("rule", pa.string(), False),
            pa.field("score", pa.float64(), False),
            pa.field("raw", SCORES, False),
        ]
    )
)

MESSAGES: Final = pa.list_(pa.binary())
TIME: Final = pa.timestamp("us", "UTC")

_COLUMNS: Final = (
    # name, type, whether it may be null
    ("experiment", pa.string(), False),  # the experiment's name
    ("call", pa.string(), False),  # the call within one sidecar's life; its rows share it
    ("time", TIME, False),  # the request's headers were read
    ("request_ms", pa.float64(), False),  # from then until the request was complete
    ("timeout_ms", pa.float64(), True),  # the caller's deadline
    ("method", pa.string(), False),  # as in :path
    ("peer", pa.string(), False),  # the client's address
    ("correlation_id", pa.string(), True),  # what a label names the call by
    ("trace_id", pa.string(), True),  # the trace of production's call
    ("shadow_trace_id", pa.string(), True),  # the trace of the shadow's call
    ("shadow", pa.string(), False),  # the name of the receiver
    ("role", pa.string(), False),  # shadow or control
    ("outcome", pa.string(), False),  # equal, value, shadow_error, ...: the worst of the outputs
    ("agrees", pa.bool_(), False),  # whether nothing speaks against the shadow
    ("detail", pa.string(), False),  # one line for people
    ("reader", pa.string(), False),  # the payload reader
    ("differences", DIFFERENCES, False),  # the outputs that do not agree
    ("scores", SCORES, False),  # the call's score in each criterion that has one of a call
    ("slices", FIELDS, False),  # where the call belongs
    ("production_status", pa.int32(), False),  # gRPC status code
    ("production_detail", pa.string(), False),  # grpc-message
    ("production_latency_ms", pa.float64(), False),  # from the complete request to the last byte
    ("production_version", pa.string(), True),  # name:version of the model
    ("production_headers", FIELDS, False),  # initial metadata, as far as it was asked for
    ("production_trailers", FIELDS, False),  # likewise
    ("production_messages", MESSAGES, True),  # the answer, decompressed; null: not captured
    ("shadow_status", pa.int32(), False),  # as production's
    ("shadow_detail", pa.string(), False),
    ("shadow_latency_ms", pa.float64(), False),
    ("shadow_wait_ms", pa.float64(), True),  # from the complete request until the copy went out
    ("shadow_version", pa.string(), True),
    ("shadow_headers", FIELDS, False),
    ("shadow_trailers", FIELDS, False),
    ("shadow_messages", MESSAGES, True),
    ("metadata", FIELDS, False),  # the request's, as far as it was asked for
    ("request_messages", MESSAGES, True),  # the request, decompressed; null: not captured
)


def fixed_schema(what: str = ALL) -> pa.Schema:
    """The columns that every file has, without those of chosen inputs and outputs.

    Args:
        what: which pairs are written (`capture.what`).
    """
    return pa.schema(
        [pa.field(name, kind, nullable) for name, kind, nullable in _COLUMNS],
        metadata={VERSION_KEY: str(VERSION).encode(), WHAT_KEY: what.encode()},
    )
