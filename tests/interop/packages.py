"""Debian packages that the tests run: `python -m tests.interop.packages` installs them.

Rule: as root on Debian or Ubuntu it installs; elsewhere it names the packages, and the tests that
need them say so too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

PACKAGES: Mapping[str, str] = {
    # command: package
    "chromium": "chromium",
    "gcc": "build-essential",
    "ip": "iproute2",
    "iptables": "iptables",
    "java": "default-jre-headless",
    "npm": "npm",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "setpriv": "util-linux",
}


def missing() -> list[str]:
    """The packages whose commands are not here."""
    wanted = {package for command, package in PACKAGES.items() if not _found(command)}
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        wanted.add("python3-dev")  # with gcc, for the compiled build
    return sorted(wanted)


def _found(command: str) -> bool:
    # Daemons' and administrators' programs may lie outside a user's path.
    return shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None


def main() -> int:
    """Install what is missing, if that can be done here."""
    wanted = missing()
    if not wanted:
        return 0
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"Some tests need these packages: {' '.join(wanted)}", file=sys.stderr)
        return 0
    print(f"Installing {' '.join(wanted)}", flush=True)
    # RUNLEVEL=1 keeps packages from starting their services: the tests start their own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
    return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
