"""What keeping evidence costs: on the observer's loop, and in the writer's thread.

    python -m benchmarks.bench_store

Twenty criteria over fifty slices, blocks of every length, and calls in all of them each second: the
worst a configuration can ask for beside the default. `cut` is the loop's time (what changed is
found and handed over), `commit` the thread's (encoded, written, committed), both for one second of
1,000 calls; CPU time, medians of a run and the largest.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sidecar.experiment.row import Row
from sidecar.judge.criteria.kinds import ANY_CRITERION
from sidecar.judge.judge import Judge
from sidecar.judge.settings import JudgeSettings, SliceSettings
from sidecar.judge.versions import Known
from sidecar.log import Log
from sidecar.store.keeper import Keeper
from tests.judge.pairs import pair

SECOND = 1_000_000_000
OFFSET = 1_700_000_000 * SECOND
SECONDS = 25
CALLS = 1000


def measure(name: str, criteria: int, slices: int, folder: Path) -> dict[str, Any]:
    """One configuration."""
    declared = JudgeSettings(
        criteria=tuple(
            ANY_CRITERION.validate_python(
                {"kind": "disagreement", "name": f"c{i}", "margin": 0.01, "required": True}
            )
            for i in range(criteria)
        ),
        slices=(SliceSettings(source="metadata:user"),) if slices else (),
        max_slices=max(1, slices),
        repeat_seconds=0.0,
    )
    keeper = Keeper(folder / name, Log("bench"))
    judge = Judge(declared, "bench", 0, unix_offset_ns=OFFSET)
    row = Row("candidate", "rules", Known(), judge, 0)
    cuts, commits, sizes = [], [], []
    for second in range(SECONDS):
        for i in range(CALLS):
            at = second * SECOND + i * SECOND // CALLS
            call = pair(second * CALLS + i, differs=i % 200 == 0, arrived_ns=at)
            if slices:
                call = pair(
                    second * CALLS + i,
                    differs=i % 200 == 0,
                    arrived_ns=at,
                    slices=(("user", f"u{i % slices}"),),
                )
            row.observe(call, at, at + OFFSET)
        judge.snapshot((second + 1) * SECOND, row.coverage)
        began = time.process_time()
        write = row.pieces.write()
        cuts.append(time.process_time() - began)
        began = time.process_time()
        keeper.put([write])
        keeper.wait(60.0)
        commits.append(time.process_time() - began)
        sizes.append(len(write.pieces))
    size = sum(f.stat().st_size for f in (folder / name).iterdir())
    keeper.close()
    return {
        "configuration": f"{criteria} criteria x {slices or 'no'} slices",
        "pieces a second": statistics.median(sizes[3:]),
        "cut ms": _said(cuts[3:]),
        "commit ms": _said(commits[3:]),
        "bytes on disk": size,
    }


def _said(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.1f} (most {max(seconds) * 1e3:.1f})"


def main() -> None:
    """Print one line for each configuration."""
    with tempfile.TemporaryDirectory() as folder:
        for criteria, slices in ((5, 0), (5, 50), (20, 50)):
            found = measure(f"{criteria}-{slices}", criteria, slices, Path(folder))
            print("  ".join(f"{name}: {value}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
