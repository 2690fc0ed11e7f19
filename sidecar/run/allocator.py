"""What the C library keeps of memory that was freed, and what it gives back to the machine.

Rule: an observer that was stopped for a while, or is flooded, holds much for a moment; without
this its process keeps it for good, in pieces between what lives on, in one arena for each thread.
Where the C library is not glibc nothing is done. Counterpart: `observer`, which calls it.
"""

from __future__ import annotations

import contextlib
import ctypes

M_ARENA_MAX = -8  # malloc.h


def one_arena() -> None:
    """Have all threads that begin from now on take memory from the same place."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Give whole free pages back to the machine, wherever they lie; some milliseconds at most."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
