"""An MLServer runtime for BYTES tensors: the input "text" lower-cased, or as it came.

Runs in MLServer's environment; `parameters.extra.lower` in the model's settings says which.
"""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Lowercase(MLModel):  # type: ignore[misc]  # MLServer is not installed where types are checked
    """One output "text" of the shape of the one input."""

    async def load(self) -> bool:
        self._lower = bool(self.settings.parameters.extra["lower"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = StringCodec.decode_input(payload.inputs[0])
        answers = [text.lower() if self._lower else text for text in texts]
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[StringCodec.encode_output("text", answers)],
        )
