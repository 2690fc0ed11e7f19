"""What one compared call costs the observer, from the tap's bytes to the judge: CPU, nothing else.

    python -m benchmarks.bench_observer_path [--streams 8] [--calls 4000] [--rounds 5] [--size 200]
                                             [--sample 1.0] [--traced] [--stages]
                                             [--profile]

The same recorded conversation is fed to a whole experiment with its default settings, `streams`
calls at a time; a real server answers the copies over a real socket. What is told is this
thread's CPU time (`time.thread_time`, the kernel's share of the socket included) for each call,
the best round of several, because others on the machine can only make it worse. On a busy machine
that is not enough: beside it stands what the same rounds needed in yardsticks, a piece of plain
Python that is run between the batches and slowed down by the same neighbours. `--stages` says which
stage the time goes to, by a timer of CPU time; of compiled functions Python knows no frames, so it
is about the build as Python. `--profile` says which functions, by cProfile, which adds its own cost
to each: shares, not times. Compare two trees, or two builds, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import re
import signal
import time
from collections import Counter
from types import FrameType

import hpack
import uvloop

from benchmarks.bench_observe import REQUEST, RESPONSE, TRAILERS, frame, traceparent
from benchmarks.bench_observe import data as data_frames
from benchmarks.ends import echoes
from benchmarks.load import prediction
from benchmarks.profile import OUTSIDE, STAGES
from sidecar.call import Direction
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.assembly import assemble
from sidecar.experiment.session import READ_BYTES, Session
from sidecar.http2.frames import PREFACE
from sidecar.judge.pair import JudgedPair
from sidecar.log import Log
from sidecar.run.observer import spare_the_collector
from sidecar.settings.sources import load
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import VERSION, Kind, record

OPEN = b'{"peer": "10.0.0.1:1", "listen": "127.0.0.1:9000", "upstream": "127.0.0.1:9001"}'
YARDSTICK_EVERY = 20  # batches


def yardstick() -> None:
    """A piece of work like ours: small objects, dictionaries, bytes. About a millisecond."""
    counts: dict[tuple[int, str], float] = {}
    for number in range(1500):
        key = (number % 50, "name")
        counts[key] = counts.get(key, 0.0) + len(b"%d" % number)
    sorted(counts.items())


class Stages:
    """Samples of the innermost function of ours, by CPU time."""

    EVERY = 0.001  # seconds of CPU time

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.rules = [(name, re.compile(pattern)) for name, pattern in STAGES]

    def on(self) -> None:
        """Begin to sample."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, self.EVERY, self.EVERY)

    def off(self) -> None:
        """Stop."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        while frame is not None:
            path = frame.f_code.co_filename
            if "/sidecar/" in path:
                name = next((n for n, rule in self.rules if rule.search(path)), OUTSIDE)
                self.seen[name] += 1
                return
            frame = frame.f_back
        self.seen[OUTSIDE] += 1


class Wire:
    """What a wire would write to its tap: `streams` connections with one call at a time each."""

    def __init__(self, streams: int, size: int, sample: float, *, traced: bool) -> None:
        self._traced = traced
        self._message = prediction(size)
        self._sample = sample
        self._dice = random.Random(1)
        self._streams = streams
        self._encoders = [(hpack.Encoder(), hpack.Encoder()) for _ in range(streams)]
        self._next = 1
        self._number = 0

    def hello(self) -> bytes:
        """The beginning of a session, with its connections."""
        settings = frame(4, 0, 0, b"")
        out = record(Kind.HELLO, 0, 0, 0, b'{"version": %d}' % VERSION)
        for conn in range(1, self._streams + 1):
            out += record(Kind.OPEN, 0, conn, self._now(), OPEN)
            out += self._bytes(conn, Direction.CLIENT, PREFACE + settings)
            out += self._bytes(conn, Direction.SERVER, settings)
        return out

    def batch(self) -> tuple[bytes, int]:
        """One call on each connection, its request and its answer, and how many were sampled."""
        asked, told, stream = b"", b"", self._next
        sampled = 0
        for conn, (client, server) in enumerate(self._encoders, 1):
            self._number += 1
            trace = (("traceparent", traceparent(self._number), True),) if self._traced else ()
            fields = (*REQUEST, *trace)
            request = frame(1, 4, stream, client.encode(fields, huffman=False))
            answer = frame(1, 4, stream, server.encode(RESPONSE))
            if self._dice.random() < self._sample:
                sampled += 1
                request += data_frames(stream, self._message) + frame(0, 1, stream, b"")
                answer += data_frames(stream, self._message)
            else:
                number = stream.to_bytes(4, "big")
                asked += record(Kind.UNSAMPLED, 0, conn, self._now(), number)
            answer += frame(1, 5, stream, server.encode(TRAILERS))
            asked += self._bytes(conn, Direction.CLIENT, request)
            told += self._bytes(conn, Direction.SERVER, answer)
        self._next += 2
        return asked + told, sampled

    def _bytes(self, conn: int, direction: Direction, data: bytes) -> bytes:
        return b"".join(
            record(Kind.BYTES, direction, conn, self._now(), data[at : at + 65536])
            for at in range(0, len(data), 65536)
        )

    def _now(self) -> int:
        return time.monotonic_ns()


async def measure(  # noqa: PLR0915 - from the first call to the last
    shadow: str, flags: argparse.Namespace, stages: Stages
) -> list[tuple[float, float]]:
    """CPU time a call of each round: in microseconds, and in yardsticks."""
    settings = load(environ={}, flags={"shadows": [{"address": shadow}]})
    dice = random.Random(5)
    environ = {"OTEL_TRACES_EXPORTER": "none"}
    spans = PairSpans(settings.telemetry, settings.shadows, lambda: 0, dice, environ=environ)
    waiting = 0
    done = asyncio.Event()

    def judged(name: str, pair: JudgedPair) -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            done.set()

    comparer = Comparer(settings.compare, Registry.from_settings(settings.compare))
    experiment = assemble(
        settings,
        comparer,
        spans,
        time.monotonic_ns,
        dice.random,
        Log("bench"),
        listeners=[judged],
        unix_offset_ns=time.time_ns() - time.monotonic_ns(),
    )
    await experiment.start()
    session = Session(experiment.connections, Log("bench"))
    wire = Wire(flags.streams, flags.size, flags.sample, traced=flags.traced)
    feed(session, wire.hello())
    spare_the_collector()
    profile = cProfile.Profile(time.thread_time) if flags.profile else None
    rounds = []
    for number in range(flags.rounds + 1):  # the first warms up
        batches = [wire.batch() for _ in range(flags.calls // flags.streams)]
        measured = number > 0
        if measured and profile is not None:
            profile.enable()
        if measured and flags.stages:
            stages.on()
        used = measure = 0.0
        began = time.thread_time()
        for i, (data, sampled) in enumerate(batches):
            if not i % YARDSTICK_EVERY:
                before = time.thread_time()
                used += before - began
                yardstick()
                began = time.thread_time()
                measure += began - before
            waiting = sampled
            done.clear()
            feed(session, data)
            if waiting:
                await done.wait()
        used += time.thread_time() - began
        stages.off()
        if profile is not None:
            profile.disable()
        if measured:
            each = used / (len(batches) * flags.streams)
            one = measure / -(-len(batches) // YARDSTICK_EVERY)
            rounds.append((each * 1e6, each / one))
        experiment.sweep()
    calls = experiment.state().ledger.calls
    assert calls.compared or not flags.sample, calls.skipped
    await experiment.close()
    spans.close()
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    return rounds


def feed(session: Session, data: bytes) -> None:
    """Hand bytes to a session as its socket does: in reads of `READ_BYTES` at most."""
    for at in range(0, len(data), READ_BYTES):
        chunk = data[at : at + READ_BYTES]
        session.get_buffer(len(chunk))[: len(chunk)] = chunk
        session.buffer_updated(len(chunk))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--sample", type=float, default=1.0)
    parser.add_argument(
        "--traced", action="store_true", help="by callers that record: spans of all"
    )
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--profile", action="store_true")
    flags = parser.parse_args()
    stages = Stages()
    with echoes(1) as (shadow,):
        rounds = uvloop.run(measure(shadow, flags, stages))
    best = min(used for used, _ in rounds)
    shown = " ".join(f"{used:.0f}" for used, _ in sorted(rounds))
    sticks = sorted(measure for _, measure in rounds)
    print(
        f"{flags.streams} streams, {flags.size} B: {best:.1f} us a call ({shown}); "
        f"{sticks[len(sticks) // 2]:.3f} yardsticks ({sticks[0]:.3f} to {sticks[-1]:.3f})"
    )
    total = stages.seen.total()
    for name, seen in stages.seen.most_common():
        print(f"  {name:<22}{seen / total:6.1%}{seen / total * best:7.1f} us")


if __name__ == "__main__":
    main()
