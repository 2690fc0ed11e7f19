"""Reads TorchServe's Predictions and its two streams: bytes that the model's handler made.

Rule: what is in the bytes is the handler's affair, JSON as a rule; they are one BYTES element, and
rule `json` compares what they say. A request's inputs are elements by their names. Source:
TorchServe's inference.proto. Counterpart: `protos/inference/torchserve.proto`.
"""

from __future__ import annotations

from typing import Final

from sidecar.compare.payload import (
    BYTES,
    MAX_OUTPUTS,
    Decoded,
    Output,
    UndecodableError,
    bytes_array,
    model_name,
)
from sidecar.compare.readers.bound import parse
from sidecar.compare.readers.protocol import PayloadProtocol
from sidecar.pb.inference import torchserve_pb2 as pb

MAX_ERROR: Final = 200
_NAME: Final = "TorchServe"


class TorchServeReader:
    """Reads Predictions, StreamPredictions and StreamPredictions2: one output, `prediction`."""

    name = "torchserve"

    def read_response(self, message: bytes) -> Decoded:
        """Read a PredictionResponse; one with a status other than OK is an error."""
        response = parse(pb.PredictionResponse, message, _NAME)
        error = ""
        if response.status.code:
            error = (response.status.message or f"code {response.status.code}")[:MAX_ERROR]
        outputs = () if error else (_one("prediction", response.prediction),)
        return Decoded(outputs, request_id=response.sequence_id, error=error)

    def read_request(self, message: bytes) -> Decoded:
        """Read a PredictionsRequest."""
        request = parse(pb.PredictionsRequest, message, _NAME)
        if len(request.input) > MAX_OUTPUTS:
            raise UndecodableError(f"{len(request.input)} inputs")
        return Decoded(
            tuple(_one(name, request.input[name]) for name in sorted(request.input)),
            model_name(request.model_name, request.model_version),
            request.sequence_id,
        )


def _one(name: str, data: bytes) -> Output:
    return Output(name, BYTES, bytes_array([data]).reshape(()))


_SERVICE: Final = "/org.pytorch.serve.grpc.inference.InferenceAPIsService"
_READER: Final = TorchServeReader()
PROTOCOL: Final[PayloadProtocol] = PayloadProtocol(
    predictions={
        f"{_SERVICE}/{method}": _READER
        for method in ("Predictions", "StreamPredictions", "StreamPredictions2")
    },
    not_predictions=(
        f"{_SERVICE}/Ping",
        "/org.pytorch.serve.grpc.management.ManagementAPIsService/*",
    ),
)
