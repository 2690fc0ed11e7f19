"""Every method has a reader."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2

from sidecar.call import CallKey, SkipReason, Started
from sidecar.compare.readers.opaque import OpaqueReader
from sidecar.compare.readers.protocols import NOT_PREDICTIONS, READERS
from sidecar.compare.readers.registry import Registry
from sidecar.compare.settings import CompareSettings
from sidecar.tee.admission import Admission
from sidecar.tee.settings import MatchSettings, SampleSettings
from tests.compare.messages import MODEL_INFER


def test_known_services_have_readers_of_their_own() -> None:
    registry = Registry()
    assert registry.reader(MODEL_INFER).name == "open_inference"
    assert all(registry.knows(method) for method in READERS)


def test_an_unknown_method_is_read_as_bytes() -> None:
    registry = Registry()
    reader = registry.reader("/a.B/C")
    assert reader.name == "opaque"
    assert not registry.knows("/a.B/C")
    for read in (reader.read_response, reader.read_request):
        (output,) = read(b"\xff\0").outputs
        assert output.array.item() == b"\xff\0"


def test_readers_are_added_live_and_do_not_replace_what_is_known() -> None:
    registry = Registry()
    known = registry.reader(MODEL_INFER)
    added = OpaqueReader()
    registry.register({"/a.B/C": added, MODEL_INFER: added})
    assert registry.reader("/a.B/C") is added
    assert registry.knows("/a.B/C")
    assert registry.reader(MODEL_INFER) is known


def test_a_descriptor_set_from_the_settings_is_read(tmp_path: Path) -> None:
    files = descriptor_pb2.FileDescriptorSet()
    health_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    path = tmp_path / "set.binpb"
    path.write_bytes(files.SerializeToString())
    registry = Registry.from_settings(CompareSettings(descriptors=path))
    assert registry.reader("/grpc.health.v1.Health/Check").name == "descriptors"


def test_a_broken_descriptor_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.binpb"
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="FileDescriptorSet"):
        Registry.from_settings(CompareSettings(descriptors=path))


def test_without_a_descriptor_set_only_the_built_in_readers_are_there() -> None:
    assert not Registry.from_settings(CompareSettings()).knows("/a.B/C")


def test_no_prediction_is_excluded_by_default() -> None:
    assert not [m for m in READERS for glob in NOT_PREDICTIONS if fnmatchcase(m, glob)]


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
        "/seldon.protos.Model/SendFeedback",
        "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping",
        "/org.pytorch.serve.grpc.management.ManagementAPIsService/UnregisterModel",
    ],
)
def test_what_is_no_prediction_is_not_shadowed_by_default(method: str) -> None:
    call = Started(CallKey(1, 1), method, "", (), "peer", 0)
    admission = Admission(MatchSettings(), SampleSettings(), paused=False)
    assert admission.check(call, 0.0, 1.0) is SkipReason.METHOD
