"""Whether a call comes twice among captured files: a copied folder is no more evidence.

Rule: found before anything is judged, and named; whoever gave the files knows which is the copy.
Files are looked at in the order of time, and only those whose calls may be the same are compared,
so that of a month of files few are in memory. Counterparts: `reader`; `run.judge` and
`run.offline`, which refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sidecar.capture.reader import Captured, CapturedError, named

_APART = "\n"  # between a call and its shadow: in neither


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Those of one file. Calls and times are the least and the greatest."""

    name: str
    keys: pa.Array  # texts: call and shadow
    calls: tuple[str, str]
    times: tuple[Any, Any]

    def may_share(self, other: _Pairs) -> bool:
        """Whether a pair of one can be in the other."""
        return all(
            a[0] <= b[1] and b[0] <= a[1]
            for a, b in ((self.calls, other.calls), (self.times, other.times))
        )


def check_once(captured: Captured) -> None:
    """Refuse pairs that come twice.

    Raises:
        CapturedError: naming every such file; or a file is damaged.
    """
    errors: list[str] = []
    near: list[_Pairs] = []  # files whose time is not over
    order = sorted((_began(captured, name), name) for name in captured.files)
    for name in [name for _, name in order]:
        pairs = _read(captured, name)
        if pairs is None:
            continue
        if again := len(pairs.keys) - pc.count_distinct(pairs.keys).as_py():
            errors.append(f"{name}: {again:,} of its pairs come more than once in it")
        near = [other for other in near if other.times[1] >= pairs.times[0]]
        for other in near:
            if pairs.may_share(other):
                both = pc.sum(pc.is_in(pairs.keys, value_set=other.keys)).as_py()
                if both:
                    errors.append(
                        f"{name}: {both:,} of its pairs are in {other.name} too: "
                        "give one of the two"
                    )
        near.append(pairs)
    if errors:
        raise CapturedError(errors)


def _began(captured: Captured, name: str) -> Any:
    """Its first call's time, by what the file says of itself where it does."""
    metadata = pq.read_metadata(name, filesystem=captured.filesystem)
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    columns = [g.column(i) for g in groups for i in range(g.num_columns)]
    told = [c.statistics for c in columns if c.path_in_schema == "time"]
    if told and all(s is not None and s.has_min_max for s in told):
        return min(s.min for s in told)
    pairs = _read(captured, name)
    return datetime.max.replace(tzinfo=UTC) if pairs is None else pairs.times[0]


def _read(captured: Captured, name: str) -> _Pairs | None:
    """A file's pairs; None if it has none."""
    for table in named(name, _tables(captured, name)):
        if len(table):
            call, time = (pc.min_max(table[column]).as_py() for column in ("call", "time"))
            shadow = table["shadow"].cast(pa.string())
            keys = pc.binary_join_element_wise(table["call"], shadow, _APART).combine_chunks()
            return _Pairs(name, keys, tuple(call.values()), tuple(time.values()))
    return None


def _tables(captured: Captured, name: str) -> Iterator[pa.Table]:
    yield pq.read_table(name, columns=["call", "time", "shadow"], filesystem=captured.filesystem)
