"""One input is changed as was asked for, and nothing else of the message."""

from __future__ import annotations

import numpy as np
import pytest

from sidecar.compare.readers.open_inference import OpenInferenceReader
from sidecar.pb.inference import open_inference_pb2 as pb
from sidecar.replay.changes.base import Change, Changed, Normal, PerturbError, parse_change
from sidecar.replay.changes.changers import changed as changed_by
from sidecar.replay.changes.changers import changer

READER = OpenInferenceReader()


def changed(change: Change, message: bytes, other: bytes, draws: Normal) -> Changed | None:
    by = changer(READER)
    assert by is not None
    return changed_by(by, change, message, other, draws)


def _request(values: list[float], *, raw: bool, other: int = 5) -> bytes:
    request = pb.ModelInferRequest(model_name="m", id="7")
    x = request.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    n = request.inputs.add(name="n", datatype="INT64", shape=[1])
    if raw:
        request.raw_input_contents.append(np.array(values, "<f4").tobytes())
        request.raw_input_contents.append(np.array([other], "<i8").tobytes())
    else:
        x.contents.fp32_contents.extend(values)
        n.contents.int64_contents.append(other)
    return request.SerializeToString()


def _inputs(message: bytes) -> dict[str, list[float]]:
    return {o.name: o.array.tolist() for o in READER.read_request(message).outputs}


@pytest.mark.parametrize("raw", [True, False])
def test_noise_moves_an_input_by_its_share_and_nothing_else(raw: bool) -> None:
    values = [float(n) for n in range(1, 2001)]
    made = changed(
        Change("x", "noise", 0.01), _request(values, raw=raw), b"", np.random.default_rng(1)
    )
    assert made is not None
    assert made.relative == pytest.approx(0.01, rel=0.1)
    found = _inputs(made.message)
    assert found["n"] == [5]
    assert found["x"] != values
    assert pb.ModelInferRequest.FromString(made.message).id == "7"


@pytest.mark.parametrize("raw", [True, False])
def test_a_missing_input_is_gone(raw: bool) -> None:
    message = _request([1.0], raw=raw)
    made = changed(Change("x", "missing"), message, b"", np.random.default_rng(1))
    assert made is not None
    assert _inputs(made.message) == {"n": [5]}


@pytest.mark.parametrize("raw", [True, False])
def test_a_swapped_input_is_another_calls(raw: bool) -> None:
    one, other = _request([3.0, 4.0], raw=raw), _request([0.0, 4.0], raw=raw, other=9)
    made = changed(Change("x", "swap"), one, other, np.random.default_rng(1))
    assert made is not None
    assert _inputs(made.message) == {"x": [0.0, 4.0], "n": [5]}
    assert made.relative == pytest.approx(3 / 5)


def test_what_cannot_be_changed_is_left_out() -> None:
    draws = np.random.default_rng(1)
    message = _request([1.0], raw=True)
    assert changed(Change("z", "missing"), message, b"", draws) is None
    assert changed(Change("n", "noise", 0.1), message, b"", draws) is None
    assert changed(Change("x", "swap"), message, _request([1.0], raw=False), draws) is None
    assert changed(Change("x", "missing"), b"\xff\xff", b"", draws) is None


def test_a_change_is_read_and_written_alike() -> None:
    for text in ("x:noise=0.01", "x=missing", "x:swap", "a.b_c:noise=2"):
        assert str(parse_change(text)) == text


@pytest.mark.parametrize("text", ["", "x", "x:noise", "x:noise=0", "x:noise=much", ":swap", "x:y"])
def test_no_other_change_is_taken(text: str) -> None:
    with pytest.raises(PerturbError, match="must be INPUT:noise"):
        parse_change(text)
