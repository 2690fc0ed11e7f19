"""Live changes: SIGHUP, or a changed configuration file, takes over what may change.

Rule: a configuration that is wrong changes nothing; it is logged, whole, and the old one stays.
Counterpart: `difference`, which says what may change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.fields import ConfigError
from sidecar.log import Log
from sidecar.settings.difference import Difference
from sidecar.settings.settings import Settings

POLL_SECONDS = 1.0


class Reloader:
    """Reads the configuration again when asked or when its file changes."""

    def __init__(
        self,
        file: Path | None,
        load: Callable[[], Settings],
        apply: Callable[[Settings], Difference],
        refuse: Callable[[Sequence[str]], None],
        log: Log,
    ) -> None:
        """Prepare.

        Args:
            file: to be watched; None: nothing is, and `reload` asks for it.
            load: reads the configuration.
            apply: takes over what is live of it, and says what differs.
            refuse: told what is wrong with it, one line for each thing.
            log: told of either.
        """
        self._file = file
        self._load = load
        self._apply = apply
        self._refuse = refuse
        self._log = log
        self._mark = self._stamp()

    def reload(self) -> None:
        """Take over the configuration as it is now, if it is right."""
        self._mark = self._stamp()
        try:
            settings = self._load()
        except ConfigError as error:
            self._refuse(error.errors)
            self._log.warning("reload_refused", errors=error.errors)
            return
        found = self._apply(settings)
        tell = self._log.warning if found.restart else self._log.info
        tell("reloaded", changed=list(found.live), needs_restart=list(found.restart))

    async def watch(self) -> None:
        """Look at the file about once a second, until cancelled."""
        while self._file is not None:
            await asyncio.sleep(POLL_SECONDS)
            if self._stamp() != self._mark:
                self.reload()

    def _stamp(self) -> tuple[int, int, int] | None:
        # A ConfigMap changes by swapping a symbolic link, so the inode tells as well as the time.
        if self._file is None:
            return None
        try:
            stat = self._file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size
