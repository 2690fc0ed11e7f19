"""What may be asked for by annotation, read as a whole: every error at once.

Rule: this file knows what an annotation may say; it knows nothing about pods. An annotation is
`shadow-sidecar/NAME: "text"`; defaults have the same names and the same language, and are
overruled by a pod's own annotations. Counterpart: `inject`, which acts on the options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sidecar.address import TCP, parse_address

PREFIX = "shadow-sidecar/"
INJECT_LABEL = PREFIX + "inject"  # "true" on the pod, or on the pod template
# Followed while the pod runs, by `guard`, which starts the observer again with them. Not what the
# settings call live: an address needs that restart, and the guard imports too little to ask `diff`.
FOLLOWED = ("shadow", "sample", "rate")
STATUS_ANNOTATION = PREFIX + "status"  # written by `inject`, for people
COPIED_ANNOTATION = PREFIX + "copied"  # on a template: which of its values are the workload's
REASON_ANNOTATION = PREFIX + "not-injected"  # on a pod that asked and was left alone: why
UNDO_ANNOTATION = PREFIX + "undo"  # written by `inject`, for `uninject`
# Ours, and no options.
NOTES = frozenset({STATUS_ANNOTATION, COPIED_ANNOTATION, REASON_ANNOTATION, UNDO_ANNOTATION})

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_IMAGE = re.compile(r"[\w][\w.:/@-]*", re.ASCII)
_CPU = re.compile(r"[1-9][0-9]*m|[0-9]+(\.[0-9]{1,3})?")
_MEMORY = re.compile(r"[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?")


class InjectError(Exception):
    """A pod that cannot be injected; `errors` has one line for each thing that is wrong."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Amount:
    """A container's share of one resource, as Kubernetes quantities."""

    request: str
    limit: str


@dataclass(frozen=True, slots=True)
class Options:
    """What the annotations ask for. Each field is the annotation of the same name, with `-`."""

    upstream_port: int | str | None = None  # number or name of the model's port; None: look
    listen_port: int | None = None  # the wire's; None: 9094
    http_port: int = 9095  # health, metrics, status and gate of the observer
    admin_port: int | None = None  # the gRPC Admin API's; None: 9096, or what the config map says
    admin_secret: str | None = None  # tls.crt, tls.key, ca.crt: opens the Admin API, mutual TLS
    probe_port: int = 9093  # redirect only: a way to the model's port around the wire
    container: str | None = None  # the model's container; None: the one that declares the port
    shadow: tuple[str, ...] = ()  # each "[NAME=]HOST:PORT"
    sample: str | None = None
    rate: str | None = None
    config_map: str | None = None  # its key "config.yaml" configures the observer
    otlp: str | None = None
    otlp_protocol: Literal["grpc", "http/protobuf"] = "grpc"
    otlp_metrics: Literal["true", "false"] = "false"  # send metrics there, too
    service_name: str | None = None  # of the production spans; None: the pod's app label
    image: str = "shadow-sidecar:0.1.0"
    intercept: Literal["port", "redirect"] = "port"
    mesh: Literal["auto", "true", "false"] = "auto"  # another proxy takes the pod's inbound traffic
    ip_family: Literal["auto", "ipv4", "ipv6"] = "auto"
    resync: Literal["off", "goaway"] = "off"
    leave: Literal["off", "goaway"] = "goaway"  # clients are asked to go before the model is told
    run_as_user: int | None = 10095  # None: whom the namespace gives (OpenShift)
    drain_seconds: int = 10
    pre_stop_seconds: int = 5
    # Requests are weights where a node has no core to spare, and priorities do not reach across
    # containers: the wire is in production's path, and stands above the observer behind it.
    wire_cpu: Amount = Amount("100m", "2")  # one thread: a limit above 1 never holds it back
    wire_memory: Amount = Amount("64Mi", "256Mi")
    observer_cpu: Amount = Amount("50m", "1")
    observer_memory: Amount = Amount("256Mi", "768Mi")


_Reader: TypeAlias = tuple[Callable[[str], Any], str]
"""Reads the text or raises ValueError; says what is allowed."""


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return read


def _decimal(low: float, high: float, low_open: bool = False) -> Callable[[str], str]:
    def read(text: str) -> str:
        value = float(text)
        if not (low <= value <= high) or (low_open and value == low):
            raise ValueError
        return text

    return read


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return read


def _one_of(*allowed: str) -> _Reader:
    return _matching(re.compile("|".join(allowed))), " or ".join(f'"{a}"' for a in allowed)


def _port_or_name(text: str) -> int | str:
    return _port(text) if text.isdigit() else _matching(_PORT_NAME)(text)


def _shadows(text: str) -> tuple[str, ...]:
    parts = tuple(text.replace(",", " ").split())
    names = []
    for part in parts:
        name, equals, address = part.rpartition("=")
        if equals and not _NAME.fullmatch(name):
            raise ValueError
        parsed = parse_address(address)
        if not isinstance(parsed, TCP) or parsed.port == 0:
            raise ValueError
        names.append(name or "shadow")
    if not parts or len(set(names)) != len(names):
        raise ValueError
    return parts


def _endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+:[0-9]+", text):
        raise ValueError
    return text


def _amount(pattern: re.Pattern[str]) -> Callable[[str], Amount]:
    def read(text: str) -> Amount:
        request, slash, limit = text.partition("/")
        if not slash:
            limit = request
        if not pattern.fullmatch(request) or not pattern.fullmatch(limit):
            raise ValueError
        if quantity(request) > quantity(limit):
            raise ValueError
        return Amount(request, limit)

    return read


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number: cores, or bytes."""
    scales = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    digits = text.rstrip("KMGikm")
    return float(digits) * scales.get(text[len(digits) :], 1)


def _user(text: str) -> int | None:
    return None if text == "auto" else _number(1, 2**31 - 1)(text)


_port = _number(1, 65535)
_PORT: _Reader = (_port, "a port number from 1 to 65535")
_NAMED = "a name of lower-case letters, digits and hyphens"
_CPU_AMOUNT: _Reader = (_amount(_CPU), 'REQUEST/LIMIT, as in "100m/2", the limit not the smaller')
_MEMORY_AMOUNT: _Reader = (
    _amount(_MEMORY),
    'REQUEST/LIMIT, as in "64Mi/256Mi", the limit likewise',
)

READERS: dict[str, _Reader] = {
    "upstream-port": (_port_or_name, "the number or the name of a container port"),
    "listen-port": _PORT,
    "http-port": _PORT,
    "admin-port": _PORT,
    "admin-secret": (_matching(_DNS_NAME), _NAMED),
    "probe-port": _PORT,
    "container": (_matching(_DNS_NAME), _NAMED),
    "shadow": (_shadows, '"[NAME=]HOST:PORT", several with commas, each with a name of its own'),
    "sample": (_decimal(0, 1), "a fraction from 0 to 1"),
    "rate": (_decimal(0, 1e9, low_open=True), "calls a second, more than 0"),
    "config-map": (_matching(_DNS_NAME), _NAMED),
    "otlp": (_endpoint, '"http://HOST:PORT" or "https://HOST:PORT"'),
    "otlp-protocol": _one_of("grpc", "http/protobuf"),
    "otlp-metrics": _one_of("true", "false"),
    "service-name": (_matching(re.compile(r"[\w./-]{1,100}", re.ASCII)), "a service's name"),
    "image": (_matching(_IMAGE), "an image reference"),
    "intercept": _one_of("port", "redirect"),
    "mesh": _one_of("auto", "true", "false"),
    "ip-family": _one_of("auto", "ipv4", "ipv6"),
    "resync": _one_of("off", "goaway"),
    "leave": _one_of("off", "goaway"),
    "run-as-user": (_user, "a user number that is not root's, or auto: whom the namespace gives"),
    "drain-seconds": (_number(1, 3600), "whole seconds from 1 to 3600"),
    "pre-stop-seconds": (_number(0, 3600), "whole seconds from 0 to 3600"),
    "wire-cpu": _CPU_AMOUNT,
    "wire-memory": _MEMORY_AMOUNT,
    "observer-cpu": _CPU_AMOUNT,
    "observer-memory": _MEMORY_AMOUNT,
}


def read_options(annotations: Mapping[str, Any], defaults: Mapping[str, str]) -> Options:
    """Read the options of one pod; see `parse_options`.

    Raises:
        InjectError: with every error at once.
    """
    options, errors = parse_options(annotations, defaults)
    if errors:
        raise InjectError(errors)
    return options


def parse_options(
    annotations: Mapping[str, Any], defaults: Mapping[str, str]
) -> tuple[Options, list[str]]:
    """Read what can be read of the options of one pod, and say what cannot.

    Args:
        annotations: the pod's annotations; those of others are ignored.
        defaults: values by option name, without the prefix.

    Returns:
        The options without the wrong ones, and an error for each of those: the key, a colon, the
        value and what is allowed.
    """
    own = {
        key.removeprefix(PREFIX): value
        for key, value in annotations.items()
        if key.startswith(PREFIX) and key not in NOTES and key != INJECT_LABEL
    }
    errors: list[str] = []
    given: dict[str, Any] = {}
    for name, value in sorted({**defaults, **own}.items()):
        key = PREFIX + name
        if name not in READERS:
            errors.append(f"{key}: unknown; allowed: {', '.join(sorted(READERS))}")
            continue
        read, allowed = READERS[name]
        try:
            if not isinstance(value, str):
                raise ValueError
            given[name.replace("-", "_")] = read(value.strip())
        except ValueError:
            errors.append(f"{key}: {value!r} is not allowed: {allowed} (as a string)")
    return Options(**given), errors
