"""How answers are read and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sidecar.fields import Count, Fraction, Section

RuleName = Literal[
    "auto",
    "tolerance",
    "exact",
    "argmax",
    "topk",
    "rbo",
    "kendall",
    "total_variation",
    "jensen_shannon",
    "cosine",
    "text",
    "tokens",
    "edit",
    "json",
    "ignore",
]


class OutputRule(Section):
    """How outputs whose method, model and name match the globs are compared. First match wins."""

    output: str = "*"
    method: str = "*"
    model: str = "*"
    rule: RuleName = "auto"
    atol: Annotated[float, Field(ge=0)] | None = None  # None: by the output's number type
    rtol: Annotated[float, Field(ge=0)] | None = None
    max_outside: Fraction = 0.0  # share of elements that may be outside the tolerance
    max_score: Fraction = 1e-6  # distance up to which rankings, vectors and texts agree
    k: Count = 10  # how far down a ranking topk and rbo look
    persistence: Annotated[float, Field(gt=0, lt=1)] = 0.9  # of rbo's reader


class CompareSettings(Section):
    """How answers are read and compared."""

    descriptors: Path | None = None  # a serialized FileDescriptorSet for methods of your own
    reflection: bool = True  # else ask a shadow's reflection service for unknown methods
    rules: tuple[OutputRule, ...] = ()

    @model_validator(mode="after")
    def _exists(self) -> CompareSettings:
        if self.descriptors is not None and not self.descriptors.is_file():
            raise ValueError(f"descriptors: no such file: {self.descriptors}")
        return self
