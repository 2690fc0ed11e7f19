"""The service of scorer.proto, from its descriptors alone, and a client for it.

    python -m grpc_tools.protoc -I. --include_imports --descriptor_set_out=scorer.pb scorer.proto
    python scorer.py scorer.pb serve THRESHOLD [PORT]    says "yes" from that score on
    python scorer.py scorer.pb send HOST:PORT [CALLS]    sends scores from 0 to 1

Its answers carry an id, a time and a version, which differ in every call. `serve` prints one JSON
line with `ready` and `address`; `send` prints how many calls were answered.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD = "/example.scorer.v1.Scorer/Score"


def messages(descriptors: str) -> dict[str, Any]:
    """The message classes of a descriptor set, by full name."""
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(Path(descriptors).read_bytes())
    for file in files.file:
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in ("example.scorer.v1.ScoreRequest", "example.scorer.v1.ScoreResponse")
    }


def serve(request: Any, response: Any, threshold: float, port: int) -> None:
    """Serve until SIGTERM."""

    def score(asked: Any, context: grpc.ServicerContext) -> Any:
        value = asked.features[0]
        answer = response(
            request_id=str(uuid.uuid4()), label="yes" if value >= threshold else "no", score=value
        )
        answer.meta.took_us = time.perf_counter_ns() // 1000
        answer.meta.model_version = f"threshold-{threshold}"
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        score, request_deserializer=request.FromString, response_serializer=_bytes
    )
    service, method = METHOD[1:].split("/")
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0.5))
    print(json.dumps({"ready": True, "address": f"127.0.0.1:{port}"}), flush=True)
    server.wait_for_termination()


def send(request: Any, response: Any, address: str, calls: int) -> None:
    """Send scores from 0 to 1, and say how many were answered."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            METHOD, request_serializer=_bytes, response_deserializer=response.FromString
        )
        for i in range(calls):
            call(request(country="de" if i % 3 else "at", features=[i / calls]), timeout=10)
    print(calls)


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


if __name__ == "__main__":
    asked, answered = messages(sys.argv[1]).values()
    if sys.argv[2] == "serve":
        serve(asked, answered, float(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    else:
        send(asked, answered, sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 200)
