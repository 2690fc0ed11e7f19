"""Addresses as people write them."""

from __future__ import annotations

import pytest

from sidecar.address import MAX_UNIX_PATH, TCP, Unix, format_address, nth_address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", TCP("127.0.0.1", 9000)),
        ("model.svc:0", TCP("model.svc", 0)),
        ("my_model-2.svc.cluster.local.:1", TCP("my_model-2.svc.cluster.local.", 1)),
        ("[fe80::1%eth0]:1", TCP("fe80::1%eth0", 1)),
        ("[::1]:65535", TCP("::1", 65535)),
        ("unix:/run/model.sock", Unix("/run/model.sock")),
    ],
)
def test_an_address_is_read(text: str, address: TCP | Unix) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("9000", "host:port"),
        (":9000", "host:port"),
        ("::1:9000", r"\[v6\]:port"),
        ("host:http", "0 to 65535, not 'http'"),
        ("host:65536", "0 to 65535"),
        ("host:١", "0 to 65535"),  # noqa: RUF001 (a digit, but not one of ours)
        ("unix:", "1 to 107"),
        ("unix:/" + "x" * MAX_UNIX_PATH, "1 to 107"),
        ("", "host:port"),
        ("a..b:1", "'a..b' is no host name"),
        ("two words:1", "no host name"),
        ("-x:1", "no host name"),
        ("[::zz]:1", "no IPv6 address"),
        ("[127.0.0.1]:1", "no IPv6 address"),
    ],
)
def test_what_is_no_address_is_refused_with_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:9000", "[::1]:1"])
def test_what_is_written_is_read_back(text: str) -> None:
    address = parse_address(text)
    assert isinstance(address, TCP)
    assert format_address(*address) == text


def test_observers_of_one_sidecar_listen_at_every_other_port() -> None:
    pages, admin = (
        [nth_address(first, number) for number in range(3)]
        for first in ("127.0.0.1:9095", "[::1]:9096")
    )
    assert pages == ["127.0.0.1:9095", "127.0.0.1:9097", "127.0.0.1:9099"]
    assert admin == ["[::1]:9096", "[::1]:9098", "[::1]:9100"]
    assert nth_address("127.0.0.1:0", 2) == "127.0.0.1:0"
    assert [nth_address("unix:/a", n) for n in (0, 1)] == ["unix:/a", "unix:/a.1"]
