"""How a process steps back behind production, so that the kernel serves production first.

Rule: what the kernel refuses is left as it is. An idle process (SCHED_IDLE) runs on what nobody
else wants, and a core that only such a process uses counts as free when something else wakes up;
but it cannot come back from that by itself.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sidecar.settings.settings import Priority

LOW_NICE = 10
OOM_SCORE = 500  # of 1000: when memory is short, the kernel takes us before any model server


def step_back(priority: Priority) -> None:
    """Take a place behind production in this process, and in all that it starts."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")
    with contextlib.suppress(OSError):
        if priority == "idle":
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        elif priority == "low":
            os.setpriority(os.PRIO_PROCESS, 0, LOW_NICE)
            # A task of this class that wakes up never takes the core from one that is at work.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
