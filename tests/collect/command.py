"""`shadow-sidecar collect` as a process, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import Process, free_port, http_json, is_ready, python
from tests.scenarios.stack import Sidecar
from tests.scenarios.verdicts import predict


@dataclass(frozen=True)
class Collecting:
    """A collector that has asked everybody at least once."""

    address: str
    process: Process

    def verdict(self, shadow: str = "") -> dict[str, Any]:
        """What it says of a shadow; without a state while nobody has told of one."""
        try:
            query = f"?shadow={shadow}" if shadow else ""
            found: dict[str, Any] = http_json(self.address, f"/verdict{query}")
        except OSError:
            return {"state": "", "calls": 0, "missing": {}, "service": {"gone": 0}}
        return found

    def wait_all_heard(self) -> None:
        """Until every pod has answered, which on a busy machine may not be in the first round."""

        def heard() -> bool:
            verdict = self.verdict()
            return bool(verdict["state"]) and not verdict["missing"]

        self.process.wait_until(heard)

    def wait_calls(self, calls: int, shadow: str = "") -> None:
        """Until it has heard of so many."""
        self.process.wait_until(lambda: self.verdict(shadow)["calls"] >= calls)

    def wait_decided(self, shadow: str = "") -> None:
        """Until it says PASS or FAIL."""
        self.process.wait_until(lambda: self.verdict(shadow)["state"] in {"PASS", "FAIL"})


def enough(pod: Sidecar, calls: int) -> int:
    """Predictions until it has judged so many: a busy machine leaves some out. How many then."""
    asked = 0
    while (judged := int(http_json(pod.http, "/verdict")["calls"])) < calls:
        asyncio.run(predict(pod.address, range(asked, asked + calls - judged)))
        asked += calls - judged
        pod.settled(asked)
    return judged


def is_up(address: str) -> bool:
    """Whether it listens, and has asked everybody."""
    try:
        return is_ready(address)()
    except OSError:
        return False


@contextmanager
def collecting(data: Path, services: Sequence[str], *more: str) -> Iterator[Collecting]:
    """Start one, a round every fifth of a second."""
    address = f"127.0.0.1:{free_port()}"
    flags = [f"--service={name}" for name in services]
    where = [f"--data={data}", f"--listen={address}", "--every=0.2"]
    with python("sidecar", "collect", *flags, *where, *more) as process:
        process.wait_until(lambda: is_up(address))
        yield Collecting(address, process)
