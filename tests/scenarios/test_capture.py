"""Real calls through the sidecar are in Parquet as they were, and nothing unasked for is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecar.capture.forget import forget
from sidecar.capture.reader import open_captured
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.test_payload_values import (
    CALLS,
    GIVEN,
    PRODUCTION,
    SECRETS,
    SHADOW,
    TENANT,
    predict,
)


def _rows(
    tmp_path: Path, judge: Mapping[str, object] | None = None, **settings: object
) -> list[dict[str, Any]]:
    """What is captured of a burst of calls to two models that differ in every answer."""
    folder = tmp_path / "calls"
    chosen = {
        "capture.dir": folder,
        **{f"capture.{name}": json.dumps(value) for name, value in settings.items()},
        **{f"judge.{name}": json.dumps(value) for name, value in (judge or {}).items()},
    }
    with servers(("model",), ("model", "--bias", "7")) as addresses:
        with sidecar(*addresses, settings=chosen) as it:
            predict(it.address)
            status = it.settled(CALLS)
            assert status["capture"]["capture_full"] == 0
            assert status["capture"]["stopped"] == ""
    return list(open_captured([str(folder)]).rows())


def test_captured_messages_are_those_that_were_sent_and_answered(tmp_path: Path) -> None:
    rows = _rows(tmp_path, payloads=True, inputs=["amount"], outputs=["amount"], metadata=["*"])
    assert len(rows) == CALLS
    for row in rows:
        request = oip.ModelInferRequest.FromString(row["request_messages"][0])
        assert list(request.inputs[0].contents.int64_contents) == [GIVEN]
        for side, value in (("production", PRODUCTION), ("shadow", SHADOW)):
            answer = oip.ModelInferResponse.FromString(row[f"{side}_messages"][0])
            assert list(answer.outputs[0].contents.int64_contents) == [value]
            assert row[f"{side}.amount"] == value
        assert row["input.amount"] == GIVEN
        assert row["outcome"] == "value"
        tokens = [f["value"] for f in row["metadata"] if f["name"] == "authorization"]
        assert tokens == ["\u2022\u2022\u2022"], "a secret is masked even if all is asked for"
    assert len({row["call"] for row in rows}) == CALLS


def test_a_row_has_its_score_in_each_criterion_that_has_one_of_a_call(tmp_path: Path) -> None:
    criteria = [
        {"name": "same", "kind": "disagreement", "margin": 0.1},
        {"name": "sums", "kind": "disagreement", "outputs": "sum", "margin": 0.1},
        {"name": "errors", "kind": "shadow_error_rate", "margin": 0.1},
        {"name": "drift", "kind": "bias", "outputs": "sum", "margin": 0.1},
        {"name": "slower", "kind": "latency_difference", "margin": 0.1},
        {"name": "p95", "kind": "latency_ratio", "margin": 0.2},
        {"name": "other", "kind": "disagreement", "methods": "/none/*", "margin": 0.1},
    ]
    rows = _rows(tmp_path, judge={"criteria": criteria, "repeat_seconds": 0})
    assert len(rows) == CALLS
    for row in rows:
        scores = {score["name"]: score["value"] for score in row["scores"]}
        assert scores.keys() == {"same", "sums", "errors", "drift", "slower"}
        assert (scores["same"], scores["sums"], scores["errors"]) == (1, 0, 0)
        assert 0 < scores["drift"] < 1e-6, "seven more, of sixty millions"
        apart = (row["shadow_latency_ms"] - row["production_latency_ms"]) / 1e3
        assert scores["slower"] == pytest.approx(apart, abs=1e-6)
        assert row["shadow_wait_ms"] >= 0


def test_every_row_of_a_call_has_its_correlation_id_a_controls_too(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    chosen = {
        "capture.dir": folder,
        "capture.what": "all",
        "judge.labels.correlation": "metadata:x-tenant",
        "shadows.1.role": "control",
    }
    with servers(("model",), ("model", "--bias", "7"), ("model",)) as (first, *others):
        with sidecar(first, f"a={others[0]}", f"b={others[1]}", settings=chosen) as it:
            predict(it.address)
            it.settled(CALLS)
    rows = list(open_captured([str(folder)]).rows())
    assert {row["role"] for row in rows} == {"shadow", "control"}
    assert {row["correlation_id"] for row in rows} == {TENANT}
    assert forget([str(folder)], [TENANT]).pairs == len(rows)


def test_nothing_of_a_payload_is_captured_unless_it_is_asked_for(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    assert len(rows) == CALLS
    told = repr(rows)
    assert [secret for secret in SECRETS if secret in told] == []
    assert all(row["differences"][0]["output"] == "amount" for row in rows)
