"""Messages and observations, as the tests of this package need them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sidecar.call import Observation
from sidecar.compare.payload import NUMPY_TYPES, Array, Output
from sidecar.pb.inference import open_inference_pb2 as v2

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
MODEL_STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"

DTYPES = {np.dtype(kind): name for name, kind in reversed(NUMPY_TYPES.items())}


def answer(*messages: bytes, status: int = 0) -> Observation:
    """An observation of these messages."""
    return Observation(status, "", messages, started_ns=0, ended_ns=1)


def raw_bytes(elements: list[bytes]) -> bytes:
    """BYTES elements as raw contents."""
    return b"".join(len(e).to_bytes(4, "little") + e for e in elements)


def infer_response(
    outputs: Mapping[str, Array], model: str = "m", version: str = "1", request_id: str = "r"
) -> v2.ModelInferResponse:
    """A ModelInferResponse with raw contents."""
    response = v2.ModelInferResponse(model_name=model, model_version=version, id=request_id)
    for name, array in outputs.items():
        datatype = "BYTES" if array.dtype == object else DTYPES[array.dtype]
        response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        raw = raw_bytes(list(array.ravel())) if array.dtype == object else array.tobytes()
        response.raw_output_contents.append(raw)
    return response


def infer(outputs: Mapping[str, Array], **kwargs: str) -> bytes:
    """The bytes of `infer_response`."""
    return infer_response(outputs, **kwargs).SerializeToString()


def by_name(outputs: tuple[Output, ...]) -> dict[str, Output]:
    """Outputs by their names, which must be unique."""
    named = {output.name: output for output in outputs}
    assert len(named) == len(outputs)
    return named


def floats(*values: float) -> Array:
    """A float32 vector."""
    return np.array(values, np.float32)
