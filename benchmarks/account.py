"""What the kernel's own books say a process has used: CPU time and peak memory.

CPU time is what the scheduler measured, user and system, in nanoseconds: /proc/PID/stat counts in
ticks of 10 ms.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

CPUCLOCK_SCHED = 2  # linux/posix-timers.h
QUIET_LOOK = 0.15  # seconds
QUIET_SHARE = 0.2  # of all cores


def cpu_ns(pids: Iterable[int]) -> int:
    """Nanoseconds on a CPU so far, over all threads of the processes, also those that have ended.

    By the processes' CPU clocks: clock_getcpuclockid(3), which Python does not have.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids)


def cpu_ns_by_thread(pid: int) -> dict[str, int]:
    """Nanoseconds on a CPU so far by the threads' names; threads of one name are added up."""
    threads: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended since it was listed
            name = (task / "comm").read_text().strip()
            used = int((task / "schedstat").read_text().split()[0])
            threads[name] = threads.get(name, 0) + used
    return threads


def settle(pids: Sequence[int], *, idle: float = 0.05, timeout: float = 10.0) -> None:
    """Wait until the processes use less than this share of a core: the work is done."""
    window = 0.1
    deadline = time.monotonic() + timeout
    before = cpu_ns(pids)
    while time.monotonic() < deadline:
        time.sleep(window)
        now = cpu_ns(pids)
        if (now - before) / 1e9 / window < idle:
            return
        before = now


def resident_bytes(pids: Iterable[int]) -> int:
    """The sum of the processes' resident sets."""
    return sum(_field(pid, "VmRSS") for pid in pids)


def machine_busy() -> tuple[float, float]:
    """Seconds that all cores together were busy, and seconds that they were there."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    return (sum(fields) - fields[3] - fields[4]) / ticks, sum(fields) / ticks


class Quiet:
    """Waits, before something is measured, while somebody else uses the machine.

    Args:
        budget: seconds to wait for at most, all in all.
    """

    def __init__(self, budget: float) -> None:
        self.left = budget
        self.waited = 0.0
        self.looks = 0
        self.noisy = 0  # looks after which somebody else was still at work

    def __call__(self) -> None:
        """Wait; nothing that is measured may be at work."""
        self.looks += 1
        while not self._is_quiet():
            if self.left <= 0:
                self.noisy += 1
                return
            self.left -= QUIET_LOOK
            self.waited += QUIET_LOOK

    @staticmethod
    def _is_quiet() -> bool:
        busy, whole = machine_busy()
        time.sleep(QUIET_LOOK)
        now_busy, now_whole = machine_busy()
        return now_busy - busy <= QUIET_SHARE * (now_whole - whole)


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
