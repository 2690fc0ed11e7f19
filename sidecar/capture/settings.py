"""What of the calls is written down, and how much room it may take. Off unless `dir` is given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sidecar.fields import Bytes, Count, Fraction, Seconds, Section

Glob = Annotated[str, Field(min_length=1)]


class CaptureSettings(Section):
    """Captured calls, in Parquet. Payloads, values and metadata are each asked for by name."""

    dir: str = ""  # a folder, or what pyarrow.fs reaches (s3://, gs://); empty: nothing is captured
    experiment: str = ""  # a name for what is tried, a column of every row
    what: Literal["differing", "sample", "all"] = "differing"
    fraction: Fraction = 0.01  # sample: the share of agreeing pairs, beside all that differ
    payloads: bool = False  # request and answer messages as they are; replay needs them
    outputs: tuple[Glob, ...] = ()  # outputs whose decoded values become columns, on both sides
    inputs: tuple[Glob, ...] = ()  # fields of the request, likewise
    metadata: tuple[Glob, ...] = ()  # names of metadata fields, of the request and both answers
    # Names whose value is written as a mask: of metadata, inputs and outputs alike.
    mask: tuple[Glob, ...] = ("authorization", "cookie", "proxy-authorization", "x-api-key")
    bytes: Bytes = 1 << 30  # of files on the disk
    full: Literal["oldest", "stop"] = "oldest"  # what goes when they are more
    file_bytes: Bytes = 64 << 20
    file_seconds: Seconds = 300.0
    queue_rows: Count = 4096  # waiting to be written
    queue_bytes: Bytes = 64 << 20

    @model_validator(mode="after")
    def _consistent(self) -> CaptureSettings:
        if self.file_bytes > self.bytes:
            raise ValueError("file_bytes must be at most bytes")
        return self
