"""Chooses the payload reader by method.

Rule: every method has a reader, and a reader may be registered while calls are being compared: a
change replaces the whole table, so a look-up sees the old one or the new one. Counterparts: the
readers, which `protocols` lists; `reflection`, which registers live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.compare.payload import Reader
from sidecar.compare.readers.descriptors import readers
from sidecar.compare.readers.opaque import OpaqueReader
from sidecar.compare.readers.protocols import READERS
from sidecar.compare.settings import CompareSettings

OPAQUE: Final = OpaqueReader()


class Registry:
    """Readers by method, "/package.Service/Method"."""

    def __init__(self, given: Mapping[str, Reader] | None = None) -> None:
        self._readers: dict[str, Reader] = {**READERS, **(given or {})}

    @classmethod
    def from_settings(cls, settings: CompareSettings) -> Registry:
        """Make the registry that the settings ask for, reading their descriptor set.

        Raises:
            ValueError: the file is not a complete FileDescriptorSet.
            OSError: it cannot be read.
        """
        if settings.descriptors is None:
            return cls()
        return cls(readers(settings.descriptors.read_bytes()))

    def reader(self, method: str) -> Reader:
        """Find the method's reader: the opaque one when nothing better is known."""
        return self._readers.get(method, OPAQUE)

    def knows(self, method: str) -> bool:
        """Whether the method has a reader that sees more than bytes."""
        return method in self._readers

    def register(self, added: Mapping[str, Reader]) -> None:
        """Add readers; those of methods that are known already stay as they are."""
        self._readers = {**added, **self._readers}
