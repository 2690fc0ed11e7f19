"""TorchServe's API by grpcio, through the real sidecar: its unary call and its stream both ways.

TorchServe itself answers in `tests/interop/test_examples.py`; what it says within a stream that
failed is asked here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from sidecar.pb.inference import torchserve_pb2 as pb
from tests.processes import drained, http_json, is_ready, sidecar_run

SERVICE = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
CALLS = 30
INTERNAL = 13


def _bytes(message: pb.PredictionsRequest | pb.PredictionResponse) -> bytes:
    return message.SerializeToString()


class Model:
    """Says "yes" from a threshold on; a stream's messages above `fails_from` fail within it."""

    def __init__(self, threshold: float, fails_from: float, indent: int | None) -> None:
        self._threshold = threshold
        self._fails_from = fails_from
        self._indent = indent

    def predict(
        self, request: pb.PredictionsRequest, _: grpc.ServicerContext
    ) -> pb.PredictionResponse:
        value = float(request.input["data"])
        answer = {"label": "yes" if value >= self._threshold else "no", "score": value}
        return pb.PredictionResponse(prediction=json.dumps(answer, indent=self._indent).encode())

    def stream(
        self, requests: Iterator[pb.PredictionsRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.PredictionResponse]:
        for request in requests:
            if float(request.input["data"]) >= self._fails_from:
                status = pb.Status(code=INTERNAL, message="no worker")
                yield pb.PredictionResponse(status=status, sequence_id=request.sequence_id)
            else:
                yield self.predict(request, context)


@contextmanager
def serving(threshold: float, fails_from: float = 2, indent: int | None = None) -> Iterator[str]:
    model = Model(threshold, fails_from, indent)
    read, write = pb.PredictionsRequest.FromString, _bytes
    handlers = {
        "Predictions": grpc.unary_unary_rpc_method_handler(model.predict, read, write),
        "StreamPredictions2": grpc.stream_stream_rpc_method_handler(model.stream, read, write),
        "Ping": grpc.unary_unary_rpc_method_handler(lambda _, __: b""),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def ask(address: str) -> int:
    """Ask for values from 0 to 1, one call each and as streams of three; gives the calls sent."""
    requests = [
        pb.PredictionsRequest(model_name="m", input={"data": b"%g" % (i / CALLS)})
        for i in range(CALLS)
    ]
    with grpc.insecure_channel(address) as channel:
        read = pb.PredictionResponse.FromString
        unary = channel.unary_unary(f"/{SERVICE}/Predictions", _bytes, read)
        stream = channel.stream_stream(f"/{SERVICE}/StreamPredictions2", _bytes, read)
        ping: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        ping = channel.unary_unary(f"/{SERVICE}/Ping")
        ping(b"", timeout=10)
        for request in requests:
            assert unary(request, timeout=10).prediction
        for first in range(0, CALLS, 3):
            assert len(list(stream(iter(requests[first : first + 3]), timeout=10))) == 3
    return 1 + CALLS + CALLS // 3


def test_what_differs_is_told_and_nothing_else() -> None:
    # A stream's messages are documents of their own, not pieces of one.
    rules = '[{"output": "prediction", "rule": "json", "join": false}]'
    with (
        serving(0.5) as production,
        serving(0.5, indent=2) as alike,
        serving(0.7) as other,
        serving(0.5, fails_from=0.5) as failing,
        sidecar_run(
            production,
            [f"alike={alike}", f"other={other}", f"failing={failing}"],
            *("--set", f"compare.rules={rules}"),
        ) as sidecar,
    ):
        ready = sidecar.wait_ready()
        http = ready["http"]
        sidecar.wait_until(is_ready(http))
        sent = ask(ready["listen"][0])
        sidecar.wait_until(drained(http, seen=sent))
        status, pairs = http_json(http, "/status"), http_json(http, "/pairs?limit=1000")
    assert status["calls"]["skipped"]["method"] == 1, "Ping is no prediction"
    assert [s["compared"] for s in status["shadows"].values()] == [sent - 1] * 3
    found = Counter(
        (pair["shadow"], pair["method"].rpartition("/")[2], pair["outcome"])
        for pair in pairs
        if not pair["agrees"]
    )
    assert found == {
        ("other", "Predictions", "value"): 6,
        ("other", "StreamPredictions2", "value"): 2,
        ("failing", "StreamPredictions2", "shadow_error"): 5,
    }
