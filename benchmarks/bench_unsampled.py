"""What a call costs the observer that is read and counted and not shadowed: CPU, nothing else.

    python -m benchmarks.bench_unsampled [--connections 4] [--streams 16] [--calls 20000]
                                         [--rounds 7] [--traced] [--fraction 1.0] [--profile]

Beside a busy production most calls are left out: the wire copies their header blocks, because HPACK
runs through all of them, and the observer finds out why each was left out and writes it in its
books. Here every call is one of those. The tap's bytes are made beforehand, as a wire makes them
where `streams` calls of a connection are read at once; the whole experiment with its default
settings reads them. Told is this thread's CPU time for each call, best and median of the rounds,
and in yardsticks (see `bench_observer_path`), for what others on the machine slow down too.
`--fraction` is what the operator asked for: of less than 1, a part was left out by choice.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import time

import hpack
import uvloop

from benchmarks.bench_observe import REQUEST, RESPONSE, TRAILERS, frame, traceparent
from benchmarks.bench_observer_path import OPEN, feed, yardstick
from sidecar.call import Direction
from sidecar.compare.comparer import Comparer
from sidecar.compare.readers.registry import Registry
from sidecar.experiment.assembly import assemble
from sidecar.experiment.session import Session
from sidecar.http2.frames import PREFACE
from sidecar.log import Log
from sidecar.settings.sources import load
from sidecar.telemetry.pairs import PairSpans
from sidecar.wire.records import VERSION, Kind, record


class Wire:
    """What a wire writes to its tap of calls that it left out."""

    def __init__(self, connections: int, streams: int, *, traced: bool) -> None:
        self._streams = streams
        self._traced = traced
        self._encoders = [(hpack.Encoder(), hpack.Encoder()) for _ in range(connections)]
        self._next = 1
        self._number = 0

    def hello(self) -> bytes:
        """The beginning of a session, with its connections."""
        settings = frame(4, 0, 0, b"")
        out = record(Kind.HELLO, 0, 0, 0, b'{"version": %d}' % VERSION)
        for conn in range(1, len(self._encoders) + 1):
            out += record(Kind.OPEN, 0, conn, time.monotonic_ns(), OPEN)
            out += record(Kind.BYTES, Direction.CLIENT, conn, 0, PREFACE + settings)
            out += record(Kind.BYTES, Direction.SERVER, conn, 0, settings)
        return out

    def batch(self) -> bytes:
        """So many calls on each connection: requests, then answers."""
        asked, told = b"", b""
        now = time.monotonic_ns()
        streams = range(self._next, self._next + 2 * self._streams, 2)
        self._next = streams.stop
        numbers = b"".join(stream.to_bytes(4, "big") for stream in streams)
        for conn, (client, server) in enumerate(self._encoders, 1):
            requests, answers = b"", b""
            for stream in streams:
                self._number += 1
                trace = (("traceparent", traceparent(self._number), True),) if self._traced else ()
                fields = (*REQUEST, *trace)
                requests += frame(1, 4, stream, client.encode(fields, huffman=False))
                answers += frame(1, 4, stream, server.encode(RESPONSE))
                answers += frame(1, 5, stream, server.encode(TRAILERS))
            asked += record(Kind.UNSAMPLED, 0, conn, now, numbers)
            asked += record(Kind.BYTES, Direction.CLIENT, conn, now, requests)
            told += record(Kind.BYTES, Direction.SERVER, conn, now, answers)
        return asked + told


async def measure(flags: argparse.Namespace) -> list[tuple[float, float]]:
    """CPU time a call of each round: in microseconds, and in yardsticks."""
    sample = {"fraction": flags.fraction}
    settings = load(environ={}, flags={"shadows": [{"address": "127.0.0.1:9"}], "sample": sample})
    dice = random.Random(5)
    environ = {"OTEL_TRACES_EXPORTER": "none"}
    spans = PairSpans(settings.telemetry, settings.shadows, lambda: 0, dice, environ=environ)
    comparer = Comparer(settings.compare, Registry.from_settings(settings.compare))
    experiment = assemble(
        settings, comparer, spans, time.monotonic_ns, dice.random, Log("bench"), unix_offset_ns=0
    )
    await experiment.start()
    session = Session(experiment.connections, Log("bench"))
    wire = Wire(flags.connections, flags.streams, traced=flags.traced)
    feed(session, wire.hello())
    profile = cProfile.Profile(time.thread_time) if flags.profile else None
    rounds = []
    each = flags.connections * flags.streams
    told = 0
    for number in range(flags.rounds + 1):  # the first warms up
        batches = [wire.batch() for _ in range(flags.calls // each)]
        told += len(batches) * each
        began = time.thread_time()
        for _ in range(5):
            yardstick()
        stick = (time.thread_time() - began) / 5
        if number and profile is not None:
            profile.enable()
        began = time.thread_time()
        for data in batches:
            feed(session, data)
        used = (time.thread_time() - began) / (len(batches) * each)
        if profile is not None:
            profile.disable()
        if number:
            rounds.append((used * 1e6, used / stick))
        experiment.sweep()
    calls = experiment.state().ledger.calls
    assert calls.check(), calls.skipped
    assert (calls.seen, calls.compared) == (told, 0), calls.skipped
    print({reason.value: n for reason, n in calls.skipped.items() if n})
    await experiment.close()
    spans.close()
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    return rounds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--traced", action="store_true", help="a trace of its own for each call")
    parser.add_argument("--profile", action="store_true")
    flags = parser.parse_args()
    rounds = uvloop.run(measure(flags))
    times = sorted(used for used, _ in rounds)
    sticks = sorted(stick for _, stick in rounds)
    middle = len(rounds) // 2
    print(
        f"{flags.connections} x {flags.streams}: {times[0]:.2f} us a call (median "
        f"{times[middle]:.2f}); {sticks[middle] * 1e3:.2f} thousandths of a yardstick "
        f"({sticks[0] * 1e3:.2f} to {sticks[-1] * 1e3:.2f})"
    )


if __name__ == "__main__":
    main()
