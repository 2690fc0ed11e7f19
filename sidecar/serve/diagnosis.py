"""What works and what does not, in the order in which one needs it, each with the next step. Pure.

Rule: a check says what was seen, not what is guessed; without traffic it says that there is none.
Counterparts: `run.doctor`, which gathers the facts; `serve.status`, which most of them are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sidecar.report.notices import DESCRIPTORS, REJOIN

OPAQUE = "opaque"
LEAST_FREE_BYTES = 256 << 20
SPARE_FILES = 64  # beside two for each connection
CLOCK_SECONDS = 1.0


class Finding(StrEnum):
    """How a check came out."""

    GOOD = "ok"
    WRONG = "WRONG"
    LOOK = "look"  # may be meant, or not known yet


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a diagnosis."""

    what: str
    finding: Finding
    seen: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was gathered."""

    status: Mapping[str, Any]  # as `/status` gives it
    reports: Mapping[str, Mapping[str, Any]]  # as `/report.json` gives them, by shadow
    reached: Mapping[str, str]  # by address: empty, or why it cannot be connected to
    clock_seconds: float = 0.0  # this machine's Unix time less the sidecar's
    free_bytes: Mapping[str, int] = field(default_factory=dict)  # by folder that is written to
    open_files: int | None = None  # what the sidecar's process may have open; None: not known
    speaks_tls: frozenset[str] = frozenset()  # addresses of shadows that answer a TLS handshake


def diagnose(facts: Facts) -> list[Check]:
    """All checks, in order."""
    status = facts.status
    return [
        _tap(status),
        *(_address(facts, "listener", r["listen"]) for r in status["routes"]),
        *(_address(facts, "upstream", r["upstream"]) for r in status["routes"]),
        *(_shadow(facts, name, own) for name, own in status["shadows"].items()),
        _traffic(status),
        *_unread(status),
        *_readers(status),
        _traces(status),
        *_labels(facts.reports),
        _exporter(status),
        *_configuration(status),
        _clock(facts.clock_seconds),
        *_disk(facts.free_bytes),
        *_limits(facts),
    ]


def _tap(status: Mapping[str, Any]) -> Check:
    if status["attached"]:
        return Check("tap", Finding.GOOD, "the observer is attached to the wire")
    step = "is the wire running, with the same `wire.tap` path as the observer?"
    return Check("tap", Finding.WRONG, "the observer is not attached to a wire", step)


def _address(facts: Facts, what: str, address: str) -> Check:
    why = facts.reached.get(address)
    name = f"{what} {address}"
    if why is None:
        return Check(name, Finding.LOOK, "not tried from here")
    if not why:
        return Check(name, Finding.GOOD, "takes connections")
    step = "start the model server, or mend `--upstream`" if what == "upstream" else (
        "look at the wire's log"
    )  # fmt: skip
    return Check(name, Finding.WRONG, why, step)


def _shadow(facts: Facts, name: str, own: Mapping[str, Any]) -> Check:
    what = f"{own['role']} {name} at {own['address']}"
    failing = own.get("failing")
    if failing:
        seen = f"{failing['cause']}: {failing['calls']:,} calls in {failing['seconds']:g} s"
        cure = _cure(failing["cause"])
        if own["address"] in facts.speaks_tls and not own["tls"]:
            cure = "it speaks TLS: `shadows[].tls`, as `--set shadows.NAME.tls.ca=FILE`"
        return Check(what, Finding.WRONG, seen, cure)
    if own.get("starting"):
        return Check(what, Finding.LOOK, "cannot be reached yet, and is waited for")
    why = facts.reached.get(own["address"])
    if why:
        return Check(what, Finding.WRONG, why, "start the shadow, or mend `--shadow`")
    if not own["compared"]:
        seen = "no call has been compared with it yet" if why is None else "takes connections"
        return Check(what, Finding.LOOK, f"{seen}; breaker {own['breaker']}")
    seen = f"{own['compared']:,} calls compared; breaker {own['breaker']}"
    return Check(what, Finding.GOOD, seen)


def _cure(cause: str) -> str:
    if cause.startswith("UNIMPLEMENTED"):
        return "another service listens there, or it has other methods than production"
    if cause.startswith("DEADLINE_EXCEEDED"):
        return "it is slower than `shadows[].deadline_seconds`: sample less, or allow more time"
    if "ssl" in cause.lower() or "tls" in cause.lower() or "certificate" in cause.lower():
        return "`shadows[].tls`: ca, cert and key, server_name"
    return "is it running, and is its address right? `shadows[].tls` if it speaks TLS"


def _traffic(status: Mapping[str, Any]) -> Check:
    calls = status["calls"]
    blind = status["blind"]["calls"]
    if blind and not calls["seen"]:
        return Check("traffic", Finding.WRONG, f"{blind:,.0f} calls that nobody can read", REJOIN)
    if calls["seen"]:
        skipped = {name: n for name, n in calls["skipped"].items() if n}
        most = ", ".join(f"{n:,} {name}" for name, n in _largest(skipped.items(), 3))
        seen = f"{calls['seen']:,} calls seen, {calls['compared']:,} compared"
        finding = Finding.GOOD if calls["compared"] else Finding.LOOK
        step = "" if calls["compared"] else "`shadow-sidecar skipped` says why, call by call"
        return Check("traffic", finding, f"{seen}; skipped: {most}" if most else seen, step)
    step = "point clients at the listener; `match.methods` has no say in this"
    return Check("traffic", Finding.LOOK, "no gRPC call has been seen", step)


def _unread(status: Mapping[str, Any]) -> list[Check]:
    connections = status["connections"]
    found = []
    for reason, n in (status.get("opaque") or {}).items():
        step = "the sidecar reads HTTP/2 without TLS: let TLS end before it, and speak gRPC to it"
        found.append(Check("connections", Finding.WRONG, f"{n:,} unread: {reason}", step))
    if connections.get("blind"):
        seen = f"{connections['blind']:,} open that the observer cannot follow"
        found.append(Check("connections", Finding.LOOK, seen, REJOIN))
    return found


def _readers(status: Mapping[str, Any]) -> list[Check]:
    readers: dict[str, str] = {}
    for own in status["shadows"].values():
        readers |= own["readers"]
    found = []
    for method, reader in sorted(readers.items()):
        if reader == OPAQUE:
            found.append(Check(method, Finding.WRONG, "compared as bytes", DESCRIPTORS))
        else:
            found.append(Check(method, Finding.GOOD, f"read by {reader}"))
    return found


def _traces(status: Mapping[str, Any]) -> Check:
    read, traced = status["traced"]["calls"], status["traced"]["with_context"]
    if not read:
        return Check("trace context", Finding.LOOK, "no call has been read yet")
    seen = f"{traced:,} of {read:,} calls bring a traceparent"
    step = "" if traced else "have clients or the mesh send `traceparent`, to find both predictions"
    return Check("trace context", Finding.GOOD if traced else Finding.LOOK, seen, step)


def _labels(reports: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    found = []
    for name, report in reports.items():
        events = report["verdict"]["events"]
        joined = events.get("joined", 0)
        waiting = [
            c["name"]
            for c in report["verdict"]["criteria"]
            if not c["n"] and c["kind"].startswith(("accuracy", "precision", "recall", "f1"))
        ]
        if joined or events.get("unmatched"):
            seen = f"{joined:,} joined, {events.get('unmatched', 0):,} of calls nobody knows"
            finding = Finding.GOOD if joined else Finding.WRONG
            step = "" if joined else "their ids are not the calls': `judge.labels.correlation`"
            found.append(Check(f"labels of {name}", finding, seen, step))
        elif waiting:
            step = "`shadow-sidecar labels wanted`, then `labels import FILE`"
            seen = f"{', '.join(waiting)}: no label yet"
            found.append(Check(f"labels of {name}", Finding.LOOK, seen, step))
    return found


def _exporter(status: Mapping[str, Any]) -> Check:
    spans = status["spans"]
    if status["traces"] == "off":
        return Check("exporter", Finding.GOOD, "off: no spans are sent (telemetry.traces)")
    seen = f"{spans['exported']:,} spans taken, {spans['failed']:,} refused"
    if spans["failed"] and not spans["exported"]:
        step = "OTEL_EXPORTER_OTLP_ENDPOINT: does a collector take OTLP/gRPC there?"
        return Check("exporter", Finding.WRONG, seen, step)
    if spans["exported"] and not spans["failed"]:
        return Check("exporter", Finding.GOOD, seen)
    step = "a collector at OTEL_EXPORTER_OTLP_ENDPOINT shows them; `--traces off` sends none"
    return Check("exporter", Finding.LOOK, seen, "" if spans["exported"] else step)


def _configuration(status: Mapping[str, Any]) -> list[Check]:
    configuration = status["configuration"]
    found = []
    if configuration["needs_restart"]:
        keys = ", ".join(configuration["needs_restart"])
        found.append(Check("configuration", Finding.LOOK, f"changed: {keys}", "restart"))
    if configuration["refused"]:
        wrong = "; ".join(configuration["refused"])
        found.append(Check("configuration", Finding.WRONG, wrong, "`check-config FILE`"))
    return found or [Check("configuration", Finding.GOOD, "in force as it is written")]


def _clock(seconds: float) -> Check:
    seen = f"{abs(seconds):.1f} s from this machine's"
    if abs(seconds) > CLOCK_SECONDS:
        return Check("clock", Finding.LOOK, seen, "spans and labels are dated by it: set both")
    return Check("clock", Finding.GOOD, seen)


def _disk(free: Mapping[str, int]) -> list[Check]:
    found = []
    for folder, size in free.items():
        seen = f"{size >> 20:,} MiB free"
        finding = Finding.GOOD if size >= LEAST_FREE_BYTES else Finding.WRONG
        step = "" if finding is Finding.GOOD else "make room, or write elsewhere"
        found.append(Check(f"disk {folder}", finding, seen, step))
    return found


def _limits(facts: Facts) -> list[Check]:
    if facts.open_files is None:
        return []
    needed = 2 * int(facts.status["limits"]["connections"]) + SPARE_FILES
    seen = f"{facts.open_files:,} open files allowed, {needed:,} for every connection"
    if facts.open_files < needed:
        step = "ulimit -n, or a smaller `wire.connections`"
        return [Check("limits", Finding.LOOK, seen, step)]
    return [Check("limits", Finding.GOOD, seen)]


def _largest(items: Iterable[tuple[str, int]], most: int) -> Sequence[tuple[str, int]]:
    return sorted(items, key=lambda item: (-item[1], item[0]))[:most]
