"""What the kernel's own books say a process has used: CPU time and peak memory.

CPU time is the sum over threads of /proc/PID/task/*/schedstat (ns on a CPU, user and system),
because /proc/PID/stat counts in ticks of 10 ms. Threads that end between two readings are lost to
it; the processes measured here keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def cpu_ns(pids: Iterable[int]) -> int:
    """Nanoseconds on a CPU so far, over all threads of the processes."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total


def peak_bytes(pids: Iterable[int]) -> int:
    """The sum of the processes' largest resident sets so far (VmHWM)."""
    return sum(_field(pid, "VmHWM") for pid in pids)


def reset_peak(pids: Iterable[int]) -> None:
    """Begin the peak anew from what is resident now."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/status has no {name}")
