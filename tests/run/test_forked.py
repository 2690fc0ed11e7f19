"""A child that is forked: how it ends is told, and nothing of its parent's goes on in it."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import pytest

from sidecar.demo.process import Process
from tests.processes import accepts, http_json, server

# In a process of its own: who forks has no threads.
SCRIPT = """
import asyncio, atexit, os, sys
from sidecar.run.forked import Forked

{first}
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

# As on a kernel before 5.3, and in some sandboxes.
NO_PIDFD = """
def absent(pid):
    raise OSError(38, "not implemented")
os.pidfd_open = absent
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
@pytest.mark.parametrize("first", ["", NO_PIDFD], ids=["", "no pidfd"])
def test_how_a_forked_child_ends_is_told_to_whoever_waits(work: str, code: int, first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(work=work, first=first)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == f"up [{code}, {code}] {code}\ntidied up by True\n"
    assert ("a defect" in done.stderr) == ("a defect" in work)


# What `python -m sidecar` does, where the machine has no process left to fork.
NO_FORK = """
import os, sys
def refuse():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = refuse
from sidecar.run.cli import main
main()
"""


def test_where_no_observer_can_be_forked_production_is_served_and_one_is_started() -> None:
    with server("bytes") as production, tempfile.TemporaryDirectory(prefix="tap-") as folder:
        flags = ["--listen", "127.0.0.1:0", "--upstream", production.wait_ready()["address"]]
        flags += ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--print-ready"]
        flags += ["--tap", f"{folder}/tap.sock"]
        with Process([sys.executable, "-c", NO_FORK, "run", *flags], name="sidecar") as process:
            ready = process.wait_ready(60)
            assert accepts(ready["listen"][0])()
            assert http_json(ready["http"], "/status")["calls"]["seen"] == 0


@pytest.mark.parametrize("later", ["pass", "os.execv(sys.executable, [sys.executable, '-c', HUP])"])
def test_a_reload_that_is_asked_for_before_a_child_is_up_does_not_end_it(later: str) -> None:
    script = (
        "import os, sys\nfrom sidecar.run.supervise import prepare\nprepare('normal')\n"
        f"HUP = 'import os; os.kill(os.getpid(), 1); print(1)'\n{later}\nexec(HUP)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "1\n"
