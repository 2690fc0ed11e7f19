"""KServe's own model server; runs in KServe's environment.

`python kserve_server.py BIAS GRPC_PORT HTTP_PORT` serves "doubler": "x" (FP32 [n]) is answered with
"y" = 2 x + BIAS and, as a client would read it, "big", 1 where y is above 10.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Doubler(Model):  # type: ignore[misc]  # untyped
    """Ready at once."""

    def __init__(self, bias: float) -> None:
        super().__init__("doubler")
        self._bias = bias
        self.ready = True

    async def predict(
        self, payload: InferRequest, headers: Any = None, response_headers: Any = None
    ) -> InferResponse:
        """Answer one request; its id is the answer's."""
        x = payload.inputs[0].as_numpy()
        y = (x * 2 + self._bias).astype(np.float32)
        big = (y > 10).astype(np.int32)
        outputs = [
            InferOutput("y", list(y.shape), "FP32", data=y.ravel().tolist()),
            InferOutput("big", list(big.shape), "INT32", data=big.ravel().tolist()),
        ]
        return InferResponse(payload.id, self.name, outputs, model_version="2")


if __name__ == "__main__":
    bias, grpc_port, http_port = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    ModelServer(grpc_port=grpc_port, http_port=http_port).start([Doubler(bias)])
