"""Structured, quiet logs: one JSON object a line on standard error.

Rule: nothing is logged per call; what repeats is counted, and a line is a change of state.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import IO, Any


@dataclass(frozen=True, slots=True)
class Log:
    """Writes lines with a component's name; safe to call from anywhere, never raises."""

    component: str
    stream: IO[str] = field(default_factory=lambda: sys.stderr)

    def info(self, event: str, **fields: Any) -> None:
        """A change of state that is as it should be."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something that an operator may want to look at."""
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "level": level,
            "component": self.component,
            "event": event,
            **fields,
        }
        try:
            self.stream.write(json.dumps(line, default=str) + "\n")
            self.stream.flush()
        except (OSError, ValueError):
            # A closed standard error must not take the observer with it.
            return
