"""The demo's client: held-out images, one a call, several in flight, each with a trace context.

Rule: it is what any user's client is: it knows production's address (in truth the sidecar's), adds
the W3C `traceparent` that a traced service adds, and sees production's answers only.
Counterpart: `sidecar.demo.server`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import grpc
import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
)

from sidecar.demo.models import MODEL_NAME
from sidecar.pb.inference import open_inference_pb2 as oip

METHOD = "/inference.GRPCInferenceService/ModelInfer"
TIMEOUT = 10.0
_ATTRIBUTES = {"rpc.system.name": "grpc", "rpc.method": METHOD[1:]}
SERVICE_CONFIG_OFF = [("grpc.enable_retries", 0)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client knows about one call. `predicted` is None when the call failed."""

    index: int  # of the image in the traffic
    label: int
    predicted: int | None
    trace_id: str
    seconds: float


def request_of(image: NDArray[np.float32], number: int) -> oip.ModelInferRequest:
    """The request for one image, float32 [64]."""
    request = oip.ModelInferRequest(model_name=MODEL_NAME, id=str(number))
    request.inputs.add(name="image", datatype="FP32", shape=[1, image.size])
    request.raw_input_contents.append(image.astype("<f4").tobytes())
    return request


async def send(
    address: str,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    in_flight: int = 4,
    rate: float = math.inf,
    draw: random.Random | None = None,
    tracer: Tracer | None = None,
    done: Callable[[Answer], None] = lambda _: None,
) -> list[Answer]:
    """Send every image and return the answers in the images' order.

    Args:
        address: host:port.
        images: float32 [n, 64].
        labels: int64 [n], the truth.
        in_flight: at most so many calls wait for an answer at a time.
        rate: at most so many calls begin in a second.
        draw: where trace ids come from without a tracer; the system's entropy when None.
        tracer: makes a span of each call, as a traced service does; None: only its ids are sent.
        done: called after each answer.
    """
    random_source = draw or random.SystemRandom()
    answers: list[Answer] = []
    waiting = iter(range(len(images)))
    async with grpc.aio.insecure_channel(address, options=SERVICE_CONFIG_OFF) as channel:
        infer: grpc.aio.UnaryUnaryMultiCallable[oip.ModelInferRequest, oip.ModelInferResponse]
        infer = channel.unary_unary(
            METHOD,
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelInferResponse.FromString,
        )

        start = perf_counter()

        async def work() -> None:
            for i in waiting:
                await asyncio.sleep(start + i / rate - perf_counter())
                span = _span(tracer, random_source)
                context = span.get_span_context()
                trace_id = f"{context.trace_id:032x}"
                metadata = (
                    ("traceparent", f"00-{trace_id}-{context.span_id:016x}-01"),
                    ("x-request-id", f"demo-{i}"),
                    # What the image is of: as a real caller knows a country or a product. Neither
                    # model sees it; it divides the verdict by the true digit.
                    ("x-digit", str(labels[i])),
                )
                began = perf_counter()
                predicted: int | None = None
                try:
                    response = await infer(
                        request_of(images[i], i), metadata=metadata, timeout=TIMEOUT
                    )
                    predicted = _predicted(response)
                except grpc.aio.AioRpcError as error:
                    # Counted: an answer without a prediction.
                    span.set_status(Status(StatusCode.ERROR, error.code().name))
                span.end()
                answer = Answer(i, int(labels[i]), predicted, trace_id, perf_counter() - began)
                answers.append(answer)
                done(answer)

        await asyncio.gather(*(work() for _ in range(in_flight)))
    return sorted(answers, key=lambda answer: answer.index)


def _span(tracer: Tracer | None, draw: random.Random) -> Span:
    if tracer is not None:
        return tracer.start_span(METHOD[1:], kind=SpanKind.CLIENT, attributes=_ATTRIBUTES)
    ids = draw.getrandbits(128) or 1, draw.getrandbits(64) or 1
    return NonRecordingSpan(SpanContext(*ids, is_remote=False))


def _predicted(response: oip.ModelInferResponse) -> int:
    names = [output.name for output in response.outputs]
    return int(np.frombuffer(response.raw_output_contents[names.index("class")], "<i8")[0])
