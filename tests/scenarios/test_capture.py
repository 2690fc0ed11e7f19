"""Real calls through the sidecar are in Parquet as they were, and nothing unasked for is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sidecar.capture.reader import open_captured
from sidecar.pb.inference import open_inference_pb2 as oip
from tests.scenarios.stack import servers, sidecar
from tests.scenarios.test_payload_values import CALLS, GIVEN, PRODUCTION, SECRETS, SHADOW, predict


def _rows(tmp_path: Path, **settings: object) -> list[dict[str, Any]]:
    """What is captured of a burst of calls to two models that differ in every answer."""
    folder = tmp_path / "calls"
    chosen = {
        "capture.dir": folder,
        **{f"capture.{name}": json.dumps(value) for name, value in settings.items()},
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


def test_nothing_of_a_payload_is_captured_unless_it_is_asked_for(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    assert len(rows) == CALLS
    told = repr(rows)
    assert [secret for secret in SECRETS if secret in told] == []
    assert all(row["differences"][0]["output"] == "amount" for row in rows)
