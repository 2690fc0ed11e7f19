"""What may stand between a client and production, one at a time, as real processes.

Rule: everything gets the same production and the same shadow, and runs alone. Each path says which
processes production's bytes go through, and which do the rest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.builds import Build, environment
from sidecar.address import TCP, parse_address
from tests.processes import Process, accepts, free_port, http_json, is_ready
from tests.scenarios import stack
from tests.scenarios.envoy import envoy


@dataclass(frozen=True, slots=True)
class Standing:
    """A path that is up."""

    address: str
    in_path: tuple[int, ...] = ()  # production's bytes go through these processes
    behind: tuple[int, ...] = ()  # these do the rest
    shadowed: Callable[[], int] = lambda: 0  # calls that the shadow has answered so far
    http: tuple[str, ...] = ()  # the sidecar's pages
    supervisor: int = 0  # the sidecar's first process


Open: TypeAlias = Callable[[str, str], AbstractContextManager[Standing]]
"""Put it between: from production's address and the shadow's."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way from client to production, by its name."""

    name: str
    open: Open


def direct() -> Way:
    """Nothing in between."""

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        del shadow
        yield Standing(production)

    return Way("direct", opened)


def sidecar(
    fraction: float,
    *,
    build: Build = "compiled",
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    name: str = "",
) -> Way:
    """shadow-sidecar with a sample, all else as by default.

    Args:
        build: which of the two builds runs.
        env: such as where spans go; without it they go nowhere.
        settings: other settings by their dotted path.
    """

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        wanted = {"sample.fraction": fraction, **(settings or {})}
        shadows = [shadow] if shadow else []
        both = {**environment(build), **(env or {})}
        with stack.sidecar(production, *shadows, settings=wanted, env=both) as it:
            it.process.wait_until(is_ready(it.http))
            assert it.status()["build"] == build, it.status()
            yield standing(it)

    title = "shadow-sidecar" if build == "compiled" else "shadow-sidecar as Python"
    return Way(name or f"{title}, {fraction:.0%}", opened)


def standing(it: stack.Sidecar) -> Standing:
    """A sidecar that is up, as a path."""
    observers = tuple(pid for pid in children(it.process.pid) if pid != it.pids["wire"])
    return Standing(
        it.address,
        (it.pids["wire"],),
        observers,
        lambda: sum(_compared(address) for address in it.observers),
        it.observers,
        it.process.pid,
    )


def _compared(http: str) -> int:
    return int(http_json(http, "/status")["shadows"]["shadow"]["compared"])


def children(pid: int) -> list[int]:
    """The process's children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def envoy_tcp() -> Way:
    """Envoy as a layer-4 proxy."""

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        del shadow
        with envoy(production, layer="tcp") as it:
            yield Standing(it.address, (it.process.pid,))

    return Way("Envoy, tcp_proxy", opened)


def envoy_http(fraction: float) -> Way:
    """Envoy's HTTP connection manager, mirroring a share of the calls."""

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        mirror = shadow if fraction else None
        with envoy(production, mirror=mirror, percent=fraction * 100) as it:
            answered = "cluster.mirror.upstream_rq_completed"
            yield Standing(it.address, (it.process.pid,), (), lambda: it.counter(answered))

    name = f"Envoy, HTTP mirror, {fraction:.0%}" if fraction else "Envoy, HTTP"
    return Way(name, opened)


NGINX = """
daemon off; master_process off; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {directory}/body; client_body_buffer_size 1m;
  client_max_body_size 0; keepalive_requests 100000000;
  http2_max_concurrent_streams 100000;
  proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream production {{ server {production}; keepalive 64; keepalive_requests 100000000; }}
  upstream shadow {{ server {shadow}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} http2;
    location / {{ grpc_pass grpc://production; {mirror} }}
    location = /mirror {{ internal; grpc_pass grpc://shadow; }}
  }}
}}
"""


def nginx(*, mirror: bool) -> Way | None:
    """nginx's gRPC proxy, and its mirror module; None where nginx is not installed.

    A mirrored call ends, for nginx, when its mirror has: by default it then refuses a client's
    129th stream, so the limit is raised here.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        return None

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        with tempfile.TemporaryDirectory(prefix="nginx-") as directory:
            port = free_port()
            config = Path(directory) / "nginx.conf"
            text = NGINX.format(
                directory=directory,
                production=production,
                shadow=shadow,
                port=port,
                mirror="mirror /mirror;" if mirror else "",
            )
            config.write_text(text)
            with Process([program, "-c", config], name="nginx") as process:
                process.wait_until(accepts(f"127.0.0.1:{port}"))
                yield Standing(f"127.0.0.1:{port}", (process.pid,))

    return Way("nginx, gRPC mirror" if mirror else "nginx, gRPC", opened)


HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend in
  bind 127.0.0.1:{port} proto h2
  default_backend production
backend production
  server one {host}:{upstream} proto h2
"""


def haproxy() -> Way | None:
    """HAProxy's gRPC proxying. Its mirror is an SPOE agent that handles HTTP/1 only: not here."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        return None

    @contextmanager
    def opened(production: str, shadow: str) -> Iterator[Standing]:
        del shadow
        where = parse_address(production)
        assert isinstance(where, TCP)
        with tempfile.TemporaryDirectory(prefix="haproxy-") as directory:
            port = free_port()
            config = Path(directory) / "haproxy.cfg"
            config.write_text(HAPROXY.format(port=port, host=where.host, upstream=where.port))
            with Process([program, "-db", "-f", config], name="haproxy") as process:
                process.wait_until(accepts(f"127.0.0.1:{port}"))
                yield Standing(f"127.0.0.1:{port}", (process.pid,))

    return Way("HAProxy, gRPC", opened)
