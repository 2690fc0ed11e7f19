"""TorchServe's Predictions: an input is an entry of the request's map, by its name.

It is bytes that only the model's handler understands: it can be missing, or another call's.
"""

from __future__ import annotations

from sidecar.pb.inference import torchserve_pb2 as pb
from sidecar.replay.changes.base import Change, Changed, Normal


def change_predictions(
    change: Change, message: bytes, other: bytes, draws: Normal
) -> Changed | None:
    """See `Changer`."""
    request = pb.PredictionsRequest.FromString(message)
    name = change.input
    if name not in request.input or change.how == "noise":
        return None
    if change.how == "missing":
        del request.input[name]
    else:
        theirs = pb.PredictionsRequest.FromString(other)
        if name not in theirs.input:
            return None
        request.input[name] = theirs.input[name]
    return Changed(request.SerializeToString(), 1.0)
