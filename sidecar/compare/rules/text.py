"""Rule `text`: 0 if the texts are the same, else 1."""

from __future__ import annotations

from typing import Final

from sidecar.compare.rules.finding import Tuning
from sidecar.compare.rules.texts import same_text, text_rule


def _distance(a: bytes, b: bytes, rule: Tuning) -> float:
    del rule
    return same_text(a, b)


RULE: Final = text_rule("text", _distance)
