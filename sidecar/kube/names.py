"""Which shadows there are: not one without an address, and not the pod itself.

A rollout's canary comes and goes. Before it comes, while it starts, and after it is gone, calls to
it would count as its failures: a verdict before there is a candidate. A candidate that is there and
fails is another matter: its name has an address, and it is judged.

Where a rollout controller makes both versions of one template, each pod names both, so one of the
names leads to the pod's own version: production would be sent a second copy of its own calls, for
good, and be judged against itself. A headless service's name has the pod's own address among its
others; such a shadow is left out while that is so. (A name with a cluster address does not say
which pods stand behind it: use headless services for shadows in a rollout.)

Rule: only the resolver's own word that there is no address makes a shadow absent, at once when it
is first looked for and later after `ENOUGH` looks in a row; the same holds for its being another's
again. A resolver that does not answer changes nothing. Counterpart: `guard`.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

LOOK_SECONDS = 5.0
ENOUGH = 3
ABSENT = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})

Look: TypeAlias = Callable[[str], frozenset[str] | None]
"""A name's addresses; None when the resolver does not say."""


@dataclass(frozen=True, slots=True)
class Own:
    """Where this pod itself is reached."""

    addresses: frozenset[str]
    ports: frozenset[int]  # the wire's and the model's: another port is another server

    def is_at(self, addresses: frozenset[str], port: int) -> bool:
        """Whether one of the addresses, at this port, is this pod."""
        mine = {_plain(address) for address in self.addresses}
        return port in self.ports and not mine.isdisjoint(map(_plain, addresses))


NOBODY = Own(frozenset(), frozenset())


def _plain(address: str) -> str:
    """One spelling of an address."""
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address


def addresses_of(host: str) -> frozenset[str] | None:
    """The addresses of a name: none if there is no such name, None if nobody knows."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return frozenset() if error.errno in ABSENT else None
    except (OSError, UnicodeError):
        return None
    return frozenset(str(entry[4][0]) for entry in found)


def host_of(shadow: str) -> str:
    """The host of "[NAME=]HOST:PORT"."""
    return shadow.rpartition("=")[2].rpartition(":")[0].strip("[]")


class Names:
    """What was found out about each shadow; `watch` keeps it up to date."""

    def __init__(
        self,
        look: Look = addresses_of,
        own: Own = NOBODY,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._look = look
        self._own = own
        self._say = say
        self._misses: dict[str, int] = {}  # looks in a row that found no address
        self._others: dict[str, int] = {}  # looks in a row that did not find this pod

    def left_out(self, shadow: str) -> bool:
        """Whether there is no such shadow now; one that is new is looked up at once."""
        if shadow not in self._misses:
            found = self._look(host_of(shadow))
            self._misses[shadow] = ENOUGH if found == frozenset() else 0
            self._others[shadow] = ENOUGH
            self._compare(shadow, found)
        return self._misses[shadow] >= ENOUGH or self._others[shadow] < ENOUGH

    def look(self) -> None:
        """Look every known name up once."""
        for shadow, misses in list(self._misses.items()):
            found = self._look(host_of(shadow))
            if found is not None:
                self._misses[shadow] = 0 if found else misses + 1
            self._compare(shadow, found)

    def _compare(self, shadow: str, found: frozenset[str] | None) -> None:
        if found is None:
            return
        if not self._own.is_at(found, int(shadow.rpartition(":")[2])):
            self._others[shadow] += 1
            return
        if self._others[shadow] >= ENOUGH:
            self._say(f"shadow {shadow} is this pod itself, and is left out")
        self._others[shadow] = 0

    def watch(self) -> None:
        """Look again and again, in a thread of its own: a resolver may take its time."""

        def run() -> None:
            while True:
                time.sleep(LOOK_SECONDS)
                self.look()

        threading.Thread(target=run, name="names", daemon=True).start()
