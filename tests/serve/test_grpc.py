from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.serve.client import Reach, call, pull
from sidecar.serve.grpc import AdminService, serve_admin
from sidecar.settings.settings import AdminSettings
from tests.house import House, told
from tests.tee.certificates import Authority

PATIENCE = 20.0


@asynccontextmanager
async def serving(house: House, **settings: Any) -> AsyncIterator[str]:
    given = AdminSettings.model_validate({"listen": "127.0.0.1:0", **settings})
    service = AdminService(house.experiment, house.watchers)
    server, address = await serve_admin(service, given)
    try:
        yield address
    finally:
        await server.stop(None)


class Client:
    """The methods by name, with errors as (code, detail)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def __call__(self, method: str, request: dict[str, Any]) -> Any:
        types = pb.DESCRIPTOR.services_by_name["Admin"].methods_by_name[method]
        stub: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = self.channel.unary_unary(
            f"/shadow.v1.Admin/{method}",
            request_serializer=getattr(pb, types.input_type.name).SerializeToString,
            response_deserializer=getattr(pb, types.output_type.name).FromString,
        )
        message = ParseDict(request, getattr(pb, types.input_type.name)())
        try:
            return await stub(message, timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details()


def ask(house: House, questions: Callable[[Client], Awaitable[None]]) -> None:
    async def conversation() -> None:
        async with serving(house) as address, grpc.aio.insecure_channel(address) as channel:
            await asyncio.wait_for(questions(Client(channel)), PATIENCE)

    asyncio.run(conversation())


def test_the_report_carries_its_state_and_everything_else() -> None:
    house = House({})
    for _ in range(200):
        house.call(told(1.0))

    async def questions(client: Client) -> None:
        answer = await client("GetReport", {})
        assert (answer.state, answer.reason) == (
            pb.STATE_PASS,
            "every required criterion passes: same",
        )
        report = MessageToDict(answer.report)
        assert report["verdict"]["calls"] == 200
        assert report["shadow"] == "candidate"

    ask(house, questions)


def test_a_shadow_that_is_not_there_is_named_with_those_that_are() -> None:
    async def questions(client: Client) -> None:
        for method in ("GetReport", "GetCounts", "RecordLabels", "WantedLabels"):
            assert await client(method, {"shadow": "nobody"}) == (
                "NOT_FOUND",
                "no shadow is called 'nobody': candidate",
            )

    ask(House({}, control=0.5), questions)


def test_labels_are_taken_all_or_none_and_their_fates_are_told() -> None:
    accuracy = {"name": "right", "kind": "accuracy", "margin": 0.1, "decision": {"threshold": 0}}
    house = House({"criteria": [accuracy]})
    for _ in range(3):
        house.call(told(1.0), production=told(-1.0))

    async def questions(client: Client) -> None:
        wanted = await client("WantedLabels", {"most": 2})
        assert list(wanted.correlation_ids) == ["request-1", "request-2"]
        rows = [{"correlationId": f"request-{n}", "value": 0} for n in (1, 2, 9)]
        bad = {"labels": [*rows, {"correlationId": "x", "value": {"a": 1}}]}
        code, detail = await client("RecordLabels", bad)
        assert (code, detail) == (
            "INVALID_ARGUMENT",
            "labels[3]: a label is a number, text, or a list of them, not dict",
        )
        first = await client("RecordLabels", {"labels": rows})
        again = await client("RecordLabels", {"labels": rows})
        assert MessageToDict(first) == {"shadows": {"candidate": {"joined": "2", "early": "1"}}}
        assert MessageToDict(again) == {"shadows": {"candidate": {"duplicate": "3"}}}
        many = {"labels": [{"correlationId": "a", "value": 1}] * 10_001}
        assert await client("RecordLabels", many) == (
            "INVALID_ARGUMENT",
            "10001 labels: at most 10000 at a time",
        )
        assert (await client("WantedLabels", {"most": -1}))[0] == "INVALID_ARGUMENT"

    ask(house, questions)


def test_pairs_are_streamed_as_they_happen_and_a_slow_watchers_losses_are_counted() -> None:
    house = House({})

    async def questions(client: Client) -> None:
        stub: grpc.aio.UnaryStreamMultiCallable[Any, Any] = client.channel.unary_stream(
            "/shadow.v1.Admin/WatchPairs",
            request_serializer=pb.WatchPairsRequest.SerializeToString,
            response_deserializer=pb.WatchPairsResponse.FromString,
        )
        call = stub(pb.WatchPairsRequest(), timeout=PATIENCE)
        await call.initial_metadata()
        house.call(told(1.0))
        for _ in range(300):  # more than a watcher's buffer, before it can take any
            house.call(told(2.0))
        pair: Any = await call.read()
        assert (pair.shadow, pair.dropped) == ("candidate", 300 - 256)
        # The first call agreed; of the others the latest 256 are there.
        assert pair.pair.trace_id == pair.pair.shadow_trace_id == f"{1 + 300 - 256 + 1:032x}"
        assert [(o.name, o.outcome) for o in pair.pair.outputs] == [("score", "value")]
        following: Any = await call.read()
        assert following.dropped == 0
        call.cancel()

    ask(house, questions)


def test_a_request_that_cannot_be_read_is_an_invalid_argument() -> None:
    async def questions(client: Client) -> None:
        for kind, method in (("unary_unary", "SetPolicy"), ("unary_stream", "WatchPairs")):
            call = getattr(client.channel, kind)(f"/shadow.v1.Admin/{method}")(b"\xff\xff")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await (call if kind == "unary_unary" else call.read())
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            told = f"the request is no shadow.v1.{method}Request that can be read"
            assert refused.value.details() == told

    ask(House({}), questions)


def test_policy_changes_what_is_asked_for_and_nothing_when_a_part_is_wrong() -> None:
    house = House({}, control=0.5)

    async def questions(client: Client) -> None:
        changed = await client("SetPolicy", {"sample": 0.5, "paused": True, "callsPerSecond": 9.0})
        assert MessageToDict(changed) == {
            "sample": 0.5,
            "paused": True,
            "rates": {"candidate": {"callsPerSecond": 9.0}, "noise": {"callsPerSecond": 9.0}},
        }
        one = await client("SetPolicy", {"shadow": "noise", "callsPerSecond": 0})
        assert "callsPerSecond" not in MessageToDict(one)["rates"]["noise"]
        assert house.experiment.state().receiver("candidate").settings.rate.calls_per_second == 9.0
        for wrong in ({"sample": 2}, {"callsPerSecond": -1}, {"shadow": "nobody", "sample": 0.1}):
            assert (await client("SetPolicy", wrong))[0] == "INVALID_ARGUMENT"
        inf, nan = "Infinity", "NaN"  # as JSON writes them
        said = await client("SetPolicy", {"sample": nan, "callsPerSecond": inf, "shadow": "nobody"})
        assert said == (
            "INVALID_ARGUMENT",
            "sample: nan: must be from 0 to 1; "
            "calls_per_second: inf: must be a number above 0, or 0, which takes the limit away; "
            "shadow: 'nobody': must be one of: candidate, noise",
        )
        assert (await client("SetPolicy", {"bytesPerSecond": nan}))[0] == "INVALID_ARGUMENT"
        assert house.experiment.state().settings.sample.fraction == 0.5
        assert (await client("SetPolicy", {"paused": False})).paused is False
        assert not house.experiment.state().settings.paused
        assert (await client("SetPolicy", {"end": True})).ended
        assert house.experiment.state().ended
        assert (await client("SetPolicy", {"end": False}))[0] == "INVALID_ARGUMENT"
        assert (await client("SetPolicy", {"sample": 0.1})).ended  # a change does not wake it up

    ask(house, questions)


def test_health_and_reflection_are_served() -> None:
    async def questions(client: Client) -> None:
        health = health_pb2_grpc.HealthStub(client.channel)
        for service in ("", "shadow.v1.Admin"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        call = reflection.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        names = {s.name for s in (await call.read()).list_services_response.service}
        assert {"shadow.v1.Admin", "grpc.health.v1.Health"} <= names

    ask(House({}), questions)


def test_two_sidecars_cannot_share_a_port() -> None:
    async def scenario() -> None:
        async with serving(House({})) as address:
            with pytest.raises(OSError, match=f"admin.listen '{address}'"):
                async with serving(House({}), listen=address):
                    raise AssertionError("it listened")

    asyncio.run(scenario())


def test_other_addresses_take_mutual_tls(tmp_path: Path) -> None:
    ours, strangers = Authority(tmp_path / "ours"), Authority(tmp_path / "strangers")
    cert, key = ours.sign("sidecar.test")
    mine, my_key = ours.sign("operator.test")
    false, false_key = strangers.sign("operator.test")
    tls = {"cert": str(cert), "key": str(key), "ca": str(ours.ca)}
    reach: dict[str, Any] = {"ca": ours.ca, "server_name": "sidecar.test", "timeout": PATIENCE}

    async def scenario() -> None:
        async with serving(House({}), listen="127.0.0.1:0", tls=tls) as address:
            known = await pull([address], Reach(cert=mine, key=my_key, **reach))
            assert [len(parts) for parts in known.answers.values()] == [1]
            for stranger in (
                Reach(**reach),
                Reach(cert=false, key=false_key, **reach),
                Reach(timeout=PATIENCE),
            ):
                refused = await pull([address], stranger)
                assert not refused.answers
                assert refused.missing[address].startswith("UNAVAILABLE")

    asyncio.run(scenario())


@pytest.mark.parametrize("secret", ["", "s" * 64])
def test_changing_anything_needs_the_token_and_reading_does_not(secret: str) -> None:
    async def conversation() -> None:
        house = House({})
        service = AdminService(house.experiment, house.watchers, secret)
        settings = AdminSettings.model_validate({"listen": "127.0.0.1:0"})
        server, address = await serve_admin(service, settings)
        try:
            for token in ("", "wrong", "s" * 63):
                reach = Reach(timeout=PATIENCE, token=token)
                for method, request in (
                    ("SetPolicy", pb.SetPolicyRequest(paused=True)),
                    ("RecordLabels", pb.RecordLabelsRequest()),
                ):
                    with pytest.raises(grpc.aio.AioRpcError, match=r"admin\.token_file") as refused:
                        await call(address, method, request, reach)
                    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
                await call(address, "GetCounts", pb.GetCountsRequest(), reach)
            assert not house.experiment.state().settings.paused
            if secret:
                reach = Reach(timeout=PATIENCE, token=secret)
                await call(address, "SetPolicy", pb.SetPolicyRequest(paused=True), reach)
                assert house.experiment.state().settings.paused
        finally:
            await server.stop(None)

    asyncio.run(conversation())
