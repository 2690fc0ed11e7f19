"""OpenVINO's own client for TensorFlow Serving's API; runs in ovmsclient's environment.

`python ovms_client.py ADDRESS` sends floats and strings, asks once for what the server refuses, and
prints one JSON line: `answers`, one text for each call that holds everything it got, and `calls`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import ovmsclient

ROWS = 40
TEXTS = ("already lower", "Mixed Case", "UPPER", "123")


def main(address: str) -> None:
    """Send and print."""
    client = ovmsclient.make_grpc_client(address)
    answers: list[dict[str, Any]] = []
    for i in range(ROWS):
        x = np.arange(4, dtype=np.float32).reshape(1, 4) * (i / 7)
        got = client.predict({"x": x}, "doubler")
        answers.append({"outputs": {name: got[name].tolist() for name in sorted(got)}})
    for text in TEXTS:
        got = client.predict({"text": [text]}, "doubler")
        answers.append({"outputs": {"text": [item.decode() for item in got.tolist()]}})
    try:
        client.predict({"z": np.zeros(1, dtype=np.float32)}, "doubler")
    except ovmsclient.tfs_compat.base.errors.InvalidInputError as error:
        answers.append({"outputs": {}, "refused": str(error)})
    print(json.dumps({"calls": len(answers), "answers": answers}))


if __name__ == "__main__":
    main(sys.argv[1])
