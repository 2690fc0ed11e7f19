"""Which names have an address, by the resolver's word."""

from __future__ import annotations

import socket

import pytest

from sidecar.kube.names import ENOUGH, Names, Own, addresses_of, host_of

THERE, NOT = frozenset({"10.0.0.9"}), frozenset[str]()
OWN = Own(frozenset({"10.0.0.7", "fd00::7"}), frozenset({9094, 9000}))


def test_a_new_name_is_looked_up_at_once_and_once() -> None:
    asked = []

    def look(host: str) -> frozenset[str]:
        asked.append(host)
        return NOT if host == "canary" else THERE

    names = Names(look)
    assert names.left_out("new=canary:9000")
    assert names.left_out("new=canary:9000")
    assert not names.left_out("stable:9000")
    assert asked == ["canary", "stable"]


def test_a_shadow_is_gone_after_several_looks_and_back_after_one() -> None:
    answers = [THERE, *[NOT] * ENOUGH, THERE]
    names = Names(lambda host: answers.pop(0))
    seen = [names.left_out("canary:9000")]
    while answers:
        names.look()
        seen.append(names.left_out("canary:9000"))
    assert seen == [False] * ENOUGH + [True, False]


@pytest.mark.parametrize("mine", ["10.0.0.7", "fd00:0::7", "fd00::7%eth0"])
def test_a_shadow_that_is_this_pod_is_left_out_and_said_once(mine: str) -> None:
    said: list[str] = []
    names = Names(lambda host: frozenset({"10.0.0.3", mine}), OWN, said.append)
    for _ in range(3):
        assert names.left_out("canary=digits-copies:9000")
        names.look()
    assert said == ["shadow canary=digits-copies:9000 is this pod itself, and is left out"]
    assert not names.left_out("canary=digits-copies:9001"), "another server of the pod"


def test_a_pod_that_drops_out_of_its_service_for_a_look_does_not_shadow_itself() -> None:
    me, other = frozenset({"10.0.0.7"}), frozenset({"10.0.0.3"})
    answers: list[frozenset[str] | None] = [me, other, other, me, None, other, other, other]
    names = Names(lambda host: answers.pop(0), OWN)
    seen = [names.left_out("d:9000")]
    while answers:
        names.look()
        seen.append(names.left_out("d:9000"))
    assert seen == [True] * 7 + [False]


def test_of_two_versions_with_one_template_each_shadows_the_other() -> None:
    where = {"digits": frozenset({"10.0.0.7"}), "primary": frozenset({"10.0.0.3"})}
    for mine, kept in (("10.0.0.7", "previous=primary:9000"), ("10.0.0.3", "canary=digits:9000")):
        names = Names(where.__getitem__, Own(frozenset({mine}), OWN.ports))
        both = ["canary=digits:9000", "previous=primary:9000"]
        assert [s for s in both if not names.left_out(s)] == [kept]


@pytest.mark.parametrize(
    ("number", "said"),
    [(socket.EAI_NONAME, NOT), (socket.EAI_NODATA, NOT), (socket.EAI_AGAIN, None)],
)
def test_only_the_resolvers_no_is_a_no(
    number: int, said: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "said by the test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert addresses_of("canary") == said


def test_an_address_is_always_there() -> None:
    assert [host_of(s) for s in ("a=[::1]:9", "10.0.0.1:9", "b=h.ns:9")] == [
        "::1",
        "10.0.0.1",
        "h.ns",
    ]
    assert addresses_of("::1") == frozenset({"::1"})
    assert addresses_of("10.0.0.1") == frozenset({"10.0.0.1"})
