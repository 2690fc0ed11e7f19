"""Behind production in the kernel's eyes, from the first instruction on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.scenarios.stack import servers, sidecar

SAY = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"


def stepped_back(priority: str) -> tuple[int, int]:
    """Scheduling class and niceness of a process that has stepped back."""
    program = f"from sidecar.run.priority import step_back; step_back({priority!r}); {SAY}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    policy, nice = map(int, ran.stdout.split())
    return policy, nice


def test_each_priority_is_what_it_says() -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert stepped_back("idle") == (os.SCHED_IDLE, mine)
    assert stepped_back("low") == (os.SCHED_BATCH, 10)
    assert stepped_back("normal") == (os.SCHED_OTHER, mine)


@pytest.mark.parametrize(
    ("settings", "policy"),
    [({}, os.SCHED_IDLE), ({"observer.priority": "normal"}, os.SCHED_OTHER)],
)
def test_the_observer_stands_back_and_the_wire_does_not(
    settings: dict[str, object], policy: int
) -> None:
    with servers(("bytes",)) as (production,), sidecar(production, settings=settings) as it:
        assert os.sched_getscheduler(it.pids["observer"]) == policy
        assert os.sched_getscheduler(it.pids["wire"]) == os.SCHED_OTHER
