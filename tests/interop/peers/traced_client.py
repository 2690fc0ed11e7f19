"""A shop instrumented with OpenTelemetry's own package for gRPC; runs in its environment.

`python traced_client.py ADDRESS ID...` asks for a prediction for each id (`traced_server` says what
its words do) and prints one JSON line: for each call its `id`, `trace_id` and `status`. An id
that ends in `-cancel` is given up after a fifth of a second. How the context is sent is
OTEL_PROPAGATORS' choice, whether it is recorded OTEL_TRACES_SAMPLER's.
"""

from __future__ import annotations

import argparse
import json
import socket

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sidecar.pb.inference import open_inference_pb2 as oip

METHOD = "/inference.GRPCInferenceService/ModelInfer"
PATIENCE = 10.0


def main() -> None:
    """Send the calls, one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("ids", nargs="+")
    parser.add_argument("--service", default="shop")
    parser.add_argument("--plain", action="store_true", help="without instrumentation")
    arguments = parser.parse_args()
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": arguments.service, "host.name": socket.gethostname()}
        )
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
    if not arguments.plain:
        trace.set_tracer_provider(provider)
        GrpcInstrumentorClient().instrument()
    tracer = trace.get_tracer("shop")
    told = []
    with grpc.insecure_channel(arguments.address) as channel:
        infer = channel.unary_unary(
            METHOD,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )
        for id_of in arguments.ids:
            request = oip.ModelInferRequest(model_name="digits", id=id_of)
            request.inputs.add(name="image", datatype="FP32", shape=[1, 64])
            request.inputs[0].contents.fp32_contents.extend([0.5] * 64)
            metadata = (("x-request-id", id_of), ("x-region", "eu"))
            with tracer.start_as_current_span("POST /checkout") as span:
                trace_id = f"{span.get_span_context().trace_id:032x}"
                call = infer.future(request, timeout=PATIENCE, metadata=metadata)
                if id_of.endswith("-cancel"):
                    call.initial_metadata()  # comes when the server has begun
                    call.cancel()
                status = call.code().name
            told.append({"id": id_of, "trace_id": trace_id, "status": status})
    provider.shutdown()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
