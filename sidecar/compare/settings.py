"""How answers are read and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sidecar.compare.rules.registry import RULE_NAMES, useless
from sidecar.fields import AtLeast0, Bytes, Count, Fraction, Section


def _known(name: str) -> str:
    if name not in RULE_NAMES:
        raise ValueError(f"no such rule; one of {', '.join(RULE_NAMES)}")
    return name


RuleName = Annotated[str, AfterValidator(_known)]


class OutputRule(Section):
    """How outputs whose method, model and name match the globs are compared. First match wins."""

    output: str = "*"  # glob over the output's name
    method: str = "*"  # glob over the method
    model: str = "*"  # glob over the model's name
    rule: RuleName = "auto"  # how it is compared; auto: by its number type
    atol: AtLeast0 | None = None  # None: by the output's number type
    rtol: AtLeast0 | None = None
    max_outside: Fraction = 0.0  # share of elements that may be outside the tolerance
    max_score: Fraction = 1e-6  # distance up to which rankings, vectors and texts agree
    k: Count = 10  # how far down a ranking topk and rbo look
    # Pieces that several messages of an answer bring are one text; nothing: where the rule is text,
    # tokens, edit or json; last: the last message's value stands for all
    join: bool | Literal["last"] | None = None
    persistence: Annotated[float, Field(gt=0, lt=1)] = 0.9  # of rbo's reader

    @model_validator(mode="after")
    def _uses_what_is_given(self) -> OutputRule:
        if nothing := useless(self.rule, frozenset(self.model_fields_set)):
            raise ValueError(f"rule {self.rule} has no use for {', '.join(sorted(nothing))}")
        return self


class CompareSettings(Section):
    """How answers are read and compared."""

    descriptors: Path | None = None  # a serialized FileDescriptorSet for methods of your own
    reflection: bool = True  # else ask a shadow's reflection service for unknown methods
    # Of descriptors that it may send, all services together; in memory up to 90 times as much.
    reflection_bytes: Bytes = 1 << 20
    rules: tuple[OutputRule, ...] = ()  # first match wins

    @model_validator(mode="after")
    def _exists(self) -> CompareSettings:
        if self.descriptors is not None and not self.descriptors.is_file():
            raise ValueError(f"descriptors: no such file: {self.descriptors}")
        return self
