"""The service of llm.proto, from its descriptors alone, and a client for it.

    python -m grpc_tools.protoc -I. --include_imports --descriptor_set_out=llm.pb llm.proto
    python llm.py llm.pb serve [PORT] [--piece TOKENS] [--first-ms MS] [--gap-ms MS] [--other N]
    python llm.py llm.pb send HOST:PORT [CALLS]

No model, but what a sidecar sees of one: the tokens follow from the prompt, so that two servers
say the same; they come in pieces, the first later than the rest. With `--other 10` every tenth
prompt is continued with other words. `serve` prints one JSON line with `ready` and `address`;
`send` asks four at once, and prints how many were answered and the texts.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE, METHOD = "example.llm.v1.Writer", "Write"
WORDS = ["the", "model", "says", "what", "it", "reads", "and", "a", "sidecar", "compares", "both"]
OTHER = ["some", "candidate", "means", "another", "thing"]
AT_ONCE = 4


def messages(descriptors: str) -> list[Any]:
    """The message classes of a descriptor set: request and response."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(Path(descriptors).read_bytes()).file:
        pool.Add(file)
    names = ("example.llm.v1.WriteRequest", "example.llm.v1.WriteResponse")
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(n)) for n in names]


def tokens(prompt: str, most: int, other: int) -> list[str]:
    """What is written: the same for the same prompt, unless it is one of every `other`."""
    number = int(prompt.rpartition(" ")[2])
    dice = random.Random(prompt)
    written = [f" {dice.choice(WORDS)}" for _ in range(most)]
    if other and number % other == 0:
        written[most // 2 :] = [f" {dice.choice(OTHER)}" for _ in range(most - most // 2)]
    return written


def serve(request: Any, response: Any, given: argparse.Namespace) -> None:
    """Serve until SIGTERM."""

    def write(asked: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        written = tokens(asked.prompt, asked.max_tokens, given.other)
        name = str(uuid.uuid4())
        time.sleep(given.first_ms / 1000)
        for at in range(0, len(written), given.piece):
            if at:
                time.sleep(given.gap_ms / 1000 * given.piece)
            yield response(request_id=name, text="".join(written[at : at + given.piece]))
        yield response(request_id=name, finish_reason="length", tokens=len(written))

    handler = grpc.unary_stream_rpc_method_handler(
        write, request_deserializer=request.FromString, response_serializer=_bytes
    )
    server = grpc.server(ThreadPoolExecutor(2 * AT_ONCE))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    )
    port = server.add_insecure_port(f"127.0.0.1:{given.where or 0}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0.5))
    print(json.dumps({"ready": True, "address": f"127.0.0.1:{port}"}), flush=True)
    server.wait_for_termination()


def send(request: Any, response: Any, address: str, calls: int) -> None:
    """Ask for so many texts, and read each to its end."""
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(AT_ONCE) as several:
        call = channel.unary_stream(
            f"/{SERVICE}/{METHOD}",
            request_serializer=_bytes,
            response_deserializer=response.FromString,
        )

        def ask(number: int) -> str:
            pieces = call(request(prompt=f"prompt {number}", max_tokens=12), timeout=30)
            return "".join(piece.text for piece in pieces)

        texts = list(several.map(ask, range(calls)))
    print(json.dumps({"calls": len(texts), "answers": texts}))


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("descriptors")
    parser.add_argument("what", choices=["serve", "send"])
    parser.add_argument("where", nargs="?")
    parser.add_argument("calls", nargs="?", type=int, default=100)
    parser.add_argument("--piece", type=int, default=1)
    parser.add_argument("--other", type=int, default=0)
    for name, least in (("first-ms", 20.0), ("gap-ms", 2.0)):
        parser.add_argument(f"--{name}", type=float, default=least)
    told = parser.parse_args()
    asked, answered = messages(told.descriptors)
    if told.what == "serve":
        serve(asked, answered, told)
    else:
        send(asked, answered, told.where, told.calls)
