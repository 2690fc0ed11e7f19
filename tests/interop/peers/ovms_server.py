"""TensorFlow Serving's API without TensorFlow: grpcio with `ovmsclient`'s servicer stubs.

`python ovms_server.py BIAS` answers Predict, for the input "x" (FP32 [n, 4]), with "y" = 2 x + BIAS
and "rows" (INT64 [1]), and for the input "text" with "text" in lower case (as it came, unless BIAS
is 0). It prints one JSON line with `ready` and `address`. Runs in ovmsclient's environment.
"""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from ovmsclient.tfs_compat.grpc.tensors import make_ndarray, make_tensor_proto
from ovmsclient.tfs_compat.protos.tensorflow_serving.apis import (
    predict_pb2,
    prediction_service_pb2_grpc,
)


class Doubler(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]  # untyped
    """Predict, and UNIMPLEMENTED for the rest."""

    def __init__(self, bias: float) -> None:
        self._bias = bias

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # gRPC's
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = 2 if self._bias else 1
        if "x" in request.inputs:
            x = make_ndarray(request.inputs["x"])
            y = (x * 2 + self._bias).astype(np.float32)
            response.outputs["y"].CopyFrom(make_tensor_proto(y))
            response.outputs["rows"].CopyFrom(make_tensor_proto(np.array([len(x)], np.int64)))
        elif "text" in request.inputs:
            texts = request.inputs["text"].string_val
            answers = [text if self._bias else text.lower() for text in texts]
            response.outputs["text"].CopyFrom(make_tensor_proto(answers))
        else:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "give x or text")
        return response


def main(bias: float) -> None:
    """Serve until SIGTERM."""
    server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Doubler(bias), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0.5))
    print(json.dumps({"ready": True, "address": f"127.0.0.1:{port}"}), flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(float(sys.argv[1]))
