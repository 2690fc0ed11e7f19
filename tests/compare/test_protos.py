"""The committed messages are what `protos/` says, and keep out of a user's way."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path

import pytest

from sidecar.pb import inference
from sidecar.pb.inference import open_inference_pb2, tensorflow_serving_pb2

ROOT = Path(__file__).parents[2]
GENERATED = sorted(
    f"{inference.__name__}.{m.name}" for m in pkgutil.iter_modules(inference.__path__)
)


def _tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for pattern in ("*.py", "*.pyi")
        for path in root.rglob(pattern)
    }


def test_generating_again_yields_the_committed_files(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.generate(tmp_path)
    assert _tree(tmp_path) == _tree(ROOT / "sidecar" / "pb")


@pytest.mark.parametrize("name", GENERATED)
def test_message_names_cannot_clash_with_a_users_stubs(name: str) -> None:
    descriptor = vars(importlib.import_module(name))["DESCRIPTOR"]
    assert descriptor.package.startswith("shadow.inference.")


def test_every_open_inference_field_number_is_the_specifications() -> None:
    """Bytes written by hand from the specification, not by our own generated code."""
    message = open_inference_pb2.ModelInferResponse.FromString(
        b"\x0a\x01m"  # 1 model_name
        b"\x12\x012"  # 2 model_version
        b"\x1a\x01i"  # 3 id
        b"\x2a\x0f"  # 5 outputs
        b"\x0a\x01y"  # 1 name
        b"\x12\x05INT32"  # 2 datatype
        b"\x1a\x01\x02"  # 3 shape, packed
        b"\x2a\x00"  # 5 contents
        b"\x32\x04\x01\x02\x03\x04"  # 6 raw_output_contents
    )
    assert (message.model_name, message.model_version, message.id) == ("m", "2", "i")
    assert message.outputs[0].name == "y"
    assert message.outputs[0].datatype == "INT32"
    assert list(message.outputs[0].shape) == [2]
    assert message.outputs[0].HasField("contents")
    assert list(message.raw_output_contents) == [b"\x01\x02\x03\x04"]


def test_every_predict_response_field_number_is_the_specifications() -> None:
    message = tensorflow_serving_pb2.PredictResponse.FromString(
        b"\x0a\x15"  # 1 outputs
        b"\x0a\x01y"  # key
        b"\x12\x10"  # value
        b"\x08\x01"  # 1 dtype
        b"\x12\x04\x12\x02\x08\x01"  # 2 tensor_shape, 2 dim, 1 size
        b"\x2a\x04\x00\x00\x80\x3f"  # 5 float_val, packed
        b"\x18\x00"  # 3 version_number
        b"\x12\x09"  # 2 model_spec
        b"\x0a\x01m"
        b"\x12\x02\x08\x07"  # version
        b"\x1a\x00"  # signature_name
    )
    assert message.model_spec.name == "m"
    assert message.model_spec.version.value == 7
    tensor = message.outputs["y"]
    assert tensor.dtype == tensorflow_serving_pb2.DT_FLOAT
    assert [d.size for d in tensor.tensor_shape.dim] == [1]
    assert list(tensor.float_val) == [1.0]


def test_the_generated_code_leaves_the_installed_protobuf_alone() -> None:
    """It runs on protobuf 6 and 7; a check of the compiler's would refuse 6, or warn under 8."""
    for path in (ROOT / "sidecar" / "pb").rglob("*_pb2.py"):
        text = path.read_text(encoding="utf-8")
        assert "AddSerializedFile" in text
        assert "runtime_version" not in text
