"""KServe's own client; runs in KServe's environment.

`python kserve_client.py ADDRESS` sends forty requests to "doubler" and prints one JSON line:
`calls`, and for each of them in `answers` the outputs by name. `python kserve_client.py ADDRESS
ready` only asks whether the server is.
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

CALLS = 40


async def main(address: str, what: str = "send") -> int:
    """Send and print."""
    client = InferenceGRPCClient(address, retries=0)
    if what == "ready":
        return 0 if await client.is_server_ready() else 1
    answers = []
    for i in range(CALLS):
        x = np.arange(4, dtype=np.float32) * (i / 7)
        tensor = InferInput("x", list(x.shape), "FP32", data=x.ravel().tolist())
        response = await client.infer(InferRequest("doubler", [tensor], request_id=f"call-{i}"))
        outputs = {output.name: output.as_numpy().ravel().tolist() for output in response.outputs}
        answers.append({"id": response.id, "outputs": outputs})
    print(json.dumps({"calls": len(answers), "answers": answers}))
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(*sys.argv[1:])))
