"""Every protocol's requests are changed at one input, and what cannot be is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from sidecar.compare.payload import Reader
from sidecar.compare.readers.descriptors import readers_of
from sidecar.compare.readers.opaque import OpaqueReader
from sidecar.compare.readers.seldon import SeldonReader
from sidecar.compare.readers.tensorflow_serving import ClassifyReader, PredictReader
from sidecar.compare.readers.torchserve import TorchServeReader
from sidecar.pb.inference import seldon_pb2 as seldon
from sidecar.pb.inference import tensorflow_serving_pb2 as tf
from sidecar.pb.inference import torchserve_pb2 as torchserve
from sidecar.replay.changes.base import Change, Changed, parse_change
from sidecar.replay.changes.changers import changed, changer, why_not
from sidecar.run.offline import chosen_settings
from sidecar.run.sensitivity import _impossible
from tests.capture.rows import row

NOISE = "noise"


def _predict(values: list[float], *, content: bool, kind: Any = tf.DT_FLOAT) -> bytes:
    request = tf.PredictRequest()
    request.model_spec.name = "m"
    x, n = request.inputs["x"], request.inputs["n"]
    x.dtype, n.dtype = kind, tf.DT_INT64
    x.tensor_shape.dim.add(size=len(values))
    n.tensor_shape.dim.add(size=1)
    n.int64_val.append(7)
    if content:
        x.tensor_content = np.array(values, "<f4" if kind == tf.DT_FLOAT else "<f8").tobytes()
    else:
        getattr(x, "float_val" if kind == tf.DT_FLOAT else "double_val").extend(values)
    return request.SerializeToString()


def _seldon(values: list[list[float]], form: str) -> bytes:
    message = seldon.SeldonMessage()
    message.meta.puid = "p"
    message.data.names.extend(["age", "income"])
    if form == "tensor":
        message.data.tensor.shape.extend([len(values), 2])
        message.data.tensor.values.extend(v for line in values for v in line)
    elif form == "ndarray":
        for line in values:
            message.data.ndarray.values.add().list_value.extend(line)
    else:
        tensor = message.data.tftensor
        tensor.dtype = tf.DT_DOUBLE
        tensor.tensor_shape.dim.add(size=len(values))
        tensor.tensor_shape.dim.add(size=2)
        tensor.double_val.extend(v for line in values for v in line)
    return message.SerializeToString()


def _applied(reader: Reader, change: str, message: bytes, other: bytes = b"") -> Changed | None:
    by = changer(reader)
    assert by is not None
    return changed(by, parse_change(change), message, other, np.random.default_rng(1))


def _inputs(reader: Reader, message: bytes) -> dict[str, Any]:
    return {o.name: o.array.tolist() for o in reader.read_request(message).outputs}


@pytest.mark.parametrize("content", [True, False])
@pytest.mark.parametrize("kind", [tf.DT_FLOAT, tf.DT_DOUBLE])
def test_a_tensor_of_tensorflow_serving(content: bool, kind: Any) -> None:
    reader, values = PredictReader(), [float(n) for n in range(1, 1001)]
    message = _predict(values, content=content, kind=kind)
    noisy = _applied(reader, "x:noise=0.01", message)
    assert noisy is not None
    assert noisy.relative == pytest.approx(0.01, rel=0.2)
    found = _inputs(reader, noisy.message)
    assert found["n"] == [7]
    assert found["x"] != values
    assert tf.PredictRequest.FromString(noisy.message).model_spec.name == "m"
    gone = _applied(reader, "x=missing", message)
    assert gone is not None
    assert _inputs(reader, gone.message) == {"n": [7]}
    other = _predict([3.0] * 1000, content=not content, kind=kind)
    swapped = _applied(reader, "x:swap", message, other)
    assert swapped is not None
    assert _inputs(reader, swapped.message)["x"] == [3.0] * 1000
    assert _applied(reader, "n:noise=0.1", message) is None, "an integer takes no noise"
    assert _applied(reader, "z=missing", message) is None
    assert _applied(reader, "x=missing", b"\xff\xff") is None


@pytest.mark.parametrize("form", ["tensor", "ndarray", "tftensor"])
def test_the_data_of_seldon_in_each_of_its_forms(form: str) -> None:
    reader = SeldonReader()
    message, other = _seldon([[30.0, 4.0]], form), _seldon([[50.0, 9.0]], form)
    noisy = _applied(reader, "data:noise=0.1", message)
    assert noisy is not None
    assert 0 < noisy.relative < 1
    assert _inputs(reader, noisy.message)["data"] != [[30.0, 4.0]]
    swapped = _applied(reader, "data:swap", message, other)
    assert swapped is not None
    assert _inputs(reader, swapped.message)["data"] == [[50.0, 9.0]]
    gone = _applied(reader, "data=missing", message)
    assert gone is not None
    assert "data" not in _inputs(reader, gone.message)
    assert seldon.SeldonMessage.FromString(gone.message).meta.puid == "p"


@pytest.mark.parametrize("form", ["tensor", "ndarray"])
def test_a_column_of_seldons_by_its_name(form: str) -> None:
    reader = SeldonReader()
    message, other = _seldon([[30.0, 4.0], [31.0, 5.0]], form), _seldon([[1.0, 2.0]] * 2, form)
    swapped = _applied(reader, "income:swap", message, other)
    assert swapped is not None
    assert _inputs(reader, swapped.message)["data"] == [[30.0, 2.0], [31.0, 2.0]]
    noisy = _applied(reader, "age:noise=0.1", message)
    assert noisy is not None
    (first, second) = _inputs(reader, noisy.message)["data"]
    assert (first[1], second[1]) == (4.0, 5.0)
    assert first[0] != 30.0
    assert _applied(reader, "age=missing", message) is None, "a column has no way to be missing"
    assert _applied(reader, "age:swap", message, _seldon([[1.0, 2.0]], form)) is None


def test_an_input_of_torchserve_is_bytes_that_can_be_missing_or_anothers() -> None:
    reader = TorchServeReader()
    message, other = (
        torchserve.PredictionsRequest(model_name="m", input=inputs).SerializeToString()
        for inputs in ({"data": b"one", "more": b"x"}, {"data": b"two"})
    )
    gone = _applied(reader, "more=missing", message)
    assert gone is not None
    assert _inputs(reader, gone.message) == {"data": b"one"}
    assert reader.read_request(gone.message).model == "m"
    swapped = _applied(reader, "data:swap", message, other)
    assert swapped is not None
    assert _inputs(reader, swapped.message) == {"data": b"two", "more": b"x"}
    assert _applied(reader, "more:swap", message, other) is None
    assert _applied(reader, "data:noise=0.1", message) is None, "nobody knows what is in it"


def _own() -> tuple[Reader, Any]:
    file = FileDescriptorProto(name="own.proto", package="own", syntax="proto3")
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="level", number=1, type=1, label=1)
    inner.field.add(name="names", number=2, type=9, label=3)
    outer = file.message_type.add(name="Ask")
    outer.field.add(name="inner", number=1, type=11, label=1, type_name=".own.Inner")
    outer.field.add(name="many", number=2, type=2, label=3)
    outer.field.add(name="word", number=3, type=9, label=1)
    outer.field.add(name="each", number=4, type=11, label=3, type_name=".own.Inner")
    service = file.service.add(name="S")
    service.method.add(name="Do", input_type=".own.Ask", output_type=".own.Ask")
    reader = readers_of([file])["/own.S/Do"]
    return reader, reader.request


def test_a_field_of_any_message_that_descriptors_tell_of() -> None:
    reader, kind = _own()
    ask = kind(word="w", many=[1.0, 2.0])
    ask.inner.level = 10.0
    ask.inner.names.extend(["a", "b"])
    ask.each.add().level = 1.0
    other = kind(word="other", many=[9.0])
    other.inner.level = 20.0
    message, others = ask.SerializeToString(), other.SerializeToString()

    def made(change: str) -> Any:
        found = _applied(reader, change, message, others)
        return None if found is None else kind.FromString(found.message)

    assert made("inner.level:swap").inner.level == 20.0
    assert made("inner.level:noise=0.1").inner.level != 10.0
    assert made("inner.level=missing").inner.level == 0.0
    assert not made("inner=missing").HasField("inner")
    assert made("many:swap").many == [9.0]
    assert made("many:noise=0.1").many != [1.0, 2.0]
    assert made("word:swap").word == "other"
    assert made("word:swap").inner.names == ["a", "b"], "nothing else is touched"
    for change in ("word:noise=0.1", "each.level:noise=0.1", "inner.none=missing", "none:swap"):
        assert made(change) is None, change


def test_what_nobody_can_change_is_refused_by_name_before_anything_is_sent(tmp_path: Path) -> None:
    assert changer(OpaqueReader()) is None
    assert "compare.descriptors" in why_not("/a.B/C", OpaqueReader())
    assert changer(ClassifyReader()) is None
    told = why_not("/a.B/C", ClassifyReader())
    assert told.startswith("/a.B/C: requests of tensorflow_classify cannot be changed")


def test_an_input_that_no_request_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    from sidecar.capture.reader import open_captured
    from sidecar.capture.settings import CaptureSettings
    from sidecar.capture.writer import Capture
    from sidecar.log import Log

    capture = Capture(CaptureSettings(dir=str(tmp_path), payloads=True), "life", Log("test"))
    method = "/tensorflow.serving.PredictionService/Predict"
    capture.offer(row(0, method=method, request=(_predict([1.0], content=True),)))
    capture.close()
    settings = chosen_settings(None, None, ["127.0.0.1:1"], "captured")
    changes = [Change("x", "missing"), Change("y", "missing")]
    assert _impossible(settings, open_captured([str(tmp_path)]), changes) == [
        "--perturb 'y=missing': the first 1 requests have no input 'y'; there are n, x"
    ]
    capture = Capture(CaptureSettings(dir=str(tmp_path), payloads=True), "more", Log("test"))
    capture.offer(row(1, method="/own.S/Do"))
    capture.close()
    (line,) = _impossible(settings, open_captured([str(tmp_path)]), changes)
    assert "/own.S/Do: its messages cannot be read" in line
