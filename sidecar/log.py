"""Structured, quiet logs in one dialect for every process: time, level, component, event, fields.

Rule: nothing is logged per call; what repeats is counted, and a line is a change of state. A person
at a terminal gets text, everybody else one JSON object a line; `SHADOW_LOG_FORMAT` (json, text)
says otherwise. Standard library only: the wire writes the same lines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

FORMAT = "SHADOW_LOG_FORMAT"
FORMATS = ("auto", "json", "text")


def is_text(stream: IO[str]) -> bool:
    """Whether lines on this stream are for a person."""
    wanted = os.environ.get(FORMAT, "auto")
    if wanted in {"json", "text"}:
        return wanted == "text"
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def format_line(
    component: str, level: str, event: str, fields: Mapping[str, Any], *, text: bool
) -> str:
    """One line, without its end; what is not JSON is written as text."""
    now = time.gmtime()
    if not text:
        head = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", now), "level": level}
        return json.dumps({**head, "component": component, "event": event, **fields}, default=str)
    said = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
    mark = "!" if level == "warning" else " "
    return f"{time.strftime('%H:%M:%S', now)} {mark} {component}: {event} {said}".rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_plain, value)) or "none"
    shown = str(value)
    return json.dumps(shown) if " " in shown or "\n" in shown or not shown else shown


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
        try:
            text = is_text(self.stream)
            self.stream.write(format_line(self.component, level, event, fields, text=text) + "\n")
            self.stream.flush()
        except (OSError, ValueError):
            # A closed standard error must not take the observer with it.
            return
