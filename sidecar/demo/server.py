"""One of the demo's models over gRPC: `python -m sidecar.demo.server --model production`.

Rule: an ordinary Open Inference Protocol v2 server that knows nothing of the sidecar. It trains its
model (or loads it, with `--file`), listens, and then prints one JSON line with `ready` and
`address`. Counterpart: `sidecar.demo.client`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from sidecar.demo.data import CLASSES, PIXELS
from sidecar.demo.models import MODEL_NAME, MODELS, Model
from sidecar.demo.service import Context, handler
from sidecar.pb.inference import open_inference_pb2 as oip

_Tensor = oip.ModelMetadataResponse.TensorMetadata


class InferenceService:
    """Live, ready, metadata and infer, for one model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def server_live(self, _request: oip.ServerLiveRequest, _context: Context) -> Any:
        return oip.ServerLiveResponse(live=True)

    async def server_ready(self, _request: oip.ServerReadyRequest, _context: Context) -> Any:
        return oip.ServerReadyResponse(ready=True)

    async def model_ready(self, request: oip.ModelReadyRequest, _context: Context) -> Any:
        return oip.ModelReadyResponse(ready=request.name == MODEL_NAME)

    async def model_metadata(self, request: oip.ModelMetadataRequest, context: Context) -> Any:
        await self._known(request.name, context)
        return oip.ModelMetadataResponse(
            name=MODEL_NAME,
            versions=[self._model.version],
            platform="scikit-learn",
            inputs=[_Tensor(name="image", datatype="FP32", shape=[-1, PIXELS])],
            outputs=[
                _Tensor(name="probabilities", datatype="FP32", shape=[-1, CLASSES]),
                _Tensor(name="class", datatype="INT64", shape=[-1]),
            ],
        )

    async def model_infer(self, request: oip.ModelInferRequest, context: Context) -> Any:
        """Classify; contents come back raw if they came raw, typed if typed."""
        await self._known(request.model_name, context)
        try:
            images = _images(request)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        probabilities = self._model.probabilities(images)
        classes = probabilities.argmax(axis=1).astype(np.int64)
        response = oip.ModelInferResponse(
            model_name=MODEL_NAME, model_version=self._model.version, id=request.id
        )
        scores = response.outputs.add(
            name="probabilities", datatype="FP32", shape=probabilities.shape
        )
        labels = response.outputs.add(name="class", datatype="INT64", shape=classes.shape)
        if request.raw_input_contents:
            response.raw_output_contents.extend([probabilities.tobytes(), classes.tobytes()])
        else:
            scores.contents.fp32_contents.extend(probabilities.ravel().tolist())
            labels.contents.int64_contents.extend(classes.tolist())
        return response

    async def _known(self, name: str, context: Context) -> None:
        if name != MODEL_NAME:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model is called {name!r}")

    def handler(self) -> grpc.GenericRpcHandler:
        """The service's methods."""
        return handler(
            live=self.server_live,
            ready=self.server_ready,
            model_ready=self.model_ready,
            metadata=self.model_metadata,
            infer=self.model_infer,
        )


def _images(request: oip.ModelInferRequest) -> NDArray[np.float32]:
    """The request's one input, float32 [n, 64].

    Raises:
        ValueError: it is not one such tensor.
    """
    if [tensor.name for tensor in request.inputs] != ["image"]:
        raise ValueError("the one input is called 'image'")
    tensor = request.inputs[0]
    shape = tuple(tensor.shape)
    if tensor.datatype != "FP32" or len(shape) != 2 or shape[1] != PIXELS or shape[0] < 1:
        raise ValueError(f"'image' is FP32 [n, {PIXELS}], not {tensor.datatype} {list(shape)}")
    values = (
        np.frombuffer(request.raw_input_contents[0], "<f4")
        if request.raw_input_contents
        else np.asarray(tensor.contents.fp32_contents, np.float32)
    )
    return values.reshape(shape)


async def serve(model: Model, listen: str) -> None:
    """Serve `model` on `listen` (host:port; port 0 binds any) until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((InferenceService(model).handler(),))
    port = server.add_insecure_port(listen)
    await server.start()
    address = f"{listen.rpartition(':')[0]}:{port}"
    print(json.dumps({"ready": True, "address": address, "pid": os.getpid()}), flush=True)
    await ended.wait()
    await server.stop(1.0)


def main() -> None:
    """Train or load, then serve."""
    parser = argparse.ArgumentParser(prog="python -m sidecar.demo.server")
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port")
    parser.add_argument("--file", type=Path, help="a trained model that the demo pickled itself")
    flags = parser.parse_args()
    if flags.file is not None:
        with flags.file.open("rb") as stored:
            model = pickle.load(stored)
    else:
        model = MODELS[flags.model]()
    asyncio.run(serve(model, flags.listen))


if __name__ == "__main__":
    main()
