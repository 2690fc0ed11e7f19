"""A digit server instrumented with OpenTelemetry's own package for gRPC; runs in its environment.

`python traced_server.py --part production` listens on a free port and prints one JSON line with
`ready` and `address`. What a part does wrong is asked for by the first word of the request's id:
`agree-1`, `differ-1`, `shape-1`, `refuse-1` (the candidate fails), `late-1` (the candidate takes
longer than its deadline), `broken-1` (production fails), `slow-1` (production takes a second).
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorServer
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sidecar.pb.inference import open_inference_pb2 as oip

SERVICE = "inference.GRPCInferenceService"
DIGITS = 10
PATIENCE = 30.0  # seconds


class Part:
    """Production, the candidate, a second replica of production, or another candidate."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.candidate = name not in {"production", "control"}

    def infer(self, request: oip.ModelInferRequest, context: grpc.ServicerContext) -> object:
        word, _, number = request.id.partition("-")
        with trace.get_tracer("digits").start_as_current_span("predict"):
            time.sleep(0.03 if self.candidate else 0.01)
            if self.candidate and word == "late":
                time.sleep(1.0)
            if not self.candidate and word == "slow":
                left = threading.Event()
                if context.add_callback(left.set):
                    context.send_initial_metadata(())  # its client gives up when it hears of it
                    left.wait(PATIENCE)
        if self.candidate and word == "refuse":
            context.abort(grpc.StatusCode.UNAVAILABLE, "the model is being loaded")
        if self.name == "production" and word == "broken":
            context.abort(grpc.StatusCode.INTERNAL, "out of memory")
        digit = int(number) % DIGITS if number.isdigit() else 0
        wrong = self.candidate and word == "differ"
        scores = [0.02] * DIGITS
        scores[(digit + wrong) % DIGITS] = 0.82
        if self.candidate and word == "shape":
            scores.pop()
        answer = oip.ModelInferResponse(
            model_name="digits", model_version="2" if self.candidate else "1", id=request.id
        )
        answer.outputs.add(name="probabilities", datatype="FP32", shape=[1, len(scores)])
        answer.outputs[0].contents.fp32_contents.extend(scores)
        answer.outputs.add(name="class", datatype="INT64", shape=[1])
        answer.outputs[1].contents.int64_contents.append((digit + wrong) % DIGITS)
        return answer


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", required=True)
    parser.add_argument("--service", default="digits")
    parser.add_argument("--plain", action="store_true", help="without instrumentation")
    arguments = parser.parse_args()
    if not arguments.plain:
        resource = Resource.create(
            {"service.name": arguments.service, "host.name": socket.gethostname()}
        )
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
        trace.set_tracer_provider(provider)
        GrpcInstrumentorServer().instrument()
    server = grpc.server(ThreadPoolExecutor(16))
    handler = grpc.unary_unary_rpc_method_handler(
        Part(arguments.part).infer,
        request_deserializer=oip.ModelInferRequest.FromString,
        response_serializer=oip.ModelInferResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"ready": True, "address": f"127.0.0.1:{port}"}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
