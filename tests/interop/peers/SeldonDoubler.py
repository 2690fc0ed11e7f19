"""A model as Seldon Core v1 loads it by name; runs in Seldon's environment.

`seldon-core-microservice SeldonDoubler` serves it: 2 x + BIAS, BIAS from the environment.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np


class SeldonDoubler:
    """Doubles its input."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803  # Seldon's
        """Answer one request."""
        return np.asarray(X) * 2 + float(os.environ.get("BIAS", "0"))
