"""The real Triton, as pytriton carries it; runs in pytriton's environment.

`python triton_server.py BIAS GRPC_PORT HTTP_PORT METRICS_PORT` serves two models: "doubler" answers
"x" (FP32 [4]) with "y" = 2 x + BIAS, and "counter", which is decoupled, answers "n" (INT32 [1]) on
a stream with the numbers "i" from 0 to n - 1, plus BIAS. It says `serving` when it serves.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def main(bias: float, grpc_port: int, http_port: int, metrics_port: int) -> None:
    """Serve until SIGTERM."""

    def double(x: Any) -> dict[str, Any]:
        return {"y": (x * 2 + bias).astype(np.float32)}

    def count(n: Any) -> Iterator[dict[str, Any]]:
        for i in range(int(n.ravel()[0])):
            yield {"i": np.full((len(n), 1), i + bias, dtype=np.float32)}

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        http_address="127.0.0.1",
        http_port=http_port,
        metrics_port=metrics_port,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="doubler",
            infer_func=batch(double),
            inputs=[Tensor(name="x", dtype=np.float32, shape=(4,))],
            outputs=[Tensor(name="y", dtype=np.float32, shape=(4,))],
            config=ModelConfig(max_batch_size=8),
        )
        triton.bind(
            model_name="counter",
            infer_func=batch(count),
            inputs=[Tensor(name="n", dtype=np.int32, shape=(1,))],
            outputs=[Tensor(name="i", dtype=np.float32, shape=(1,))],
            config=ModelConfig(max_batch_size=8, decoupled=True),
        )
        triton.run()
        print("serving", flush=True)
        ended.wait()


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:5]))
