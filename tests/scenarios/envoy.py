"""The real Envoy as the mesh's proxy in front of the sidecar."""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidecar.address import TCP, parse_address
from tests.processes import Process

ENVOY = Path(sys.executable).with_name("envoy")


def bootstrap(upstream: str) -> dict[str, Any]:
    """An HTTP/2 listener on a free port that forwards everything to `upstream`."""
    where = parse_address(upstream)
    assert isinstance(where, TCP)
    any_port = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    endpoint = {"socket_address": {"address": where.host, "port_value": where.port}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": "sidecar", "timeout": "0s"},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "admin": {"address": any_port},
        "static_resources": {
            "listeners": [
                {
                    "name": "ingress",
                    "address": any_port,
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                }
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "sidecar",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "typed_extension_protocol_options": {
                        protocol: {
                            "@type": f"type.googleapis.com/{protocol}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "sidecar",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
                    },
                }
            ],
        },
    }


@contextmanager
def envoy(upstream: str) -> Iterator[str]:
    """Run Envoy in front of `upstream`; gives the address where it listens."""
    with tempfile.TemporaryDirectory(prefix="envoy-") as directory:
        config = Path(directory) / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(upstream)))
        admin = Path(directory) / "admin"
        command = [ENVOY, "-c", config, "--use-dynamic-base-id", "--concurrency", "1"]
        command += ["-l", "warning", "--admin-address-path", admin]
        with Process(command, name="envoy") as process:
            process.wait_until(lambda: admin.exists() and _live(admin.read_text()))
            yield _listener(admin.read_text())


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
