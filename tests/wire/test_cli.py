"""The wire's command line."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.address import TCP, Unix
from sidecar.settings.settings import WireSettings
from sidecar.wire import cli
from sidecar.wire.options import Options, Route

ROUTE = ["--route", "127.0.0.1:0=127.0.0.1:9000"]


def errors_of(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    with pytest.raises(SystemExit) as exit_:
        cli.read_arguments(argv)
    assert exit_.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_every_flag_is_read() -> None:
    options, ready_fd = cli.read_arguments(
        [
            *("--route", "[::1]:8001=unix:/run/production.sock"),
            *("--route", "unix:/run/listen.sock=production:9000"),
            *("--tap", "/run/tap.sock", "--tap-bytes", "1000", "--connection-bytes", "5000"),
            *("--connections", "7", "--drain-seconds", "1.5", "--resync", "goaway"),
            *("--ready-fd", "3"),
        ]
    )
    assert options == Options(
        routes=(
            Route(TCP("::1", 8001), Unix("/run/production.sock")),
            Route(Unix("/run/listen.sock"), TCP("production", 9000)),
        ),
        tap=Path("/run/tap.sock"),
        tap_bytes=1000,
        connection_bytes=5000,
        connections=7,
        drain_seconds=1.5,
        resync=True,
    )
    assert ready_fd == 3


def test_the_defaults_are_those_of_the_configuration() -> None:
    options, _ = cli.read_arguments(ROUTE)
    settings = WireSettings()
    assert options.tap_bytes == settings.tap_bytes
    assert options.connection_bytes == settings.connection_bytes
    assert options.connections == settings.connections
    assert options.drain_seconds == settings.drain_seconds
    assert options.resync == (settings.resync == "goaway")
    assert options.tap is None


def test_every_error_is_printed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    errors = errors_of(
        capsys,
        *("--route", "nonsense", "--route", "127.0.0.1:x=127.0.0.1:9000:1"),
        *("--route", "127.0.0.1:80=127.0.0.1:80"),
        *("--route", "127.0.0.1:81=127.0.0.1:80", "--route", "127.0.0.1:81=127.0.0.1:80"),
        *("--tap", "/" + "x" * 200, "--tap-bytes", "0", "--connection-bytes", "4095"),
        *("--connections", "many", "--drain-seconds", "nan", "--resync", "maybe"),
        *("--ready-fd", "-1"),
    )
    for said in (
        "--route: 'nonsense' is not LISTEN=UPSTREAM",
        "--route: '127.0.0.1:x': the port must be a number from 0 to 65535, not 'x'",
        "--route: '127.0.0.1:9000:1': an address is host:port, [v6]:port or unix:/path",
        "--route: '127.0.0.1:80' forwards to itself",
        "--route: '127.0.0.1:81' is listened on twice",
        "--tap: a Unix socket's path has 1 to 107 bytes",
        "--tap-bytes: a whole number, at least 1, not '0'",
        "--connection-bytes: a whole number, at least 4096, not '4095'",
        "--connections: a whole number, at least 1, not 'many'",
        "--drain-seconds: seconds, more than 0, not 'nan'",
        "--resync: off or goaway, not 'maybe'",
        "--ready-fd: a whole number, at least 0, not '-1'",
    ):
        assert said in errors


def test_a_wire_needs_a_route(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors_of(capsys) == ["--route: required, as LISTEN=UPSTREAM"]


def test_an_unknown_flag_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert errors_of(capsys, *ROUTE, "--shadow") == ["unrecognized arguments: --shadow"]


def test_what_cannot_be_listened_on_is_said_all_at_once(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a socket")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "sidecar.wire", "--tap", str(in_the_way)),
                *("--route", f"{where}=127.0.0.1:9"),
                *("--route", f"unix:{in_the_way}=127.0.0.1:9"),
                *("--route", f"unix:{tmp_path}/fine=127.0.0.1:9"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"{where}: Address already in use",
        f"unix:{in_the_way}: something that is not a socket is there",
    ]
    assert in_the_way.read_text() == "not a socket"
    assert not (tmp_path / "fine").exists()


def imported_by(statement: str) -> set[str]:
    """The modules of a fresh process that has run one import statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_it_imports_the_standard_library_and_nothing_else() -> None:
    added = imported_by("import sidecar.wire.cli") - imported_by("pass")
    foreign = {name for name in added if name.partition(".")[0] not in sys.stdlib_module_names}
    assert "sidecar.wire.forward" in foreign
    foreign.discard("shadow_sidecar_wire__mypyc")  # sidecar.wire itself, where it is compiled
    assert {name for name in foreign if not name.startswith("sidecar.wire")} == {
        "sidecar",
        "sidecar.address",
        "sidecar.log",
    }
