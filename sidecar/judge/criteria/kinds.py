"""Every kind of criterion: a new one is a file and a line here.

Counterparts: `judge.settings`, where a configuration names them by `kind`; `base`, what one is.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, get_args

from pydantic import Field, TypeAdapter

from sidecar.judge.criteria.accuracy import Accuracy
from sidecar.judge.criteria.bias import Bias
from sidecar.judge.criteria.decision_flips import DecisionFlips
from sidecar.judge.criteria.disagreement import Disagreement
from sidecar.judge.criteria.f1 import F1
from sidecar.judge.criteria.latency_difference import LatencyDifference
from sidecar.judge.criteria.latency_ratio import LatencyRatio
from sidecar.judge.criteria.out_of_range import OutOfRange
from sidecar.judge.criteria.precision import Precision
from sidecar.judge.criteria.precision_at_k import PrecisionAtK
from sidecar.judge.criteria.recall import Recall
from sidecar.judge.criteria.recall_at_k import RecallAtK
from sidecar.judge.criteria.shadow_error_rate import ShadowErrorRate

AnyCriterion: TypeAlias = Annotated[
    Disagreement
    | Bias
    | ShadowErrorRate
    | LatencyRatio
    | LatencyDifference
    | DecisionFlips
    | OutOfRange
    | Accuracy
    | Precision
    | Recall
    | F1
    | PrecisionAtK
    | RecallAtK,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[Any]] = {
    str(kind.model_fields["kind"].default): kind for kind in get_args(get_args(AnyCriterion)[0])
}
"""Settings by kind."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyCriterion)


def criterion_of(plain: dict[str, Any]) -> AnyCriterion:
    """A criterion from plain values.

    Raises:
        pydantic.ValidationError: for what its kind does not allow.
    """
    made: AnyCriterion = _ADAPTER.validate_python(plain)
    return made
