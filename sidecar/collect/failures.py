"""What has failed, a line of text each beside the ledger: a FAIL outlives the ledger that has it.

Rule: who puts an older ledger back, or begins a new one, has the evidence and the PASSes of that
one, and every FAIL. Lines are only appended; one that is cut or damaged costs no other. To have a
FAIL forgotten, remove the file. Counterparts: `ledger`, which asks; `store.decisions`, which is the
same for an observer.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sidecar.collect.experiments import Experiment


class Failures:
    """The file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._noted: set[str] = set()  # keys

    def read(self) -> list[Experiment]:
        """Every experiment that is known to have failed.

        Raises:
            OSError: there is a file, and it cannot be read.
        """
        found: dict[str, Experiment] = {}
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        for line in lines:
            check, _, text = line.partition(b" ")
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                if int(check, 16) == zlib.crc32(text):
                    plain = json.loads(text)
                    found.setdefault(plain["key"], Experiment.from_dict(plain["key"], plain))
        self._noted |= found.keys()
        return list(found.values())

    def note(self, experiments: Iterable[Experiment]) -> None:
        """Write down those that have failed and are not there yet.

        Raises:
            OSError: one was not.
        """
        new = [one for one in experiments if one.failed and one.key not in self._noted]
        if not new:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, 0o600)
        try:
            for one in new:
                # What is watched is of no use to what has failed.
                plain = one.to_dict() | {"key": one.key, "watches": {}, "slice_watches": []}
                text = json.dumps(plain, separators=(",", ":")).encode()
                # A new line before it, too: the last one may have been cut.
                line = b"\n%08x %s\n" % (zlib.crc32(text), text)
                if os.write(file, line) != len(line):
                    raise OSError(28, "No space left on device")
                self._noted.add(one.key)
        finally:
            os.close(file)
