"""Memory that was freed is the machine's again."""

from __future__ import annotations

import subprocess
import sys

# Pieces too small to be mapped by themselves, and what lives on between them: nothing is given back
# by itself. Memory is what the kernel counts.
PROGRAM = """
from pathlib import Path
from threading import Thread
from sidecar.run.allocator import give_back, one_arena

def resident():
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmRSS:") + 1]) << 10

def use():
    global kept
    pieces = [bytes(20_000) for _ in range(3_000)]
    kept = pieces[::20]

one_arena()
before = resident()
busy = Thread(target=use)
busy.start()
busy.join()
held = resident() - before
give_back()
print(held, resident() - before)
"""


def test_what_a_burst_held_is_given_back_though_some_of_it_lives_on() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    held, left = map(int, ran.stdout.split())
    assert held > 40_000_000
    assert left < held / 3
