"""A fuzzer led by coverage: `make fuzz`, or `python -m tests.fuzz.fuzz TARGET [libFuzzer's flags]`.

Rule: whatever bytes come in, a target answers or refuses with the error that it declares, within
50 ms of CPU time and 64 MiB. An input that does not is kept by libFuzzer as `crash-*`, and becomes
an example in the tests. `tests/fuzz/corpus/TARGET` holds what is worth beginning with, and stays
small: what a run finds goes to a folder of its own. Counterpart: the tests beside this file, by
Hypothesis, which know what the right answer is.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

CPU_NS: Final = 50_000_000
BYTES: Final = 64 << 20
CORPUS: Final = Path(__file__).with_name("corpus")
_OPEN: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


class TooMuchError(Exception):
    """An input took more time or memory than any input may."""


def walker(data: bytes) -> None:
    """The wire's walk, each chunk as long as its first byte says, in turns of the two sides."""
    from sidecar.wire.frames import Walker
    from sidecar.wire.stats import Tally
    from tests.wire.walks import sampler

    draws = sampler()
    it = Walker(draws, Tally())
    direction = 0
    it.feed(0, _OPEN, 1 << 30, 1 << 30)
    while data:
        size = data[0] + 1
        chunk, data = data[1:size], data[size:]
        while chunk:
            it.rest = 0
            draws.everything = bool(size & 1)
            it.feed(direction, chunk, size * 400, size * 100)
            chunk = chunk[len(chunk) - it.rest :] if it.rest else b""
        direction ^= 1


def tap(data: bytes) -> None:
    """The tap's records, as the observer reads them."""
    from sidecar.observe.tap import Record, TapError, TapReader
    from sidecar.wire.records import VERSION, Kind, record

    reader = TapReader()
    hello = record(Kind.HELLO, 0, 0, 0, b'{"version": %d}' % VERSION)
    try:
        for chunk in (hello, data[:7], data[7:]):
            items: list[Record] = []
            reader.feed(chunk, items)
            for item in items:
                if item.kind is Kind.UNSAMPLED:
                    item.numbers  # noqa: B018 - reading is what is tried
                elif item.kind in {Kind.HELLO, Kind.OPEN, Kind.STATS}:
                    item.json()
                item.text  # noqa: B018
    except TapError:
        pass


def connection(data: bytes) -> None:
    """Both sides of an observed connection: HTTP/2, HPACK and gRPC's messages."""
    from sidecar.call import Direction
    from sidecar.observe.connection import Connection

    it = Connection(1, "peer", lambda _: True)
    it.feed(Direction.CLIENT, _OPEN, 0)
    it.feed(Direction.SERVER, _OPEN[-9:], 0)
    sides = (Direction.CLIENT, Direction.SERVER)
    number = 0
    while data:
        size = data[0] + 1
        it.feed(sides[number % 2], data[1:size], number)
        data = data[size:]
        number += 1
    it.close(Direction.CLIENT, "eof", number)
    assert it.buffered_bytes == 0


def hpack(data: bytes) -> None:
    """Header blocks, one after the other."""
    from sidecar.http2.headers import HeaderDecoder, HeaderError
    from sidecar.http2.heads import request_head, response_head

    decoders = (HeaderDecoder(request_head, 65536), HeaderDecoder(response_head, 65536))
    try:
        while data:
            size = data[0] + 1
            for decoder in decoders:
                decoder.decode(data[1:size])
            data = data[size:]
    except HeaderError:
        pass


def messages(data: bytes) -> None:
    """gRPC's messages, plain and compressed."""
    from sidecar.call import SkipReason
    from sidecar.http2.budget import Budget
    from sidecar.http2.limits import ReadLimits
    from sidecar.http2.messages import MessageReader

    for encoding in ("identity", "gzip", "deflate", "nobody's"):
        reader = MessageReader(
            encoding, 1 << 20, SkipReason.REQUEST_TOO_LARGE, ReadLimits(), Budget(4 << 20)
        )
        reader.feed(data)


def payloads(data: bytes) -> None:
    """Every payload reader, as a request and as an answer."""
    from sidecar.compare.payload import UndecodableError
    from sidecar.compare.readers.protocols import READERS

    for reader in READERS.values():
        for read in (reader.read_request, reader.read_response):
            with contextlib.suppress(UndecodableError):
                read(data)


def descriptors(data: bytes) -> None:
    """A file of descriptors."""
    from sidecar.compare.readers.descriptors import readers

    with contextlib.suppress(ValueError):
        readers(data)


def configuration(data: bytes) -> None:
    """A configuration file."""
    from sidecar.fields import ConfigError
    from sidecar.settings.sources import load

    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ConfigError):
            load(Path(file.name), environ={})


def review(data: bytes) -> None:
    """What Kubernetes asks the webhook."""
    from sidecar.kube.admission import MalformedReviewError, answer

    with contextlib.suppress(MalformedReviewError):
        answer(data, {})


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each
    for each in (
        walker,
        tap,
        connection,
        hpack,
        messages,
        payloads,
        descriptors,
        configuration,
        review,
    )
}


def bounded(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target, which fails where it takes too much.

    Time is the thread's on a CPU, so that a busy machine condemns nothing, and the least of three
    tries, so that a first import does not.
    """

    def once(data: bytes) -> int:
        before = time.thread_time_ns()
        target(data)
        return time.thread_time_ns() - before

    def tried(data: bytes) -> None:
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took = once(data)
        if took > CPU_NS and (took := min(once(data), once(data))) > CPU_NS:
            raise TooMuchError(f"{took / 1e6:.0f} ms")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) << 10
        if grown > BYTES:
            raise TooMuchError(f"{grown >> 20} MiB")

    return tried


def main() -> None:
    """Fuzz one target until a flag of libFuzzer's, such as -max_total_time, ends it."""
    import atheris

    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"which one? {', '.join(TARGETS)}")
    with atheris.instrument_imports(include=["sidecar"]):
        TARGETS[name](b"")  # imports what it needs
    with tempfile.TemporaryDirectory(prefix="fuzz-") as found:
        begin = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
        flags = [sys.argv[0], *sys.argv[2:], "-max_len=16384", found, *begin]
        atheris.Setup(flags, bounded(TARGETS[name]))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
