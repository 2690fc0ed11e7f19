"""The `shadow-sidecar` command's first lines: what is loaded, and what only later.

Rule: production's path loads the standard library only, by this name too; numpy is loaded when a
call or a verdict needs it, by whichever command that is.
Counterparts: `commands`, which has them all; `processes`, those two that are at work all day.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command that the arguments name."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "wire":
        from sidecar.wire.cli import main as wire

        raise SystemExit(wire(sys.argv[2:]))
    from sidecar.run.later import later

    later("numpy")
    if command in {"run", "observe"}:
        # Our matrices are small, and who forks must have no threads: before numpy is loaded.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        from sidecar.run.processes import app
    else:
        from sidecar.run.commands import app
    app()
