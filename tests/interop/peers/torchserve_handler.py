"""A model's handler as TorchServe calls it, in TorchServe's environment.

Doubles a JSON list of numbers, and adds BIAS of the environment; the answer is JSON. With
a BIAS other than 0 it has other spaces too, as another version of a handler might write it.
"""

from __future__ import annotations

import json
import os
from typing import Any


def handle(data: Any, context: Any) -> list[str] | None:
    """Answer a batch of requests; without data it is to load what it needs."""
    if data is None:
        return None
    bias = float(os.environ["BIAS"])
    answers = [{"y": [2 * x + bias for x in json.loads(bytes(row["data"]))]} for row in data]
    return [json.dumps(answer, indent=1 if bias else None) for answer in answers]
