"""What a comparison found: a taxonomy first, then numbers per output.

Rule: a comparison is small, immutable and free of payload values. Counterpart: `judge`, which
adds up the bounded scores, and `telemetry`, which tells the rest to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Outcome(StrEnum):
    """Exclusive and ordered from worst to best; a whole comparison is the worst of its parts."""

    BOTH_ERROR_OTHER = "both_error_other"  # both failed, with other status codes
    SHADOW_ERROR = "shadow_error"
    PRODUCTION_ERROR = "production_error"
    UNDECODABLE = "undecodable"  # one side's bytes do not parse as the method's response
    MESSAGE_COUNT = "message_count"  # a stream of another length
    MISSING_OUTPUT = "missing_output"
    EXTRA_OUTPUT = "extra_output"
    DTYPE = "dtype"
    RANK = "rank"
    SHAPE = "shape"
    NONFINITE = "nonfinite"  # NaN or infinity where the other has none, or another one
    VALUE = "value"
    BOTH_ERROR_SAME = "both_error_same"  # both failed alike: agreement, but not of predictions
    EQUAL = "equal"  # within the rules


AGREEING = frozenset({Outcome.EQUAL, Outcome.BOTH_ERROR_SAME})


_NOTHING: Final[Mapping[str, float]] = {}


class OutputResult(NamedTuple):
    """One named output of one message, compared.

    `score` is in [0, 1], 0 when the output agrees; it is what the judge adds up. `raw` holds
    figures for people (max_abs, max_rel, outside_share, flips, ...), by name; all are finite.
    """

    name: str  # the output's name; "[i]" is put before it from the second message of a stream on
    outcome: Outcome
    rule: str  # the name of the rule that decided: "tolerance", "exact", "argmax", ...
    score: float
    raw: Mapping[str, float] = _NOTHING
    allowed: float = 0.0  # what the rule lets pass, in what it measures: elements, or a distance
    limits: Mapping[str, float] = _NOTHING  # the rule's, where it found one
    forms: str = ""  # both sides' types and shapes, where those differ


class Comparison(NamedTuple):
    """A pair, compared. `outcome` is the worst of `outputs`, or what kept them from being read."""

    outcome: Outcome
    outputs: tuple[OutputResult, ...] = ()
    reader: str = ""  # the payload reader that decoded the pair: "open_inference", "opaque", ...
    detail: str = ""  # one line for people; never a payload value
    models: tuple[str, str] = ("", "")  # "name:version" that production and the shadow named

    @property
    def agrees(self) -> bool:
        """Whether nothing in the answers speaks against the shadow."""
        return self.outcome in AGREEING

    @property
    def differing(self) -> tuple[OutputResult, ...]:
        """The outputs that do not agree."""
        return tuple(o for o in self.outputs if o.outcome is not Outcome.EQUAL)
