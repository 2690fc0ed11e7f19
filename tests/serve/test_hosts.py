"""A name that is not ours is not answered: no page of a stranger's reads what loopback shows."""

from __future__ import annotations

import pytest

from sidecar.serve.hosts import served_names

LOCAL = "127.0.0.1:9095"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:9095", "LOCALHOST.", "a.localhost:1", "127.0.0.1:9095", "[::1]:9095"],
)
def test_loopback_is_served_under_its_names_and_every_address(host: str) -> None:
    assert served_names(LOCAL, ())(host)
    assert served_names(LOCAL, ())("10.1.2.3:9095")  # an address cannot be made to mean another


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9095", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
def test_any_other_name_is_a_strangers(host: str) -> None:
    assert not served_names(LOCAL, ())(host)
    assert not served_names("unix:/tmp/x", ())(host)


def test_an_open_address_is_served_under_every_name_unless_some_are_named() -> None:
    assert served_names("0.0.0.0:9095", ())("gate.models:9095")
    only = served_names("0.0.0.0:9095", ("*.models", "Page.example"))
    assert only("gate.models:9095")
    assert only("page.example")
    assert only("localhost")
    assert not only("evil.example")
