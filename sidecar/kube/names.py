"""Which shadows are there at all: a name without an address is a shadow that does not exist yet.

A rollout's canary comes and goes. Before it comes, while it starts, and after it is gone, calls to
it would count as its failures: a verdict before there is a candidate. A candidate that is there and
fails is another matter: its name has an address, and it is judged.

Rule: only the resolver's own word that there is no address makes a shadow absent, at once when it
is first looked for and later after `ENOUGH` looks in a row; a resolver that does not answer changes
nothing. A headless service's name has the addresses of its ready pods; any other service's name
always has one. Counterpart: `guard`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 5.0
ENOUGH = 3
ABSENT = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


def exists(host: str) -> bool:
    """Whether a name has an address, or may have one."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.errno not in ABSENT
    except (OSError, UnicodeError):
        return True
    return True


def host_of(shadow: str) -> str:
    """The host of "[NAME=]HOST:PORT"."""
    return shadow.rpartition("=")[2].rpartition(":")[0].strip("[]")


class Names:
    """What was found out about each name; `watch` keeps it up to date."""

    def __init__(self, look: Callable[[str], bool] = exists) -> None:
        self._look = look
        self._misses: dict[str, int] = {}

    def absent(self, shadow: str) -> bool:
        """Whether there is no such shadow now; a name that is new is looked up at once."""
        host = host_of(shadow)
        if host not in self._misses:
            self._misses[host] = 0 if self._look(host) else ENOUGH
        return self._misses[host] >= ENOUGH

    def look(self) -> None:
        """Look every known name up once."""
        for host, misses in list(self._misses.items()):
            self._misses[host] = 0 if self._look(host) else misses + 1

    def watch(self) -> None:
        """Look again and again, in a thread of its own: a resolver may take its time."""

        def run() -> None:
            while True:
                time.sleep(LOOK_SECONDS)
                self.look()

        threading.Thread(target=run, name="names", daemon=True).start()
