from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.serve.client import (
    Asked,
    Reach,
    parts_of,
    pull,
    pull_here,
    resolve,
    shadow_names,
    with_port,
)
from tests.house import House, told
from tests.serve.test_grpc import serving


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("10.0.0.1", "10.0.0.1:9096"),
        ("pod-3.observers", "pod-3.observers:9096"),
        ("10.0.0.1:7", "10.0.0.1:7"),
        ("[::1]", "[::1]:9096"),
        ("[::1]:7", "[::1]:7"),
        ("unix:/run/admin", "unix:/run/admin"),
        ("http://10.0.0.1:9095/", "http://10.0.0.1:9095"),
    ],
)
def test_an_address_may_leave_its_port_out(given: str, address: str) -> None:
    assert with_port(given) == address


@pytest.mark.parametrize("given", ["", "host:port", "http://host", "::1"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        with_port(given)


def test_a_service_is_every_address_behind_its_name() -> None:
    assert asyncio.run(resolve("127.0.0.1:7")) == ["127.0.0.1:7"]
    assert asyncio.run(resolve("http://127.0.0.1:7")) == ["http://127.0.0.1:7"]
    assert "127.0.0.1:9096" in asyncio.run(resolve("localhost"))
    with pytest.raises(OSError, match=r".+"):
        asyncio.run(resolve("nobody.invalid"))


def test_of_the_sidecar_here_every_observer_is_asked_and_one_that_is_gone_is_missed(
    tmp_path: Path,
) -> None:
    houses = [House({}, instance=f"observer-{number}", processes=3) for number in range(2)]
    for house in houses:
        house.call(told(1.0))
    first = f"unix:{tmp_path}/admin"

    async def scenario() -> Asked:
        async with serving(houses[0], listen=first), serving(houses[1], listen=f"{first}.1"):
            return await pull_here(Reach(timeout=5), first)

    asked = asyncio.run(scenario())
    parts, missing = parts_of(asked, "candidate")
    assert {part.snapshot.key.instance for part in parts} == {"observer-0", "observer-1"}
    assert list(missing) == [f"{first}.2"]


def test_one_that_is_gone_or_silent_takes_nothing_from_the_others() -> None:
    house = House({})
    house.call(told(1.0))

    async def scenario() -> tuple[str, Asked]:
        with closing(socket.socket()) as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            mute = f"127.0.0.1:{silent.getsockname()[1]}"
            async with serving(house) as address:
                addresses = [address, mute, "127.0.0.1:1", f"http://{mute}", "http://127.0.0.1:1"]
                return address, await pull(addresses, Reach(timeout=0.5))

    address, asked = asyncio.run(scenario())
    assert list(asked.answers) == [address]
    assert len(asked.missing) == 4
    assert all(asked.missing.values())
    assert shadow_names(asked) == ["candidate"]
    parts, missing = parts_of(asked, "candidate")
    assert ([part.snapshot.calls for part in parts], missing) == ([1], asked.missing)
    assert parts_of(asked, "other")[1][address] == "has no shadow called 'other'"
