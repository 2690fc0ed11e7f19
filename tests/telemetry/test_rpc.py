from __future__ import annotations

import grpc
import pytest
from opentelemetry.semconv._incubating.attributes import rpc_attributes
from opentelemetry.semconv.attributes import network_attributes, server_attributes
from opentelemetry.semconv.schemas import Schemas

from sidecar.status import status_name
from sidecar.telemetry import rpc


def test_status_names_are_grpcs() -> None:
    assert [status_name(i) for i in range(17)] == [
        code.name for code in sorted(grpc.StatusCode, key=lambda code: int(code.value[0]))
    ]


@pytest.mark.parametrize("code", [-1, 17, 99])
def test_a_code_that_grpc_does_not_define_stays_a_number(code: int) -> None:
    assert status_name(code) == str(code)


def test_a_server_is_not_blamed_for_its_callers_mistakes() -> None:
    assert not rpc.failed("INVALID_ARGUMENT", server=True)
    assert rpc.failed("INVALID_ARGUMENT", server=False)
    assert rpc.failed("UNAVAILABLE", server=True)
    assert not rpc.failed("OK", server=True)
    assert not rpc.failed("OK", server=False)


def test_names_are_those_of_the_conventions() -> None:
    assert dict(rpc.server_attributes("model:9000")) == {
        server_attributes.SERVER_ADDRESS: "model",
        server_attributes.SERVER_PORT: 9000,
    }
    assert dict(rpc.peer_attributes("[::1]:9000")) == {
        network_attributes.NETWORK_PEER_ADDRESS: "::1",
        network_attributes.NETWORK_PEER_PORT: 9000,
    }
    assert rpc_attributes.RPC_SYSTEM_NAME == "rpc.system.name"
    assert rpc_attributes.RPC_RESPONSE_STATUS_CODE == "rpc.response.status_code"
    assert rpc.SCHEMA_URL in {schema.value for schema in Schemas}


def test_a_unix_sockets_path_is_an_address_without_a_port() -> None:
    assert dict(rpc.server_attributes("unix:/run/m.sock")) == {"server.address": "/run/m.sock"}
    assert dict(rpc.peer_attributes("unix:/run/m.sock")) == {"network.peer.address": "/run/m.sock"}


@pytest.mark.parametrize("address", ["", "nonsense", "model:port"])
def test_an_address_that_cannot_be_read_says_nothing(address: str) -> None:
    assert not rpc.server_attributes(address)
    assert not rpc.peer_attributes(address)


def test_a_peer_is_never_a_name() -> None:
    assert not rpc.peer_attributes("model.svc:9000")
