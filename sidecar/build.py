"""Which of the two builds of the one source runs: as Python, or compiled (`setup.py`)."""

from __future__ import annotations

from typing import Final

from sidecar import call

BUILD: Final = "python" if call.__file__.endswith((".py", ".pyc")) else "compiled"
