"""The folder that captured files go to: on this machine, or behind what pyarrow reaches.

Counterparts: `budget`, the disk that it may take; `open_file`, one file in it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from sidecar.capture.budget import Lost, clean, make_room
from sidecar.capture.settings import CaptureSettings
from sidecar.fields import ConfigError


class Target:
    """A folder on this machine, or one behind a file system that pyarrow reaches."""

    def __init__(self, text: str) -> None:
        """Understand what `capture.dir` says; nothing is made yet.

        Raises:
            ConfigError: no file system of pyarrow's answers to it.
        """
        self.local: Path | None = None
        self.files: pafs.FileSystem | None = None
        self.path = text
        if "://" not in text:
            self.local = Path(text)
            return
        try:
            self.files, self.path = pafs.FileSystem.from_uri(text)
        except (pa.ArrowException, ValueError, OSError) as error:
            raise ConfigError([f"capture.dir: {text!r}: {error}"]) from None
        if isinstance(self.files, pafs.LocalFileSystem):
            self.local, self.files = Path(self.path), None

    def prepare(self) -> Lost:
        """Make the folder, and clear away what a crash has left.

        Raises:
            ConfigError: it cannot be made or written to.
        """
        if self.local is None:
            return Lost()
        try:
            self.local.mkdir(mode=0o700, parents=True, exist_ok=True)
            lost = clean(self.local)
            if not os.access(self.local, os.W_OK | os.X_OK):
                raise PermissionError(13, "may not be written to")
        except OSError as error:
            raise ConfigError([f"capture.dir: {str(self.local)!r}: {error.strerror}"]) from None
        return lost

    def make_room(self, settings: CaptureSettings) -> int | None:
        """Keep to the budget; a store behind a network keeps its own."""
        if self.local is None:
            return 0
        return make_room(self.local, settings.bytes, settings.file_bytes, settings.full)
