"""NVIDIA's own client, `tritonclient.grpc`; runs in its environment.

`python triton_client.py ADDRESS MODEL` sends the model's traffic and prints one JSON line: `calls`,
and for each of them in `answers` the outputs by name and a digest of everything that it got. With
MODEL "ready" it only asks whether both models are ready.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tritonclient.grpc as triton

TEXTS = ("already lower", "Mixed Case", "UPPER", "", "grüße, 世界", "ÄÖÜ", "123", "Tab\tAnd\nLine")
ROWS = 150  # as many as there are irises


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


def describe(result: triton.InferResult) -> dict[str, Any]:
    """The outputs as lists, and a digest of the whole message, whatever else it says."""
    response = result.get_response()
    message = response.SerializeToString(deterministic=True)
    outputs = {output.name: _list(result.as_numpy(output.name)) for output in response.outputs}
    digest = hashlib.sha256(message).hexdigest()
    return {"id": response.id, "outputs": outputs, "digest": digest}


def _list(array: Any) -> list[Any]:
    flat = array.ravel().tolist()
    return [item.decode() if isinstance(item, bytes) else item for item in flat]


def main(address: str, model: str) -> None:
    """Send and print."""
    with triton.InferenceServerClient(address) as client:
        if model == "ready":
            ready = all(client.is_model_ready(name) for name in ("iris", "text"))
            raise SystemExit(0 if ready else 1)
        send = {"iris": iris, "text": text}[model]
        answers = [describe(result) for result in send(client)]
    print(json.dumps({"calls": len(answers), "answers": answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
