"""The kinds of criteria: a new one is one file, and a line here."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter

from sidecar.judge.criteria.accuracy import Accuracy
from sidecar.judge.criteria.bias import Bias
from sidecar.judge.criteria.brier import Brier
from sidecar.judge.criteria.decision_flips import DecisionFlips
from sidecar.judge.criteria.disagreement import Disagreement
from sidecar.judge.criteria.f1 import F1
from sidecar.judge.criteria.latency_difference import LatencyDifference
from sidecar.judge.criteria.latency_per_call import LatencyPerCall
from sidecar.judge.criteria.latency_ratio import LatencyRatio
from sidecar.judge.criteria.log_loss import LogLoss
from sidecar.judge.criteria.mae import MAE
from sidecar.judge.criteria.ndcg_at_k import NDCGAtK
from sidecar.judge.criteria.out_of_range import OutOfRange
from sidecar.judge.criteria.precision import Precision
from sidecar.judge.criteria.precision_at_k import PrecisionAtK
from sidecar.judge.criteria.recall import Recall
from sidecar.judge.criteria.recall_at_k import RecallAtK
from sidecar.judge.criteria.rmse import RMSE
from sidecar.judge.criteria.shadow_error_rate import ShadowErrorRate
from sidecar.judge.criteria.time_between_messages import TimeBetweenMessages
from sidecar.judge.criteria.time_to_first_message import TimeToFirstMessage

AnyCriterion: TypeAlias = Annotated[
    Disagreement
    | Bias
    | ShadowErrorRate
    | LatencyRatio
    | LatencyDifference
    | LatencyPerCall
    | TimeToFirstMessage
    | TimeBetweenMessages
    | DecisionFlips
    | OutOfRange
    | Accuracy
    | Precision
    | Recall
    | F1
    | PrecisionAtK
    | RecallAtK
    | NDCGAtK
    | MAE
    | RMSE
    | LogLoss
    | Brier,
    Field(discriminator="kind"),
]
"""A criterion of any kind; `kind` says which."""

ANY_CRITERION: TypeAdapter[AnyCriterion] = TypeAdapter(AnyCriterion)
