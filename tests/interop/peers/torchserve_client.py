"""TorchServe's inference API, by grpcio; runs in this repository's own environment.

`python torchserve_client.py ADDRESS` asks whether the server is well, sends forty requests to
"doubler", and prints one JSON line: `calls`, and for each prediction in `answers` the outputs by
name. The messages are those of `protos/`, for TorchServe's package brings none.
"""

from __future__ import annotations

import json
import sys

import grpc

from sidecar.pb.inference import torchserve_pb2 as pb

SERVICE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService"
CALLS = 40


def main(address: str) -> None:
    """Send and print."""
    answers = []
    with grpc.insecure_channel(address) as channel:
        ping: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        ping = channel.unary_unary(f"{SERVICE}/Ping")
        ping(b"", timeout=10)
        predict = channel.unary_unary(
            f"{SERVICE}/Predictions",
            request_serializer=pb.PredictionsRequest.SerializeToString,
            response_deserializer=pb.PredictionResponse.FromString,
        )
        for i in range(CALLS):
            x = json.dumps([n * i / 7 for n in range(4)]).encode()
            answer = predict(pb.PredictionsRequest(model_name="doubler", input={"data": x}))
            answers.append({"outputs": {"prediction": json.loads(answer.prediction)}})
    print(json.dumps({"calls": 1 + len(answers), "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1])
