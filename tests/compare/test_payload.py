"""Numbers of repeated fields: protobuf 7 gives a buffer, protobuf 6 single numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.compare.payload import UndecodableError, numbers_from_field


@pytest.mark.parametrize("dtype", ["INT8", "INT64", "UINT8", "UINT64"])
def test_single_numbers_read_as_a_buffer_does(dtype: str) -> None:
    info = np.iinfo(dtype.lower())
    ends = [int(info.min), 1, int(info.max)]
    read = numbers_from_field("y", dtype, ends)
    assert read.tolist() == ends
    assert read.dtype == np.dtype(dtype.lower())
    assert numbers_from_field("y", dtype, []).size == 0


@pytest.mark.parametrize(("dtype", "beyond"), [("UINT64", -1), ("INT64", 2**63), ("UINT8", 256)])
def test_what_is_beyond_the_range_is_refused(dtype: str, beyond: int) -> None:
    with pytest.raises(UndecodableError, match=f"beyond the range of {dtype}"):
        numbers_from_field("y", dtype, [2**63 if dtype == "UINT64" else 1, beyond])
