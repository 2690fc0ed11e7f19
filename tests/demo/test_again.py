from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sidecar.capture.budget import OPEN, SUFFIX
from sidecar.demo.again import with_pyarrow


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    table = pa.table(
        {"outcome": ["value"] * 3, "production.class": [8, 8, 1], "shadow.class": [3, 3, 7]}
    )
    pq.write_table(table, tmp_path / f"whole{SUFFIX}")
    (tmp_path / f"next{SUFFIX}{OPEN}").write_bytes(b"PAR1")
    assert with_pyarrow(tmp_path) == [(8, 3, 2), (1, 7, 1)]
