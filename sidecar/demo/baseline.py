"""`shadow-sidecar baseline`: a production for the first model ever.

Rule: an Open Inference Protocol v2 server whose answer depends on nothing but the number of rows
asked for, so that a new model is compared on real traffic with what one would do without it: a
constant, the majority class, a fixed top-k list. Counterpart: `baseline_command`, and `--upstream`,
which it stands behind.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from sidecar.demo.service import Context, handler
from sidecar.pb.inference import open_inference_pb2 as oip

VERSION = "baseline"
STOP_SECONDS = 1.0
MAX_ROWS = 1 << 16

_Tensor = oip.ModelMetadataResponse.TensorMetadata


@dataclass(frozen=True, slots=True)
class Constant:
    """One output and what it always is, for one row."""

    name: str
    dtype: str  # INT64, FP64 or BYTES
    row: tuple[int | float | str, ...]  # one value, or a fixed list

    def shape(self, rows: int) -> list[int]:
        """[rows] for one value, [rows, k] for a list of k."""
        return [rows] if len(self.row) == 1 else [rows, len(self.row)]

    def values(self, rows: int) -> NDArray[Any]:
        """The numbers for so many rows."""
        kind = np.int64 if self.dtype == "INT64" else np.float64
        return np.tile(np.asarray(self.row, kind), rows)

    def texts(self, rows: int) -> list[bytes]:
        """The texts for so many rows."""
        return [str(item).encode() for item in self.row] * rows


def constant(text: str) -> Constant:
    """Read `NAME=VALUE` or `NAME=[VALUE, ...]`; a value that is no number is text.

    Raises:
        ValueError: saying what is allowed.
    """
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ValueError("write it as NAME=VALUE or NAME=[VALUE, ...]")
    try:
        read = json.loads(value)
    except ValueError:
        read = value
    row = tuple(read) if isinstance(read, list) else (read,)
    if not row:
        raise ValueError("a list needs at least one value")
    kinds = {type(item) for item in row}
    if kinds == {str}:
        return Constant(name, "BYTES", row)
    if kinds == {int}:
        return Constant(name, "INT64", row)
    if kinds <= {int, float}:
        return Constant(name, "FP64", row)
    raise ValueError("values are numbers, or texts, of one kind")


class Baseline:
    """Answers the same to everything."""

    def __init__(self, constants: Sequence[Constant]) -> None:
        self._constants = tuple(constants)

    async def infer(self, request: oip.ModelInferRequest, context: Context) -> Any:
        """As many rows as the first input's first dimension; raw or typed as the request was."""
        shape = request.inputs[0].shape if request.inputs else ()
        rows = int(shape[0]) if shape else 1
        if not 0 <= rows <= MAX_ROWS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{rows} rows")
        response = oip.ModelInferResponse(
            model_name=request.model_name, model_version=VERSION, id=request.id
        )
        for each in self._constants:
            output = response.outputs.add(
                name=each.name, datatype=each.dtype, shape=each.shape(rows)
            )
            if request.raw_input_contents:
                response.raw_output_contents.append(_raw(each, rows))
            elif each.dtype == "BYTES":
                output.contents.bytes_contents.extend(each.texts(rows))
            elif each.dtype == "INT64":
                output.contents.int64_contents.extend(each.values(rows).tolist())
            else:
                output.contents.fp64_contents.extend(each.values(rows).tolist())
        return response

    async def live(self, _request: Any, _context: Context) -> Any:
        return oip.ServerLiveResponse(live=True)

    async def ready(self, _request: Any, _context: Context) -> Any:
        return oip.ServerReadyResponse(ready=True)

    async def model_ready(self, _request: Any, _context: Context) -> Any:
        return oip.ModelReadyResponse(ready=True)

    async def metadata(self, request: oip.ModelMetadataRequest, _context: Context) -> Any:
        return oip.ModelMetadataResponse(
            name=request.name,
            versions=[VERSION],
            platform=VERSION,
            outputs=[
                _Tensor(name=c.name, datatype=c.dtype, shape=[-1, *c.shape(1)[1:]])
                for c in self._constants
            ],
        )

    def handler(self) -> grpc.GenericRpcHandler:
        """The service's methods."""
        return handler(
            live=self.live,
            ready=self.ready,
            model_ready=self.model_ready,
            metadata=self.metadata,
            infer=self.infer,
        )


def _raw(each: Constant, rows: int) -> bytes:
    if each.dtype == "BYTES":
        texts = each.texts(rows)
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return each.values(rows).tobytes()


async def serve(constants: Sequence[Constant], listen: str, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the bound address.

    Raises:
        OSError: the address cannot be bound.
    """
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Baseline(constants).handler(),))
    checks = health.aio.HealthServicer()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise OSError(f"{listen!r}: {error}") from None
    await server.start()
    ready(f"{listen.rpartition(':')[0]}:{port}")
    await ended.wait()
    await server.stop(STOP_SECONDS)
