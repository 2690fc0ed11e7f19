"""What an address that means all addresses listens on."""

from __future__ import annotations

import socket

import pytest

from sidecar.address import TCP
from sidecar.wire import listen
from sidecar.wire.listen import open_listeners


def _reached(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_any_address_of_ipv6_is_any_address_of_ipv4_too() -> None:
    (it,) = open_listeners(TCP("::", 0))
    with it:
        port = it.getsockname()[1]
        assert _reached("127.0.0.1", port)
        assert _reached("::1", port)


@pytest.mark.interpreted
def test_a_kernel_without_ipv6_is_listened_on_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_has_ipv6", lambda: False)
    (it,) = open_listeners(TCP("::", 0))
    with it:
        assert it.family is socket.AF_INET
        assert _reached("127.0.0.1", it.getsockname()[1])
