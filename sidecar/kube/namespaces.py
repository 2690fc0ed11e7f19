"""A namespace's own defaults: annotations of ours on the Namespace are those of its pods' options.

Rule: a pod's and a workload's own annotations overrule them, and they the webhook's. A wrong one is
left out and said, for it would refuse every pod of the namespace; a namespace that cannot be asked
has the ones that were known last, and it is said. Counterparts: `webhook`, `options`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sidecar.collect.api_server import ApiServerError
from sidecar.kube.bypasses import ENFORCE
from sidecar.kube.options import INJECT_LABEL, NOTES, PREFIX, parse_options

FRESH_SECONDS = 30.0
MOST = 1_000


class Asked(Protocol):
    """Who knows: `ApiServer`."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """One object, or `ApiServerError`."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values by option name, and what was wrong with others."""

    values: Mapping[str, str]
    wrong: tuple[str, ...] = ()
    enforced: str = ""  # the Pod Security level that pods are held to
    limits: tuple[Mapping[str, Any], ...] = ()  # its LimitRanges


NONE = Defaults({})


def defaults_of(namespace: Mapping[str, Any]) -> Defaults:
    """What a Namespace's annotations say; wrong ones are left out, one line each."""
    metadata = namespace.get("metadata") or {}
    own = {
        key.removeprefix(PREFIX): value
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(PREFIX) and key not in NOTES and key != INJECT_LABEL
    }
    good, wrong = {}, []
    for name, value in sorted(own.items()):
        _, errors = parse_options({}, {name: value})
        wrong += [f"namespace {metadata.get('name')}: {error}, and is left out" for error in errors]
        if not errors:
            good[name] = value
    enforced = (metadata.get("labels") or {}).get(ENFORCE) or ""
    return Defaults(good, tuple(wrong), str(enforced))


class Namespaces:
    """Remembers for half a minute what the API server says."""

    def __init__(self, server: Asked, clock: Callable[[], float]) -> None:
        """Know nothing yet; `clock` gives seconds, monotonic."""
        self._server, self._clock = server, clock
        self._known: dict[str, tuple[float, Defaults]] = {}

    async def of(self, name: str) -> Defaults:
        """The defaults of one."""
        now = self._clock()
        at, known = self._known.get(name, (-FRESH_SECONDS, NONE))
        if not name or now - at < FRESH_SECONDS:
            return known
        try:
            found = defaults_of(await self._server.get(f"/api/v1/namespaces/{name}"))
            found = await self._with_limits(name, found, known)
        except ApiServerError as error:
            said = f"namespace {name}: its annotations could not be read: {error}"
            return replace(known, wrong=(said,))
        except (AttributeError, TypeError) as error:
            return replace(known, wrong=(f"namespace {name}: {error}",))
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[name] = (now, found)
        return found

    async def _with_limits(self, name: str, found: Defaults, known: Defaults) -> Defaults:
        try:
            answer = await self._server.get(f"/api/v1/namespaces/{name}/limitranges")
            # In a list they do not say their kind.
            limits = tuple({**one, "kind": "LimitRange"} for one in answer.get("items") or ())
        except (ApiServerError, AttributeError, TypeError) as error:
            said = f"namespace {name}: its LimitRanges could not be read: {error}"
            return replace(found, limits=known.limits, wrong=(*found.wrong, said))
        return replace(found, limits=limits)
