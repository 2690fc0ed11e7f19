"""Production's p99 while something behind the tap goes wrong, against p99 with the tee off.

Rule: load, production and the sidecar are the same in every case, and only the trouble differs;
the tee off is a sample of nothing. k6 offers a fixed rate, a quarter of
what goes through the sidecar. The shadow shares production's cores here: what that costs by itself,
without a sidecar's doing, is measured too, by another client that calls it as often.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from benchmarks import paths
from benchmarks.account import Quiet
from benchmarks.ends import ordinary
from benchmarks.latency import PAYLOAD, capacity, offer
from benchmarks.load import METHOD, Open, prediction
from benchmarks.measure import Figure
from benchmarks.paths import Standing, children
from tests.processes import Process, free_port

OFF = "tee off"
OTHERS = f"{OFF}, another client calls the shadow"
WELL, FLOODS = "shadow well", "shadow floods (1 MiB an answer)"
BOUND = 1.15  # on p99, over that with the tee off
SHARING = (WELL, FLOODS)  # where the shadow works on production's cores
DUTY_SECONDS = 0.2  # of a saturated observer's cycle
DUTY = 0.05  # of it, it may run
KILL_SECONDS = 0.1  # between two looks for an observer to kill
SMALL_TAP = 64 << 10  # bytes: full after a fraction of a second

Shadow: TypeAlias = Callable[[], AbstractContextManager[str]]
Trouble: TypeAlias = Callable[[Standing, str, int], AbstractContextManager[None]]
"""Made for what stands, the shadow's address and production's calls a second."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong."""

    name: str
    shadow: Shadow
    trouble: Trouble
    settings: Mapping[str, object]
    fraction: float = 1.0
    quick: bool = False  # among those of a quick run


@dataclass(slots=True)
class Suffered:
    """What production's callers had of it; milliseconds."""

    p50: Figure = field(default_factory=Figure)
    p99: Figure = field(default_factory=Figure)
    p999: Figure = field(default_factory=Figure)
    ratio: Figure = field(default_factory=Figure)  # p99 over the tee's off of the same round
    calls: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Isolation:
    """What was measured, at which rate."""

    rate: int
    seconds: float
    cases: Mapping[str, Suffered]


def run(step: Callable[[str], None], quiet: Quiet, *, quick: bool) -> Isolation:
    """Measure every case."""
    repeats, most, seconds = (1, 1, 1.5) if quick else (3, 6, 4.0)
    cases = [case for case in CASES if case.quick or not quick]
    found: dict[str, Suffered] = defaultdict(Suffered)
    order = random.Random(2)
    with ordinary() as production:
        rate = 0
        for repeat in range(most):
            again = cases if repeat < repeats else _unsaid(cases, found)
            results: dict[str, Open] = {}
            for case in order.sample(again, len(again)):
                with case.shadow() as shadow:
                    way = paths.sidecar(case.fraction, settings=case.settings)
                    with way.open(production, shadow) as it:
                        if not rate:
                            step("capacity")
                            rate = int(capacity(it.address) / 4)
                        step(f"{repeat + 1}/{most} {case.name}, {rate} calls/s")
                        offer(it.address, rate, 1.0)
                        quiet()
                        with case.trouble(it, shadow, rate):
                            results[case.name] = offer(it.address, rate, seconds)
            for name, result in results.items():
                _add(found[name], result, results[OFF])
            if repeat + 1 >= repeats and not _unsaid(cases, found):
                break
    names = [case.name for case in cases]
    return Isolation(rate, seconds, {name: found[name] for name in names})


def _unsaid(cases: Sequence[Case], found: Mapping[str, Suffered]) -> list[Case]:
    """The cases whose repeats lie on both sides of the bound, and what they are compared with."""
    wide = {
        name
        for name, case in found.items()
        if min(case.ratio.values) <= BOUND < max(case.ratio.values)
    } - {OFF, OTHERS}
    beside = {OFF, *([OTHERS] if WELL in wide else [])} if wide else set()
    return [case for case in cases if case.name in wide | beside]


def _add(suffered: Suffered, result: Open, off: Open) -> None:
    suffered.p50.values.append(result.p50)
    suffered.p99.values.append(result.p99)
    suffered.p999.values.append(result.p999)
    suffered.ratio.values.append(result.p99 / off.p99)
    suffered.calls += result.calls
    suffered.failed += result.failed
    suffered.dropped += result.dropped


@contextmanager
def _nothing(it: Standing, shadow: str, rate: int) -> Iterator[None]:
    del it, shadow, rate
    yield


@contextmanager
def _others_client(it: Standing, shadow: str, rate: int) -> Iterator[None]:
    """Somebody else calls the shadow as often, at the lowest priority: what that alone costs."""
    del it
    body = Path(tempfile.gettempdir()) / f"isolation-body-{os.getpid()}"
    message = prediction(PAYLOAD)
    body.write_bytes(b"\0" + struct.pack("!I", len(message)) + message)
    command = ["h2load", "-D", "3600s", "-c", "4", "-m", "8", "-t", "1", "-d", str(body)]
    command += ["--rps", str(max(1, rate // 4)), "-H", "content-type: application/grpc"]
    command += ["-H", "te: trailers", "-w", "20", "-W", "20", f"http://{shadow}{METHOD}"]
    with Process(command, name="h2load") as client:
        os.sched_setscheduler(client.pid, os.SCHED_IDLE, os.sched_param(0))
        try:
            yield
        finally:
            body.unlink()


@contextmanager
def _stopped(it: Standing, shadow: str, rate: int) -> Iterator[None]:
    del shadow, rate
    for pid in it.behind:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in it.behind:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _starved(it: Standing, shadow: str, rate: int) -> Iterator[None]:
    """The observer gets a twentieth of a core, and can never keep up."""
    del shadow, rate

    def cycle(done: threading.Event) -> None:
        while not done.wait(DUTY_SECONDS * DUTY):
            for pid in it.behind:
                os.kill(pid, signal.SIGSTOP)
            done.wait(DUTY_SECONDS * (1 - DUTY))
            for pid in it.behind:
                os.kill(pid, signal.SIGCONT)

    with _meanwhile(cycle):
        yield


@contextmanager
def _killed(it: Standing, shadow: str, rate: int) -> Iterator[None]:
    """Every observer is killed as soon as it is seen."""
    del shadow, rate

    def hunt(done: threading.Event) -> None:
        while not done.wait(KILL_SECONDS):
            for pid in children(it.supervisor):
                if pid not in it.in_path:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    with _meanwhile(hunt):
        yield


@contextmanager
def _meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=work, args=(done,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _server(*flags: str) -> Shadow:
    return lambda: ordinary(*flags, idle=True)


@contextmanager
def _absent() -> Iterator[str]:
    yield f"127.0.0.1:{free_port()}"


_GOOD = _server()
_FULL: Mapping[str, object] = {"wire.tap_bytes": SMALL_TAP}
CASES = (
    Case(OFF, _GOOD, _nothing, {}, 0.0, quick=True),
    Case(OTHERS, _GOOD, _others_client, {}, 0.0),
    Case(WELL, _GOOD, _nothing, {}),
    Case("shadow slow (500 ms)", _server("--delay-ms", "500"), _nothing, {}),
    Case("shadow hangs", _server("--hang"), _nothing, {}, quick=True),
    Case("shadow absent", _absent, _nothing, {}),
    Case(
        FLOODS,
        _server("--flood", str(1 << 20)),
        _nothing,
        {},
        quick=True,
    ),
    Case("observer saturated (5 % of a core)", _GOOD, _starved, _FULL),
    Case("observer stopped", _GOOD, _stopped, _FULL, quick=True),
    Case("observer killed in a loop", _GOOD, _killed, {}),
)
