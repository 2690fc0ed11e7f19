"""What reading a call costs, in microseconds of one core, by stage.

Run with `python -m benchmarks.bench_observe`.

Bytes are made beforehand; nothing but the reader is timed. Each figure is the best of several
rounds, because other processes can only make one slower. Header blocks are read by hpack's own
decoder too, for comparison.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import hpack

from sidecar.call import Direction, Started
from sidecar.http2.frames import HEADER, PREFACE
from sidecar.http2.headers import HeaderDecoder
from sidecar.http2.heads import request_head
from sidecar.observe.connection import Connection
from sidecar.observe.tap import TapReader
from sidecar.wire.records import VERSION, Kind, record

CALLS = 2000
ROUNDS = 7
REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/inference.GRPCInferenceService/ModelInfer"),
    (":authority", "model:8001"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-python/1.80.0 grpc-c/52.0.0 (linux; chttp2)"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
)
RESPONSE = ((":status", "200"), ("content-type", "application/grpc"))
TRAILERS = (("grpc-status", "0"),)


def traceparent(number: int) -> str:
    return f"00-{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}-{number * 77:016x}-01"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def request_blocks(fresh: bool, huffman: bool, index: bool = True) -> list[bytes]:
    encoder = hpack.Encoder()
    blocks = []
    for number in range(CALLS):
        value = traceparent(number if fresh else 1)
        field = ("traceparent", value, not index)
        blocks.append(encoder.encode((*REQUEST, field), huffman=huffman))
    return blocks


def data(stream: int, message: bytes) -> bytes:
    """The message's DATA, in frames of 16 KiB, without END_STREAM."""
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return b"".join(frame(0, 0, stream, body[at : at + 16384]) for at in range(0, len(body), 16384))


def conversation(calls: int, size: int) -> list[tuple[Direction, bytes]]:
    """One connection, unary calls one after the other, in reads of at most 64 KiB."""
    client, server = hpack.Encoder(), hpack.Encoder()
    hands = frame(4, 0, 0, b"")
    chunks = [(Direction.CLIENT, PREFACE + hands), (Direction.SERVER, hands)]
    for number in range(calls):
        stream = 2 * number + 1
        fields = (*REQUEST, ("traceparent", traceparent(number), True))
        asked = frame(1, 4, stream, client.encode(fields, huffman=False))
        asked += data(stream, bytes(size)) + frame(0, 1, stream, b"")
        told = frame(1, 4, stream, server.encode(RESPONSE)) + data(stream, bytes(size))
        told += frame(1, 5, stream, server.encode(TRAILERS))
        for direction, whole in ((Direction.CLIENT, asked), (Direction.SERVER, told)):
            chunks += [(direction, whole[at : at + 65536]) for at in range(0, len(whole), 65536)]
    return chunks


def best(work: Callable[[], object], calls: int) -> float:
    """Microseconds a call."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) / calls * 1e6


def bench_headers() -> None:
    print("request header block                             hpack      ours")
    for title, blocks in (
        ("traceparent fresh, Huffman, indexed", request_blocks(True, True)),
        ("traceparent fresh, Huffman, not indexed", request_blocks(True, True, False)),
        ("traceparent fresh, plain, not indexed (grpcio)", request_blocks(True, False, False)),
        ("all fields indexed", request_blocks(False, True)),
    ):

        def plain(blocks: Sequence[bytes] = blocks) -> None:
            decoder = hpack.Decoder()
            for block in blocks:
                decoder.decode(block)

        def ours(blocks: Sequence[bytes] = blocks) -> None:
            decoder = HeaderDecoder(request_head, 65536)
            for block in blocks:
                decoder.decode(block)

        print(f"  {title:46} {best(plain, CALLS):6.1f}    {best(ours, CALLS):6.1f} us")


def bench_connection(size: int, calls: int) -> None:
    chunks = conversation(calls, size)
    records = [record(Kind.HELLO, 0, 0, 0, b'{"version": %d}' % VERSION)]
    records += [record(Kind.BYTES, direction, 1, 1, chunk) for direction, chunk in chunks]

    def read(answer: bool) -> None:
        def wants(started: Started) -> bool:
            return answer

        connection = Connection(1, "10.0.0.1:1", wants)
        for direction, chunk in chunks:
            connection.feed(direction, chunk, 1)
        assert connection.state == "open", connection.why

    def tap() -> None:
        reader = TapReader()
        for chunk in records:
            reader.feed(chunk, [])

    print(f"unary call of {size} bytes both ways")
    print(f"  tap records      {best(tap, calls):8.1f} us")
    print(f"  unwanted call    {best(lambda: read(False), calls):8.1f} us")
    print(f"  wanted call      {best(lambda: read(True), calls):8.1f} us")


def main() -> None:
    bench_headers()
    bench_connection(200, CALLS)
    bench_connection(16 << 10, 500)
    bench_connection(600 << 10, 50)


if __name__ == "__main__":
    main()
