from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sidecar.compare.payload import Decoded, Output
from sidecar.fields import ConfigError
from sidecar.judge.settings import DEFAULT_CRITERIA, JudgeSettings, SliceSettings
from sidecar.judge.values import fields_of, needs_request, values_of, wanted_outputs
from sidecar.settings.sources import load
from tests.judge.pairs import required, settings


def errors(judge: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environ={}, flags={"judge": judge})
    return caught.value.errors


def criterion(**given: Any) -> dict[str, Any]:
    return {"criteria": [{"name": "c", "kind": "disagreement", "margin": 0.1} | given]}


def flips(**decision: Any) -> dict[str, Any]:
    return criterion(kind="decision_flips", decision=decision)


def test_without_criteria_a_default_set_informs_and_requires_nothing() -> None:
    assert JudgeSettings().criteria == DEFAULT_CRITERIA
    assert not any(c.required for c in DEFAULT_CRITERIA)


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        (criterion(margin=0), "margin must be between 0 and 1"),
        (criterion(margin=1), "margin must be between 0 and 1"),
        (criterion(kind="bias", margin=2), "margin must be between 0 and 2"),
        (criterion(kind="latency_ratio", margin=0), "margin must be above 0"),
        (criterion(kind="latency_difference", margin=2), "within range_seconds"),
        (criterion(kind="decision_flips"), "needs a decision"),
        (criterion(kind="accuracy", margin=1), "below 1; accuracy needs a decision"),
        (criterion(kind="accuracy", decision={"top_k": 3}), "one answer"),
        (criterion(kind="recall", decision={"argmax": True}), "labels: sample"),
        (criterion(kind="out_of_range", range=[2, 1]), "range must ascend"),
        (flips(threshold=1, argmax=True), "exactly one"),
        (flips(), "exactly one"),
        (flips(bands=[2, 1]), "ascend"),
        (flips(argmax=True, cost=[[0, 1], [1]]), "square"),
        (flips(threshold=1, cost=[[0]]), "2 rows"),
        (flips(bands=[1, 2], cost=[[0, 1], [1, 0]]), "3 rows"),
        (flips(top_k=1, cost=[[0, 1], [1, 0]]), "top_k"),
        (flips(argmax=True, cost=[[1, 1], [1, 1]]), "at least two outcomes"),
        (
            criterion(
                kind="decision_flips",
                margin=9,
                decision={"argmax": True, "cost": [[0, 1], [5, 0]]},
            ),
            "between the costs 0.0 and 5.0",
        ),
        ({"alpha": 0.6}, "judge.alpha"),
        ({"min_calls": 10, "max_calls": 5}, "max_calls"),
        ({"min_duration_seconds": 10, "max_duration_seconds": 5}, "max_duration_seconds"),
        ({"slices": [{"source": "nonsense"}]}, "judge.slices.0.source"),
        ({"slices": [{"source": "method"}, {"source": "method"}]}, "'method' is used twice"),
        (criterion(kind="nonsense"), "judge.criteria.0.kind: 'nonsense': must be 'disagreement', "),
        (criterion(margn=1), "judge.criteria.0.margn: unknown key; allowed: kind, margin, methods"),
        (criterion(quantile=0.5), "judge.criteria.0.quantile: unknown key; allowed: kind, margin"),
        (criterion(kind="bias", k=3), "judge.criteria.0.k: unknown key; allowed: direction, kind"),
        (
            {"criteria": [{"name": "c", "margin": 0.1}]},
            "judge.criteria.0.kind: required, and not given",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_reason(judge: dict[str, Any], told: str) -> None:
    assert told in "\n".join(errors(judge))


def test_two_criteria_of_one_name_are_refused() -> None:
    twice = {"criteria": criterion()["criteria"] * 2}
    assert "'c' is used twice" in errors(twice)[0]


def test_only_outputs_that_are_asked_for_are_taken_from_a_payload() -> None:
    declared = settings(
        required("out_of_range", 0.1, outputs="sc*"),
        required("disagreement", 0.1, outputs="other"),
        slices=(SliceSettings(source="class:label"), SliceSettings(source="field:age")),
    )
    assert wanted_outputs(declared) == ("sc*", "label")
    assert needs_request(declared)

    def message(*names: str) -> Decoded:
        return Decoded(tuple(Output(n, "FP32", np.array([1.0])) for n in names))

    found = values_of(
        wanted_outputs(declared), [message("score", "x"), message("score")], [message("label")]
    )
    assert set(found) == {"score", "[1]score", "label"}
    assert found["label"][0] is None
    assert found["score"][1] is None
    assert set(fields_of([message("age", "sex")])) == {"age", "sex"}
    assert values_of((), [message("score")], []) == {}
    assert not needs_request(JudgeSettings())
    assert fields_of([]) == {}


def test_slices_of_one_sides_answer_are_refused_for_labels_with_what_to_write_instead() -> None:
    accuracy = {"name": "right", "kind": "accuracy", "margin": 0.05, "decision": {"argmax": True}}
    by_class = {"source": "class:digit", "name": "digit"}
    with pytest.raises(ValueError, match=r"right \(accuracy\).*source: label.*field:NAME"):
        JudgeSettings.model_validate({"criteria": [accuracy], "slices": [by_class]})
    apart = {**accuracy, "slices": []}
    JudgeSettings.model_validate({"criteria": [apart], "slices": [by_class]})
    with pytest.raises(ValueError, match="labels: sample"):
        JudgeSettings.model_validate({"criteria": [accuracy], "slices": [{"source": "label"}]})
    sampled = {**accuracy, "labels": "sample"}
    JudgeSettings.model_validate({"criteria": [sampled], "slices": [{"source": "label"}]})


def test_blocks_have_lengths_that_fit() -> None:
    with pytest.raises(ValueError, match="block_seconds: lengths must ascend"):
        JudgeSettings(block_seconds=(10, 25))
    with pytest.raises(ValueError, match="at most 6"):
        JudgeSettings(block_seconds=(1, 2, 4, 8, 16, 32, 64))
