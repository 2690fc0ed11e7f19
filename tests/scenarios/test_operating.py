"""What an operator does with a running sidecar: look, change, drain, end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Process, http_text, python, sidecar_run
from tests.scenarios.stack import Sidecar, accounted_for, servers, sidecar, skipped
from tests.scenarios.traffic import OPTIONS, SERVICE, Mix, run

BYTES = ("bytes",)
MIX = Mix(unary=60, streams=2)


def test_the_pages_tell_that_it_lives_what_it_counts_and_the_latest_pairs() -> None:
    with servers(BYTES, ("bytes", "--salt", "!")) as (production, shadow):
        with sidecar(production, shadow) as it:
            assert http_text(it.http, "/livez") == "ok\n"
            assert http_text(it.http, "/readyz") == "ok\n"
            asyncio.run(run(it.address, MIX))
            it.settled(MIX.calls)
            metrics = _samples(http_text(it.http, "/metrics"))
            pairs = json.loads(http_text(it.http, "/pairs?limit=5"))
    assert metrics["shadow_sidecar_calls_seen_total"] == MIX.calls
    assert metrics["shadow_sidecar_calls_compared_total"] == MIX.calls
    assert len(pairs) == 5
    assert {pair["outcome"] for pair in pairs} == {"value"}
    assert all(len(pair["trace_id"]) == 32 for pair in pairs)


@pytest.mark.parametrize("how", ["the file changes", "SIGHUP"])
def test_sample_and_pause_change_without_a_restart_when(how: str, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    with servers(BYTES, BYTES) as (production, shadow):
        file.write_text(_config(shadow, "sample: {fraction: 1.0}"))
        with _configured(production, file) as process:
            it = _of(process)
            asyncio.run(run(it.address, MIX))
            assert it.settled(MIX.calls)["calls"]["compared"] == MIX.calls
            file.write_text(_config(shadow, "paused: true\nsample: {fraction: 1}\nhttp: {x: 1}"))
            if how == "SIGHUP":
                process.send(signal.SIGHUP)
            process.wait_line(lambda line: "reload_refused" in line and "http.x" in line)
            assert it.status()["paused"] is False  # a wrong file changes nothing
            file.write_text(_config(shadow, "paused: true\nsample: {fraction: 1}"))
            if how == "SIGHUP":
                process.send(signal.SIGHUP)
            process.wait_until(lambda: it.status()["paused"])
            asyncio.run(run(it.address, MIX))
            assert skipped(it.settled(2 * MIX.calls)["calls"]) == {"paused": MIX.calls}
            file.write_text(_config(shadow, "sample: {fraction: 0}"))
            process.wait_until(lambda: it.status()["sample"] == 0 and not it.status()["paused"])
            asyncio.run(run(it.address, MIX))
            counts = skipped(it.settled(3 * MIX.calls)["calls"])
            assert counts == {"paused": MIX.calls, "not_sampled": MIX.calls}


def test_a_sampled_fraction_is_drawn_by_the_wire_before_data_crosses_the_tap() -> None:
    calls = Mix(unary=1500)
    with servers(BYTES, BYTES) as (production, shadow):
        with sidecar(production, shadow, settings={"sample.fraction": 0.1}) as it:
            asyncio.run(run(it.address, calls))
            it.settled(calls.calls)
            # The wire tells once a second.
            it.process.wait_until(lambda: it.status()["wire"]["bytes_from_client_total"] > 0)
            status = it.status()
            copied, forwarded = (
                status["wire"]["tap_bytes_total"],
                status["wire"]["bytes_from_client_total"]
                + status["wire"]["bytes_from_server_total"],
            )
    assert set(skipped(status["calls"])) <= {"not_sampled", "tap_gap"}
    # 1,500 draws of 10 %: five standard deviations are 58.
    assert 92 <= calls.calls - status["calls"]["skipped"]["not_sampled"] <= 208
    assert copied < forwarded * 0.5


def test_sticky_sampling_keeps_the_calls_of_one_key_together() -> None:
    async def send(address: str) -> None:
        async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
            stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            stub = channel.unary_unary(f"{SERVICE}/Unary")
            for number in range(400):
                await stub(b"%d" % number, metadata=(("user", f"u{number % 20}"),), timeout=20)

    settings = {"sample.fraction": 0.5, "sample.key": "metadata:user"}
    with servers(BYTES, BYTES) as (production, shadow):
        with sidecar(production, shadow, settings=settings) as it:
            asyncio.run(send(it.address))
            calls = it.settled(400)["calls"]
    # Twenty users with twenty calls each: all of a user's calls, or none.
    assert calls["compared"] % 20 == 0
    assert 0 < calls["compared"] < 400


def test_a_drain_lets_calls_finish_and_ends_everything() -> None:
    async def end_while_calling(process: Process, address: str) -> list[bytes]:
        async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
            stub: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            stub = channel.unary_unary(f"{SERVICE}/Unary")
            await stub(b"first", timeout=20)
            calls = [asyncio.ensure_future(_await(stub(b"%d" % n, timeout=20))) for n in range(20)]
            await asyncio.wait(calls, timeout=0.05)
            process.send(signal.SIGTERM)
            return list(await asyncio.gather(*calls))

    with servers(("bytes", "--delay-ms", "300"), BYTES) as (production, shadow):
        with sidecar(production, shadow) as it:
            answers = asyncio.run(end_while_calling(it.process, it.address))
            assert answers == [b"%d" % n for n in range(20)]
            assert it.process.wait(20) == 0
            for pid in it.pids.values():
                assert not Path(f"/proc/{pid}").exists()


def test_the_sidecar_ends_when_its_wire_ends() -> None:
    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        os.kill(it.pids["wire"], signal.SIGKILL)
        assert it.process.wait(20) == -signal.SIGKILL % 256 or it.process.returncode != 0
        assert not Path(f"/proc/{it.pids['observer']}").exists()


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    with servers(BYTES, BYTES) as (production, shadow):
        flags = ["--listen", production, "--upstream", shadow, "--http", "127.0.0.1:0"]
        tap = Path(tempfile.mkdtemp(prefix="shadow-tap-")) / "tap.sock"
        with python("sidecar", "run", *flags, "--tap", str(tap)) as process:
            assert process.wait(20) != 0
            assert production in process.tail()


def test_a_stream_is_compared_message_by_message() -> None:
    with servers(BYTES, BYTES) as (production, shadow), sidecar(production, shadow) as it:
        asyncio.run(run(it.address, Mix(streams=10)))
        status = it.settled(30)
    accounted_for(status)
    assert status["shadows"]["shadow"]["outcomes"]["equal"] == 30


async def _await(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> bytes:
    return await call


def _config(shadow: str, text: str) -> str:
    return f"shadows: [{{address: '{shadow}'}}]\n{text}\n"


def _configured(production: str, file: Path) -> Process:
    return sidecar_run(production, (), "--config", str(file))


def _of(process: Process) -> Sidecar:
    ready = process.wait_ready()
    return Sidecar(process, ready["listen"][0], ready["http"], ready["pids"])


def _samples(text: str) -> dict[str, Any]:
    """Samples without labels, by name."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }
