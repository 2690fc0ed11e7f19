"""The real Envoy: the mesh's proxy in front of the sidecar, and the benchmarks' yardstick."""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sidecar.address import TCP, parse_address
from tests.processes import Process

ENVOY = Path(sys.executable).with_name("envoy")
EXTENSIONS = "type.googleapis.com/envoy.extensions"
ANY_PORT = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy."""

    process: Process
    address: str  # where it listens
    admin: str

    def counter(self, name: str) -> int:
        """One of its statistics, by its whole name."""
        text = _get(self.admin, f"/stats?format=json&filter=^{name}$")
        stats = json.loads(text)["stats"]
        return int(stats[0]["value"]) if stats else 0


@contextmanager
def envoy(
    upstream: str,
    *,
    layer: Literal["http", "tcp"] = "http",
    mirror: str | None = None,
    percent: float = 100.0,
) -> Iterator[Envoy]:
    """Run Envoy, with one worker, in front of `upstream`.

    Args:
        layer: "http" for the connection manager, "tcp" for `tcp_proxy`.
        mirror: a server that gets copies (`request_mirror_policies`); "http" only.
        percent: of the calls that are mirrored.
    """
    with tempfile.TemporaryDirectory(prefix="envoy-") as directory:
        config = Path(directory) / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(upstream, layer, mirror, percent)))
        admin = Path(directory) / "admin"
        command: list[str | Path] = [
            ENVOY,
            "-c",
            config,
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
        ]
        command += ["-l", "warning", "--admin-address-path", admin]
        with Process(command, name="envoy") as process:
            process.wait_until(lambda: admin.exists() and _live(admin.read_text()))
            yield Envoy(process, _listener(admin.read_text()), admin.read_text())


def bootstrap(upstream: str, layer: str, mirror: str | None, percent: float) -> Json:
    """A listener on a free port that forwards everything to `upstream`."""
    clusters = [_cluster("production", upstream)]
    if mirror is not None:
        clusters.append(_cluster("mirror", mirror))
    chain = _tcp_proxy() if layer == "tcp" else _http(mirror is not None, percent)
    listener = {"name": "in", "address": ANY_PORT, "filter_chains": [{"filters": [chain]}]}
    return {
        "admin": {"address": ANY_PORT},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def _tcp_proxy() -> Json:
    proxy = {
        "@type": f"{EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "in",
        "cluster": "production",
    }
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def _http(mirrors: bool, percent: float) -> Json:
    route: Json = {"cluster": "production", "timeout": "0s"}
    if mirrors:
        # In millionths, as runtime fractions are.
        fraction = {"numerator": round(percent * 10_000), "denominator": "MILLION"}
        policy = {"cluster": "mirror", "runtime_fraction": {"default_value": fraction}}
        route["request_mirror_policies"] = [policy]
    router = {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": route}],
    }
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _cluster(name: str, address: str) -> Json:
    where = parse_address(address)
    assert isinstance(where, TCP)
    socket = {"socket_address": {"address": where.host, "port_value": where.port}}
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    h2 = {
        "@type": f"type.googleapis.com/{protocol}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {protocol: h2},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket}}]}],
        },
    }


def _get(admin: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{admin}{path}", timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()


def _live(admin: str) -> bool:
    try:
        return _get(admin, "/ready").strip() == "LIVE"
    except OSError:
        return False


def _listener(admin: str) -> str:
    listeners = json.loads(_get(admin, "/listeners?format=json"))["listener_statuses"]
    socket = listeners[0]["local_address"]["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"
