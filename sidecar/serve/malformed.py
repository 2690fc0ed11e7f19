"""A request that is no message of its method is the caller's mistake, and told as such.

Rule: INVALID_ARGUMENT, with the message's name; grpcio by itself says UNKNOWN, which reads as if we
had failed, and logs a traceback. Counterpart: `grpc`, which serves with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
_Continue: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]
"""Gives the method's handler; grpcio's types know only that of its threaded server."""


class _Malformed:
    pass


class RefuseMalformed(grpc.aio.ServerInterceptor):
    """Wraps the methods of one service, all of them with one request."""

    def __init__(self, service: str) -> None:
        self._prefix = f"/{service}/"

    async def intercept_service(
        self, continuation: _Continue, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The method's handler, with a check before it."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith(self._prefix):
            return handler
        deserialize = handler.request_deserializer

        def read(data: bytes) -> Any:
            try:
                return deserialize(data)
            except DecodeError:
                return _Malformed()

        async def check(request: Any, context: _Context) -> None:
            if isinstance(request, _Malformed):
                name = method.removeprefix(self._prefix)
                told = f"the request is no shadow.v1.{name}Request that can be read"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, told)

        if handler.response_streaming:

            async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
                await check(request, context)
                async for each in handler.unary_stream(request, context):
                    yield each

            return grpc.unary_stream_rpc_method_handler(stream, read, handler.response_serializer)

        async def unary(request: Any, context: _Context) -> Any:
            await check(request, context)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(unary, read, handler.response_serializer)
