"""What the file of a payload protocol declares, as `PROTOCOL`.

Counterpart: `protocols`, which lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sidecar.compare.payload import Reader


class PayloadProtocol(NamedTuple):
    """The calls of one protocol for serving models."""

    predictions: Mapping[str, Reader]  # by method, "/package.Service/Method"
    not_predictions: tuple[str, ...]  # globs over methods that are none, or would change a shadow
