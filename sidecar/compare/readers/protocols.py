"""Every payload protocol: a new one is a file and a line here.

Counterparts: `registry`, which chooses a reader by method; `tee.settings`, by whose default the
calls that are no predictions are not shadowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.compare.payload import Reader
from sidecar.compare.readers import open_inference, seldon, tensorflow_serving, torchserve

_ALL: Final = (
    open_inference.PROTOCOL,
    tensorflow_serving.PROTOCOL,
    seldon.PROTOCOL,
    torchserve.PROTOCOL,
)

# gRPC's own services: never a prediction, whatever the server serves.
GRPCS_OWN: Final = ("/grpc.health.v1.Health/*", "/grpc.reflection.*/*", "/grpc.channelz.*/*")

READERS: Final[Mapping[str, Reader]] = {
    method: reader for protocol in _ALL for method, reader in protocol.predictions.items()
}
NOT_PREDICTIONS: Final = (
    *GRPCS_OWN,
    *(method for protocol in _ALL for method in protocol.not_predictions),
)
