"""What one compared call costs the observer, from the tap's bytes to the judge: CPU, nothing else.

    python -m benchmarks.bench_observer_path [--streams 8] [--calls 4000] [--rounds 5] [--size 200]
                                             [--sample 1.0] [--traced] [--profile]

The same recorded conversation is fed to a whole experiment with its default settings, `streams`
calls at a time; a real server answers the copies over a real socket. What is told is this
process's CPU time (`time.process_time`, the kernel's share of the socket included) for each call,
the best round of several, because others on the machine can only make it worse. `--profile` says
which functions of ours it goes to, by cProfile, which counts Python's functions and adds its own
cost to each: shares, not times. Compare two trees, or two builds, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import time

import hpack
import uvloop

from benchmarks.bench_observe import REQUEST, RESPONSE, TRAILERS, frame, traceparent
from benchmarks.bench_observe import data as data_frames
from benchmarks.ends import echoes
from benchmarks.load import prediction
from sidecar.call import Direction
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.assembly import assemble
from sidecar.experiment.session import READ_BYTES, Session
from sidecar.http2.frames import PREFACE
from sidecar.judge.pair import JudgedPair
from sidecar.log import Log
from sidecar.settings.sources import load
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import VERSION, Kind, record

OPEN = b'{"peer": "10.0.0.1:1", "listen": "127.0.0.1:9000", "upstream": "127.0.0.1:9001"}'


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


async def measure(shadow: str, flags: argparse.Namespace) -> list[float]:
    """Microseconds of CPU a call, of each round."""
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
    _feed(session, wire.hello())
    profile = cProfile.Profile() if flags.profile else None
    rounds = []
    for number in range(flags.rounds + 1):  # the first warms up
        batches = [wire.batch() for _ in range(flags.calls // flags.streams)]
        if profile is not None and number:
            profile.enable()
        began = time.process_time()
        for data, sampled in batches:
            waiting = sampled
            done.clear()
            _feed(session, data)
            if waiting:
                await done.wait()
        used = time.process_time() - began
        if profile is not None:
            profile.disable()
        if number:
            rounds.append(used / (len(batches) * flags.streams) * 1e6)
        experiment.sweep()
    calls = experiment.state().ledger.calls
    assert calls.compared or not flags.sample, calls.skipped
    await experiment.close()
    spans.close()
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    return rounds


def _feed(session: Session, data: bytes) -> None:
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
    parser.add_argument("--profile", action="store_true")
    flags = parser.parse_args()
    with echoes(1) as (shadow,):
        rounds = uvloop.run(measure(shadow, flags))
    shown = " ".join(f"{one:.1f}" for one in sorted(rounds))
    print(f"{flags.streams} streams, {flags.size} B: {min(rounds):.1f} us a call ({shown})")


if __name__ == "__main__":
    main()
