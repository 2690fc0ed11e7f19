"""Which names have an address, by the resolver's word."""

from __future__ import annotations

import socket

import pytest

from sidecar.kube.names import ENOUGH, Names, exists, host_of


def test_a_new_name_is_looked_up_at_once_and_once() -> None:
    asked = []

    def look(host: str) -> bool:
        asked.append(host)
        return host != "canary"

    names = Names(look)
    assert names.absent("new=canary:9000")
    assert names.absent("new=canary:9000")
    assert not names.absent("stable:9000")
    assert asked == ["canary", "stable"]


def test_a_shadow_is_gone_after_several_looks_and_back_after_one() -> None:
    answers = [True, *[False] * ENOUGH, True]
    names = Names(lambda host: answers.pop(0))
    seen = [names.absent("canary:9000")]
    while answers:
        names.look()
        seen.append(names.absent("canary:9000"))
    assert seen == [False] * ENOUGH + [True, False]


@pytest.mark.parametrize(
    ("number", "there"),
    [(socket.EAI_NONAME, False), (socket.EAI_NODATA, False), (socket.EAI_AGAIN, True)],
)
def test_only_the_resolvers_no_is_a_no(
    number: int, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "said by the test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert exists("canary") is there


def test_an_address_is_always_there() -> None:
    assert [host_of(s) for s in ("a=[::1]:9", "10.0.0.1:9", "b=h.ns:9")] == [
        "::1",
        "10.0.0.1",
        "h.ns",
    ]
    assert exists("::1")
    assert exists("10.0.0.1")
