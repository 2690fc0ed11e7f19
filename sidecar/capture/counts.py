"""What became of the pairs that were to be captured. Counterpart: `writer`, which counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CaptureCounts:
    """What became of the pairs that were to be captured."""

    rows: int = 0  # in whole files
    open_rows: int = 0  # in the file that is being written
    capture_full: int = 0  # did not fit into the queue
    failed: int = 0  # could not be written
    misfits: int = 0  # values that did not fit their column
    files: int = 0
    deleted: int = 0  # old files, for the budget
    stopped: str = ""  # why nothing is captured now; it is tried again
