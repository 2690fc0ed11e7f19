"""Seldon Core v1's own messages and stub; runs in Seldon's environment.

`python seldon_client.py ADDRESS` sends thirty requests, in the two forms that Seldon's documents
show, and prints one JSON line: `calls`, and for each of them in `answers` the outputs by name.
"""

from __future__ import annotations

import json
import sys

import grpc
import numpy as np
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from seldon_core.utils import array_to_grpc_datadef, grpc_datadef_to_array

CALLS = 30
FORMS = ("tensor", "ndarray")


def main(address: str) -> None:
    """Send and print."""
    answers = []
    with grpc.insecure_channel(address) as channel:
        stub = prediction_pb2_grpc.ModelStub(channel)
        for i in range(CALLS):
            row = np.arange(4, dtype=np.float64).reshape(1, 4) * (i / 7)
            data = array_to_grpc_datadef(FORMS[i % len(FORMS)], row, ["a", "b", "c", "d"])
            answer = stub.Predict(prediction_pb2.SeldonMessage(data=data), timeout=10)
            values = np.asarray(grpc_datadef_to_array(answer.data)).ravel().tolist()
            answers.append({"outputs": {"data": values}})
    print(json.dumps({"calls": len(answers), "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1])
