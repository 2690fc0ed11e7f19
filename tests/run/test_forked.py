"""A child that is forked: how it ends is told, and nothing of its parent's goes on in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own: who forks has no threads.
SCRIPT = """
import asyncio, atexit, os, sys
from sidecar.run.forked import Forked

atexit.register(lambda: print("tidied up by", os.getpid() == parent))
parent = os.getpid()

def work(ready_fd):
    os.write(ready_fd, b"up")
    {work}

child = Forked(work)
said = os.read(child.ready_fd, 9)

async def twice():
    return await asyncio.gather(child.wait(), child.wait())

print(said.decode(), asyncio.run(twice()), child.returncode)
"""


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("return 0", 0),
        ("return 7", 7),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('a text')", 70),
        ("raise ValueError('a defect')", 70),
        ("os.kill(os.getpid(), 9)", -9),
    ],
)
def test_how_a_forked_child_ends_is_told_to_whoever_waits(work: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(work=work)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == f"up [{code}, {code}] {code}\ntidied up by True\n"
    assert ("a defect" in done.stderr) == ("a defect" in work)
