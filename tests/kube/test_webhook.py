"""The webhook as a process of its own, over real HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest

from sidecar.kube import webhook as module
from sidecar.kube.inject import inject
from tests.kube.certificates import make_certificate
from tests.kube.pods import pod
from tests.kube.reviews import patched, review


@dataclass(frozen=True, slots=True)
class Served:
    """A running webhook and its watched files."""

    process: subprocess.Popen[str]
    errors: IO[str]
    port: int
    directory: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def until(self, event: str) -> dict[str, Any]:
        """Read its log up to an event."""
        for line in self.errors:
            entry: dict[str, Any] = json.loads(line)
            if entry["event"].startswith(event):
                return entry
        raise AssertionError(f"ended without {event!r}")

    def rotate(self, name: str) -> None:
        """Put another pair in its place as the kubelet does: by turning a symbolic link."""
        make_certificate(self.directory, name)
        fresh = self.directory / f"data-{name}"
        fresh.mkdir()
        for kind in ("crt", "key"):
            shutil.copy(self.directory / f"{name}.{kind}", fresh / f"tls.{kind}")
        link = self.directory / "turning"
        link.symlink_to(fresh.name)
        os.replace(link, self.directory / "data")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    make_certificate(tmp_path, "first")
    first = tmp_path / "data-first"
    first.mkdir()
    for kind in ("crt", "key"):
        shutil.copy(tmp_path / f"first.{kind}", first / f"tls.{kind}")
    (tmp_path / "data").symlink_to(first.name)
    command = [sys.executable, "-m", "sidecar", "webhook", "--listen", "127.0.0.1:0"]
    command += ["--cert", f"{tmp_path}/data/tls.crt", "--key", f"{tmp_path}/data/tls.key"]
    process = subprocess.Popen(
        [*command, "--set", "image=registry.example/shadow-sidecar:1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        started = Served(process, process.stderr, 0, tmp_path)
        port = int(started.until("listening")["address"].rpartition(":")[2])
        yield Served(process, process.stderr, port, tmp_path)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def trusting(served: Served, name: str = "first") -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(served.directory / f"{name}.crt"))


def session(served: Served, name: str = "first") -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting(served, name)))


async def counted(client: aiohttp.ClientSession, served: Served, outcome: str) -> float:
    return await metric(client, served, f'reviews_total{{outcome="{outcome}"}}')


async def metric(client: aiohttp.ClientSession, served: Served, name: str) -> float:
    async with client.get(f"{served.url}/metrics") as response:
        text = await response.text()
    name = f"shadow_sidecar_webhook_{name} "
    return float(next(x for x in text.splitlines() if x.startswith(name)).removeprefix(name))


def test_a_review_over_https_is_answered_with_what_inject_gives(served: Served) -> None:
    async def ask() -> None:
        async with session(served) as client:
            async with client.post(f"{served.url}/mutate", data=review("Pod", pod())) as response:
                made = (await response.json())["response"]
            image = {"image": "registry.example/shadow-sidecar:1"}
            assert patched(pod(), made) == inject(pod(), image)
            assert await counted(client, served, "injected") == 1
            async with client.get(f"{served.url}/healthz") as response:
                assert response.status == 200

    asyncio.run(ask())


def test_what_is_not_a_review_is_refused_and_the_next_one_is_served(served: Served) -> None:
    async def ask() -> None:
        async with session(served) as client:
            for body, status in (
                (b"not json", 400),
                (b"[" * 50_000, 400),
                (b"x" * (module.MAX_BODY + 1), 413),
            ):
                async with client.post(f"{served.url}/mutate", data=io.BytesIO(body)) as response:
                    assert response.status == status
            async with client.get(f"{served.url}/mutate") as response:
                assert response.status == 405
            widget = review("Widget", {"spec": 1})
            async with client.post(f"{served.url}/mutate", data=widget) as response:
                assert (await response.json())["response"]["allowed"] is True
            for outcome, count in (("malformed", 2), ("too_large", 1), ("foreign", 1)):
                assert await counted(client, served, outcome) == count

    asyncio.run(ask())


def test_a_slow_request_is_ended_and_does_not_hold_up_the_others(served: Served) -> None:
    async def ask() -> None:
        reader, writer = await asyncio.open_connection(
            "localhost", served.port, ssl=trusting(served)
        )
        writer.write(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow")
        silent, its_writer = await asyncio.open_connection(
            "localhost", served.port, ssl=trusting(served)
        )
        half, half_writer = await asyncio.open_connection("localhost", served.port)
        async with session(served) as client:
            async with client.post(f"{served.url}/mutate", data=review("Pod", pod())) as response:
                assert response.status == 200
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            assert await counted(client, served, "slow") == 1
        for stream in (silent, half):
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                assert await stream.read() == b""
        for each in (writer, its_writer, half_writer):
            each.transport.abort()

    asyncio.run(ask())


def test_a_certificate_is_changed_under_load_and_no_review_fails(served: Served) -> None:
    async def ask() -> None:
        done = asyncio.Event()
        answers = []

        async def load(name: str, fresh: bool) -> None:
            async with session(served, name) as client:
                while not done.is_set():
                    headers = {"Connection": "close"} if fresh else {}
                    async with client.post(
                        f"{served.url}/mutate", data=review("Pod", pod()), headers=headers
                    ) as response:
                        answers.append((await response.json())["response"]["allowed"])

        # Clients that keep their connection see nothing; new connections trust both.
        both = served.directory / "both.crt"
        make_certificate(served.directory, "second")
        both.write_text((served.directory / "first.crt").read_text())
        running = [asyncio.create_task(load("first", fresh=False)) for _ in range(3)]
        served.rotate("second")
        both.write_text(both.read_text() + (served.directory / "second.crt").read_text())
        running += [asyncio.create_task(load("both", fresh=True)) for _ in range(2)]
        await asyncio.to_thread(served.until, "certificate read again")
        before = len(answers)
        async with (
            session(served, "second") as client,
            client.get(f"{served.url}/healthz") as response,
        ):
            assert response.status == 200
        while len(answers) < before + 20:
            await asyncio.wait(running, timeout=0.05, return_when=asyncio.FIRST_EXCEPTION)
            assert not any(task.done() for task in running), "a review failed"
        done.set()
        await asyncio.gather(*running)
        assert all(answers)

    asyncio.run(ask())


def test_at_the_end_what_has_begun_is_finished(served: Served) -> None:
    async def ask() -> None:
        body = review("Pod", pod())
        reader, writer = await asyncio.open_connection(
            "localhost", served.port, ssl=trusting(served)
        )
        head = f"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:-1])
        async with session(served) as client:
            while not await metric(client, served, "in_flight"):
                pass
        served.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(served.until, "ending")
        writer.write(body[-1:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await asyncio.to_thread(served.until, "ended")
        writer.transport.abort()

    asyncio.run(ask())
    assert served.process.wait(timeout=30) == 0


def test_a_wrong_start_is_told_and_ends_with_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sidecar", "webhook", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, "--cert", f"{tmp_path}/no.crt", "--key", f"{tmp_path}/no.key"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no.crt: No such file" in done.stderr
