"""The test servers and the process helper, against each other and without any sidecar."""

from __future__ import annotations

import socket
import sys

import grpc
import numpy as np
import pytest

from sidecar.address import TCP, parse_address
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.processes import Process, ProcessError, accepts, server

INFER = "/inference.GRPCInferenceService/ModelInfer"


def _request(values: list[float], *, raw: bool) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="arithmetic", id="7")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    if raw:
        request.raw_input_contents.append(np.asarray(values, np.float32).tobytes())
    else:
        tensor.contents.fp32_contents.extend(values)
    return request


def _infer(channel: grpc.Channel, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    call = channel.unary_unary(
        INFER,
        request_serializer=oip.ModelInferRequest.SerializeToString,
        response_deserializer=oip.ModelInferResponse.FromString,
    )
    response: oip.ModelInferResponse = call(request, timeout=10)
    return response


def test_the_model_answers_typed_contents_typed_and_raw_ones_raw() -> None:
    with (
        server("model", "--bias", "0.5", "--model-version", "2") as model,
        grpc.insecure_channel(model.wait_ready()["address"]) as channel,
    ):
        typed = _infer(channel, _request([1, 2], raw=False))
        raw = _infer(channel, _request([1, 2], raw=True))
    assert (typed.model_version, typed.id) == ("2", "7")
    assert list(typed.outputs[0].contents.fp32_contents) == [3.5, 5.5]
    assert np.frombuffer(raw.raw_output_contents[0], np.float32).tolist() == [3.5, 5.5]
    assert [out.name for out in raw.outputs] == ["x", "sum"]
    assert np.frombuffer(raw.raw_output_contents[1], np.float64).tolist() == [9.0]


def test_the_model_lower_cases_bytes_and_leaves_out_what_it_is_told_to() -> None:
    request = oip.ModelInferRequest(model_name="arithmetic")
    request.inputs.add(name="t", datatype="BYTES", shape=[2]).contents.bytes_contents[:] = [
        b"One",
        b"",
    ]
    with (
        server("model", "--drop-output", "sum") as model,
        grpc.insecure_channel(model.wait_ready()["address"]) as channel,
    ):
        response = _infer(channel, request)
    assert [out.name for out in response.outputs] == ["t"]
    assert list(response.outputs[0].contents.bytes_contents) == [b"one", b""]


def test_the_model_fails_every_nth_call_with_the_status_asked_for() -> None:
    with (
        server("model", "--error", "RESOURCE_EXHAUSTED", "--error-every", "2") as model,
        grpc.insecure_channel(model.wait_ready()["address"]) as channel,
    ):
        _infer(channel, _request([1], raw=True))
        with pytest.raises(grpc.RpcError) as failure:
            _infer(channel, _request([1], raw=True))
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_bytes_are_echoed_by_every_kind_of_method_and_compressed_if_asked() -> None:
    with (
        server("bytes", "--salt", ">", "--gzip", "--name", "echo") as echo,
        grpc.insecure_channel(echo.wait_ready()["address"]) as channel,
    ):
        unary: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        lines: grpc.UnaryStreamMultiCallable[bytes, bytes]
        joined: grpc.StreamUnaryMultiCallable[bytes, bytes]
        both: grpc.StreamStreamMultiCallable[bytes, bytes]
        unary = channel.unary_unary("/test.Bytes/Unary")
        lines = channel.unary_stream("/test.Bytes/ServerStream")
        joined = channel.stream_unary("/test.Bytes/ClientStream")
        both = channel.stream_stream("/test.Bytes/Bidi")
        answer, call = unary.with_call(b"a" * 1000)
        assert answer == b">" + b"a" * 1000
        assert ("x-served-by", "echo") in [tuple(item) for item in call.trailing_metadata()]
        assert list(lines(b"one\ntwo")) == [b">one", b">two"]
        assert joined(iter([b"a", b"b"])) == b">a\nb"
        assert list(both(iter([b"a", b"b"]))) == [b">a", b">b"]


@pytest.mark.parametrize("kind", ["garbage", "reset"])
def test_a_server_that_speaks_no_protocol_says_what_its_kind_promises(kind: str) -> None:
    with server(kind, "--flood", "100") as bad:
        where = parse_address(bad.wait_ready()["address"])
        assert isinstance(where, TCP)
        with socket.create_connection((where.host, where.port), timeout=10) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\n")
            if kind == "garbage":
                assert len(client.recv(100, socket.MSG_WAITALL)) == 100
            else:
                with pytest.raises(ConnectionResetError):
                    client.recv(1)


def test_a_silent_server_accepts_and_hangs_up_only_when_stopped() -> None:
    with server("silent") as silent:
        silent.wait_until(accepts(silent.wait_ready()["address"]))
        assert silent.returncode is None
    assert silent.returncode == 0


def test_a_process_that_ends_early_is_reported_with_its_last_words() -> None:
    with (
        Process([sys.executable, "-c", "print('no such model'); raise SystemExit(3)"]) as child,
        pytest.raises(ProcessError, match=r"(?s)exit status 3.*no such model"),
    ):
        child.wait_ready()


def test_a_process_that_says_nothing_runs_into_the_timeout() -> None:
    with (
        Process([sys.executable, "-c", "import threading; threading.Event().wait()"]) as child,
        pytest.raises(ProcessError, match="not ready in"),
    ):
        child.wait_ready(timeout=0.1)


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    stubborn = (
        "import signal, threading\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('{\"ready\": true}', flush=True)\n"
        "threading.Event().wait()"
    )
    child = Process([sys.executable, "-c", stubborn])
    child.wait_ready()
    assert child.stop(grace=0.1) == -9
