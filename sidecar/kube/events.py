"""Kubernetes Events about what was asked for and not injected: `kubectl get events` has the reason.

Rule: an Event is for people and may be lost; writing it never holds an answer back, and one that is
the same as before is written again only after a while. A pod that is admitted has no name yet, so
the Event stands with its owner, or with what a person wrote. Counterparts: `webhook`;
`admission`, whose annotation on the pod says the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sidecar.collect.api_server import ApiServer, ApiServerError
from sidecar.log import Log

REASON = "ShadowNotInjected"
PASSED = "ShadowPassedBy"  # the sidecar is there, and calls do not come through it
AGAIN_SECONDS = 600.0
MOST_KNOWN = 1_000
MOST_WAITING = 100
MOST_TEXT = 1024  # the API server takes no longer message


@dataclass(frozen=True, slots=True)
class Subject:
    """What an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""


def subject_of(request: Mapping[str, Any]) -> Subject | None:
    """The owner of the pod that is reviewed, or the object itself; None where neither has a name.

    Args:
        request: of an AdmissionReview.
    """
    found = request.get("object") if isinstance(request.get("object"), dict) else {}
    metadata = (found or {}).get("metadata") or {}
    namespace = str(request.get("namespace") or metadata.get("namespace") or "")
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return Subject(
                str(owner.get("apiVersion", "")),
                str(owner.get("kind", "")),
                namespace,
                str(owner.get("name", "")),
                str(owner.get("uid", "")),
            )
    name = metadata.get("name")
    kind = request.get("kind") or {}
    if not name or not namespace:
        return None
    group, version = str(kind.get("group") or ""), str(kind.get("version") or "")
    api = f"{group}/{version}" if group else version
    return Subject(
        api, str(kind.get("kind", "")), namespace, str(name), str(metadata.get("uid") or "")
    )


def event_of(subject: Subject, text: str, now: datetime, reason: str = REASON) -> dict[str, Any]:
    """The Event, as core/v1 has it."""
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {
        "apiVersion": subject.api_version,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
    }
    if subject.uid:
        about["uid"] = subject.uid
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "shadow-sidecar-", "namespace": subject.namespace},
        "involvedObject": about,
        "reason": reason,
        "message": text[:MOST_TEXT],
        "type": "Warning",
        "source": {"component": "shadow-sidecar"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


class Events:
    """Writes them, one after another."""

    RESULTS = ("written", "failed", "dropped")

    def __init__(self, server: ApiServer, clock: Callable[[], float], log: Log) -> None:
        """Prepare; `run` writes.

        Args:
            server: where they go.
            clock: seconds; monotonic.
            log: told when one could not be written, once for each reason.
        """
        self._server, self._clock, self._log = server, clock, log
        self.counted: Callable[[str], None] = lambda _: None  # told each result
        self._waiting: asyncio.Queue[tuple[Subject, str, str]] = asyncio.Queue(MOST_WAITING)
        self._known: OrderedDict[tuple[Subject, str], float] = OrderedDict()
        self._error = ""  # of the latest that could not be written

    def tell(self, subject: Subject | None, text: str, outcome: str = "") -> None:
        """Have it written, unless it was lately; `outcome` is the review's."""
        now = self._clock()
        if (
            subject is None
            or now - self._known.get((subject, text), -AGAIN_SECONDS) < AGAIN_SECONDS
        ):
            return
        self._known[subject, text] = now
        self._known.move_to_end((subject, text))
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        try:
            self._waiting.put_nowait((subject, text, PASSED if outcome == "passed" else REASON))
        except asyncio.QueueFull:
            self.counted("dropped")

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            subject, text, reason = await self._waiting.get()
            event = event_of(subject, text, datetime.now(UTC), reason)
            try:
                await self._server.post(f"/api/v1/namespaces/{subject.namespace}/events", event)
                self.counted("written")
                self._error = ""
            except ApiServerError as error:
                self.counted("failed")
                if str(error) != self._error:
                    self._log.warning("event not written", error=str(error))
                self._error = str(error)
