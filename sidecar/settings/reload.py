"""Live changes: SIGHUP, or a changed configuration file, takes over what may change.

Rule: a configuration that is wrong changes nothing; it is logged, whole, and the old one stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sidecar.fields import ConfigError
from sidecar.log import Log
from sidecar.settings.settings import Settings

POLL_SECONDS = 1.0
LIVE = {"sample", "paused", "shadows"}  # of the shadows, the rate


class Reloader:
    """Reads the configuration again when asked or when its file changes."""

    def __init__(
        self,
        file: Path | None,
        settings: Settings,
        load: Callable[[], Settings],
        apply: Callable[[Settings], None],
        log: Log,
    ) -> None:
        self._file = file
        self._settings = settings
        self._load = load
        self._apply = apply
        self._log = log
        self._mark = self._stamp()

    def reload(self) -> None:
        """Take over the configuration as it is now, if it is right."""
        self._mark = self._stamp()
        try:
            settings = self._load()
        except ConfigError as error:
            self._log.warning("reload_refused", errors=error.errors)
            return
        changed = {
            key
            for key in Settings.model_fields
            if getattr(settings, key) != getattr(self._settings, key)
        }
        self._settings = settings
        self._apply(settings)
        self._log.info(
            "reloaded",
            changed=sorted(changed & LIVE),
            needs_restart=sorted(changed - LIVE),
        )

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
