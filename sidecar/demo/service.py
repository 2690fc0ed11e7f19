"""The Open Inference Protocol's service, as the servers here offer it.

Counterparts: `server`, `baseline`; `protos/inference/open_inference.proto`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from sidecar.pb.inference import open_inference_pb2 as oip

SERVICE = "inference.GRPCInferenceService"

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Method: TypeAlias = Callable[[Any, Context], Awaitable[Any]]


def handler(
    *, live: Method, ready: Method, model_ready: Method, metadata: Method, infer: Method
) -> grpc.GenericRpcHandler:
    """The service's methods."""

    def unary(method: Method, request: Any, response: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            method, request.FromString, response.SerializeToString
        )

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "ServerLive": unary(live, oip.ServerLiveRequest, oip.ServerLiveResponse),
            "ServerReady": unary(ready, oip.ServerReadyRequest, oip.ServerReadyResponse),
            "ModelReady": unary(model_ready, oip.ModelReadyRequest, oip.ModelReadyResponse),
            "ModelMetadata": unary(metadata, oip.ModelMetadataRequest, oip.ModelMetadataResponse),
            "ModelInfer": unary(infer, oip.ModelInferRequest, oip.ModelInferResponse),
        },
    )
