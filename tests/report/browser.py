"""Headless Chromium, as the tests of the page use it.

Rule: a machine without Chromium fails the tests, with the command that installs it; a page that
nobody has looked at is not tested.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--dump-dom",
)
PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser made of a page."""

    dom: str
    console: tuple[str, ...]  # every line that the page wrote, or that was said about it


def visit(url: str, profile: Path, *, page_ms: int) -> Visit:
    """Open a page and stay for so much of its own time, in which timers fire at once.

    Args:
        url: of the page.
        profile: an empty directory.
        page_ms: the page's time; it stands still while something is being fetched.
    """
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.fail("no Chromium on this machine: apt-get install chromium")
    words = [browser, *FLAGS, f"--user-data-dir={profile}", f"--virtual-time-budget={page_ms}"]
    done = subprocess.run(
        [*words, url], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    return Visit(done.stdout, tuple(x for x in done.stderr.splitlines() if "CONSOLE" in x))
