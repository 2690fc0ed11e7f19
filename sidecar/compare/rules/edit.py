"""Rule `edit`: edits (Levenshtein) / the longer text's length.

An upper bound of it for texts that differ over more than `BLOCK` characters.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sidecar.compare.payload import Output
from sidecar.compare.rules.finding import Finding, Rule, Tuning, graded
from sidecar.compare.rules.texts import normalized

BLOCK: Final = 512  # characters whose edits are counted exactly: half a million steps
MAX_BLOCKS: Final = 16  # of one output; what is beyond counts as edited


def _compare(a: Output, b: Output, rule: Tuning) -> Finding:
    total, blocks = 0.0, MAX_BLOCKS
    for data, other in zip(a.array.ravel(), b.array.ravel(), strict=True):
        if data == other:
            continue
        x, y = normalized(data), normalized(other)
        if x is None or y is None:
            total += 1
        else:
            count, blocks = edits(x, y, blocks)
            total += count / max(len(x), len(y), 1)
    return graded("edit", total / max(a.array.size, 1), rule)


def edits(a: str, b: str, blocks: int = MAX_BLOCKS) -> tuple[int, int]:
    """Count the insertions, deletions and replacements from one text to the other.

    Exact where the texts differ over no more than `BLOCK` characters; else an upper bound: the
    edits of block against block, and all of what is beyond `blocks` of them. Returns the count and
    how many blocks are left.
    """
    a, b = _trimmed(a, b)
    if not a or not b:
        return len(a) + len(b), blocks
    longer = max(len(a), len(b))
    used = min(blocks, -(-longer // BLOCK))
    parts = (slice(i * BLOCK, (i + 1) * BLOCK) for i in range(used))
    count = sum(_levenshtein(a[part], b[part]) for part in parts)
    return count + max(0, longer - used * BLOCK), blocks - used


def _trimmed(a: str, b: str) -> tuple[str, str]:
    """Leave out what both texts begin and end with: it needs no edits."""
    shorter = min(len(a), len(b))
    start = 0
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return a[start : len(a) - end], b[start : len(b) - end]


def _levenshtein(a: str, b: str) -> int:
    """Wagner and Fischer's table, a row at a time.

    Insertions run along a row: the best of them is a running minimum once their cost, one for each
    place, is taken off.
    """
    target = np.array([ord(c) for c in b], np.int32)
    places = np.arange(len(b) + 1, dtype=np.int32)
    row = places.copy()
    for i, character in enumerate(a, start=1):
        best = np.empty_like(row)
        best[0] = i
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (target != ord(character)))
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


RULE: Final = Rule("edit", "O", frozenset({"max_score"}), _compare)
