"""What the API server knows of the pods that asked for the sidecar.

A headless service's name tells the pods that are there. It does not tell which of them have no
sidecar although they asked for one, and it may leave out those that are not ready: both would be
calls that nobody compared. With the right to list pods in one namespace the collector names them.

Rule: an API server that does not answer is a reason against PASS, not against going on.
Counterparts: `poll`, which asks here once a round; `kube.inject`, whose notes are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.collect.api_server import ACCOUNT, ApiServer, ApiServerError

PAGE = 500
MOST = 20_000  # pods
ASKED = "shadow-sidecar/inject"
INJECTED = "shadow-sidecar/status"
REASON = "shadow-sidecar/not-injected"
OVER = frozenset({"Succeeded", "Failed"})
TEXT = 300


class ClusterError(Exception):
    """The API server could not be asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods that asked for the sidecar and have not ended."""

    injected: Mapping[str, str] = field(default_factory=dict)  # address: name
    not_injected: Mapping[str, str] = field(default_factory=dict)  # name: why, or ""
    bare: frozenset[str] = frozenset()  # addresses of those


def pods_of(items: Sequence[Mapping[str, Any]]) -> Pods:
    """Sort pods as the API server lists them. Pure.

    One without an address yet has no calls, and one that is being deleted leaves its service: both
    are left out.
    """
    injected, not_injected, bare = {}, {}, set()
    for item in items:
        metadata, status = item.get("metadata") or {}, item.get("status") or {}
        labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
        ip, name = status.get("podIP") or "", str(metadata.get("name"))
        over = status.get("phase") in OVER or metadata.get("deletionTimestamp")
        if labels.get(ASKED) != "true" or over or not ip:
            continue
        if INJECTED in notes:
            injected[ip] = name
        else:
            not_injected[name] = str(notes.get(REASON) or "")[:TEXT]
            bare.add(ip)
    return Pods(injected, not_injected, frozenset(bare))


class Cluster:
    """One namespace's pods, asked with the pod's own account."""

    def __init__(
        self,
        selector: str,
        namespace: str = "",
        *,
        url: str = "",
        account: Path = ACCOUNT,
    ) -> None:
        """Find the API server as every client in a pod does.

        Args:
            selector: of labels, as kubectl takes it.
            namespace: empty: this pod's own.
            url: of the API server; empty: of the environment.
            account: the directory of the service account's token and certificate.

        Raises:
            ClusterError: we are in no pod, or the pod has no token.
        """
        try:
            self._server = ApiServer(url, account)
            self._selector = selector
            self._namespace = namespace or self._server.namespace()
        except ApiServerError as error:
            raise ClusterError(f"--pods: {error}") from None

    async def pods(self) -> Pods:
        """Ask.

        Raises:
            ClusterError: it did not answer as it should.
        """
        items: list[Mapping[str, Any]] = []
        query = {"labelSelector": self._selector, "limit": str(PAGE)}
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        try:
            while True:
                page = await self._server.get(path, query)
                items += page["items"]
                query["continue"] = (page.get("metadata") or {}).get("continue") or ""
                if not query["continue"]:
                    return pods_of(items)
                if len(items) > MOST:
                    raise ClusterError(f"more than {MOST} pods match {self._selector!r}")
        except ApiServerError as error:
            said = _refused(self._namespace) if error.status in {401, 403} else str(error)
            raise ClusterError(said) from None
        except (LookupError, TypeError, AttributeError) as error:
            raise ClusterError(f"{type(error).__name__}: {error}") from None


def _refused(namespace: str) -> str:
    return f"may not list pods in {namespace!r} (a Role with get and list on pods is needed)"
