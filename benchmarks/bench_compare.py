"""What one comparison costs: `python -m benchmarks.bench_compare`.

Prints microseconds for a whole `Comparer.examine` (both answers read, every output compared, with
production and the shadow naming other versions), the median of several repeats on one core.
"""

from __future__ import annotations

import statistics
import sys
import timeit
from collections.abc import Mapping
from functools import partial

import numpy as np

from sidecar.call import Observation
from sidecar.compare.comparer import Comparer
from sidecar.compare.payload import Array
from sidecar.compare.readers.registry import Registry
from sidecar.compare.settings import CompareSettings
from sidecar.pb.inference import open_inference_pb2 as v2

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def _answer(
    name: str, datatype: str, array: Array, version: str, *, typed: bool = False
) -> Observation:
    response = v2.ModelInferResponse(model_name="model", model_version=version, id="0123456789")
    output = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
    if typed:
        output.contents.fp32_contents.extend(array.ravel().tolist())
    elif datatype == "BYTES":
        raw = (len(e).to_bytes(4, "little") + e for e in array.ravel())
        response.raw_output_contents.append(b"".join(raw))
    else:
        response.raw_output_contents.append(array.tobytes())
    return Observation(0, "", (response.SerializeToString(),), 0, 1)


def _cases() -> Mapping[str, tuple[Observation, Observation]]:
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.ones(10), 1).astype(np.float32)
    other = draw.dirichlet(np.ones(10), 1).astype(np.float32)
    large = draw.normal(size=(1, 153_600)).astype(np.float32)
    words = np.array([draw.bytes(int(n)) for n in draw.integers(4, 40, 100)], object)
    changed = words.copy()
    changed[50] = b"changed"
    name, fp32 = "probabilities", "FP32"
    one = large.copy()
    one[0, 7] += 1
    return {
        "10 probabilities, same": (
            _answer(name, fp32, probabilities, "1"),
            _answer(name, fp32, probabilities, "2"),
        ),
        "10 probabilities, same message": (_answer(name, fp32, probabilities, "1"),) * 2,
        "10 probabilities, other": (
            _answer(name, fp32, probabilities, "1"),
            _answer(name, fp32, other, "2"),
        ),
        "10 probabilities, other, typed": (
            _answer(name, fp32, probabilities, "1", typed=True),
            _answer(name, fp32, other, "2", typed=True),
        ),
        "600 KiB of floats, same": (
            _answer("y", fp32, large, "1"),
            _answer("y", fp32, large, "2"),
        ),
        "600 KiB of floats, one other": (
            _answer("y", fp32, large, "1"),
            _answer("y", fp32, one, "2"),
        ),
        "600 KiB of floats, all other": (
            _answer("y", fp32, large, "1"),
            _answer("y", fp32, large * np.float32(1.01), "2"),
        ),
        "600 KiB of floats, all other, typed": (
            _answer("y", fp32, large, "1", typed=True),
            _answer("y", fp32, large * np.float32(1.01), "2", typed=True),
        ),
        "100 BYTES, one other": (
            _answer("words", "BYTES", words, "1"),
            _answer("words", "BYTES", changed, "2"),
        ),
    }


def main() -> None:
    """Print one line for each case."""
    comparer = Comparer(CompareSettings(), Registry())
    for name, (a, b) in _cases().items():
        timer = timeit.Timer(partial(comparer.examine, METHOD, (), a, b))
        number, _ = timer.autorange()
        number = max(1, number // 4)
        each = statistics.median(timer.repeat(7, number)) / number * 1e6
        sys.stdout.write(f"{each:9.1f} us  {len(a.messages[0]):7d} B  {name}\n")


if __name__ == "__main__":
    main()
