"""NVIDIA's own client, `tritonclient.grpc`; runs in its environment.

`python triton_client.py ADDRESS MODEL` sends the model's traffic and prints one JSON line: `calls`,
and for each of them in `answers` the outputs by name and a digest of everything that it got. In a
stream the outputs of the second message on are called "[1]NAME", "[2]NAME", ...
`python triton_client.py ADDRESS ready MODEL...` only asks whether the models are ready.
"""

from __future__ import annotations

import hashlib
import json
import queue
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tritonclient.grpc as triton

TEXTS = ("already lower", "Mixed Case", "UPPER", "", "grüße, 世界", "ÄÖÜ", "123", "Tab\tAnd\nLine")
ROWS = 150  # as many as there are irises
DOUBLED = 40
COUNTED = 3

Answer = dict[str, Any]


def iris(client: triton.InferenceServerClient) -> Iterator[triton.InferResult]:
    """Petal length and width decide; 150 flowers on a grid, 50 of them with short petals."""
    for i in range(ROWS):
        short = i % 3 == 0
        petal = 1.0 + i / 500 if short else 3.0 + i / 50
        row = np.array([[5.8, 3.0, petal, 0.2 if short else 0.9 + i / 100]], dtype=np.float64)
        tensor = triton.InferInput("features", row.shape, "FP64")
        tensor.set_data_from_numpy(row)
        outputs = [triton.InferRequestedOutput(n) for n in ("predict", "predict_proba")]
        yield client.infer("iris", [tensor], request_id=f"iris-{i}", outputs=outputs)


def text(client: triton.InferenceServerClient) -> Iterator[triton.InferResult]:
    """One BYTES tensor of two texts a call."""
    for i, first in enumerate(TEXTS):
        row = np.array([first, "the same"], dtype=np.object_)
        tensor = triton.InferInput("text", row.shape, "BYTES")
        tensor.set_data_from_numpy(row)
        yield client.infer("text", [tensor], request_id=f"text-{i}")


def doubler(client: triton.InferenceServerClient) -> Iterator[triton.InferResult]:
    """One FP32 tensor a call."""
    for i in range(DOUBLED):
        row = np.arange(4, dtype=np.float32).reshape(1, 4) * (i / 7)
        tensor = triton.InferInput("x", row.shape, "FP32")
        tensor.set_data_from_numpy(row)
        yield client.infer("doubler", [tensor], request_id=f"doubler-{i}")


def counter(client: triton.InferenceServerClient) -> Answer:
    """One decoupled request on a stream: three answers, and an empty one that ends it."""
    got: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
    client.start_stream(lambda result, error: got.put((result, error)))
    row = np.array([[COUNTED]], dtype=np.int32)
    tensor = triton.InferInput("n", row.shape, "INT32")
    tensor.set_data_from_numpy(row)
    client.async_stream_infer("counter", [tensor], enable_empty_final_response=True)
    outputs: dict[str, list[Any]] = {}
    number = 0
    while True:
        result, error = got.get(timeout=30)
        if error is not None:
            raise error
        for name, values in describe(result)["outputs"].items():
            outputs[f"[{number}]{name}" if number else name] = values
        number += 1
        if result.get_response().parameters["triton_final_response"].bool_param:
            client.stop_stream()
            return {"outputs": outputs}


def describe(result: triton.InferResult) -> Answer:
    """The outputs as lists, and a digest of the whole message, whatever else it says."""
    response = result.get_response()
    message = response.SerializeToString(deterministic=True)
    outputs = {output.name: _list(result.as_numpy(output.name)) for output in response.outputs}
    digest = hashlib.sha256(message).hexdigest()
    return {"id": response.id, "outputs": outputs, "digest": digest}


def _list(array: Any) -> list[Any]:
    flat = array.ravel().tolist()
    return [item.decode() if isinstance(item, bytes) else item for item in flat]


def main(address: str, model: str, *names: str) -> None:
    """Send and print."""
    with triton.InferenceServerClient(address) as client:
        if model == "ready":
            raise SystemExit(0 if all(map(client.is_model_ready, names)) else 1)
        if model == "counter":
            answers = [counter(client)]
        else:
            send = {"iris": iris, "text": text, "doubler": doubler}[model]
            answers = [describe(result) for result in send(client)]
    print(json.dumps({"calls": len(answers), "answers": answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
