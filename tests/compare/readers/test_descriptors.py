"""Messages described by a FileDescriptorSet become named tensors by the paths of their fields."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from sidecar.compare.payload import UndecodableError
from sidecar.compare.readers.descriptors import MAX_NODES, DescriptorReader, readers
from sidecar.pb.inference import open_inference_pb2, tensorflow_serving_pb2
from tests.compare.messages import by_name

Field = descriptor_pb2.FieldDescriptorProto


def _field(name: str, number: int, kind: Any, **more: Any) -> descriptor_pb2.FieldDescriptorProto:
    more.setdefault("label", Field.LABEL_OPTIONAL)
    return Field(name=name, number=number, type=kind, **more)


def _files() -> descriptor_pb2.FileDescriptorSet:
    """Two files in the wrong order: a service, and the messages that it uses."""
    messages = descriptor_pb2.FileDescriptorProto(
        name="shop/messages.proto",
        package="shop",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    color = messages.enum_type.add(name="Color")
    color.value.add(name="RED", number=0)
    color.value.add(name="BLUE", number=1)
    box = messages.message_type.add(name="Box")
    box.field.extend(
        [
            _field("score", 1, Field.TYPE_FLOAT),
            _field("corner", 2, Field.TYPE_INT32, label=Field.LABEL_REPEATED),
            _field("label", 3, Field.TYPE_STRING),
        ]
    )
    answer = messages.message_type.add(name="Answer")
    answer.field.extend(
        [
            _field("total", 1, Field.TYPE_DOUBLE),
            _field("vector", 2, Field.TYPE_FLOAT, label=Field.LABEL_REPEATED),
            _field("best", 3, Field.TYPE_MESSAGE, type_name=".shop.Box"),
            _field("boxes", 4, Field.TYPE_MESSAGE, type_name=".shop.Box", label=3),
            _field("color", 5, Field.TYPE_ENUM, type_name=".shop.Color"),
            _field("by_word", 6, Field.TYPE_MESSAGE, type_name=".shop.Answer.ByWord", label=3),
            _field("note", 7, Field.TYPE_STRING, oneof_index=0, proto3_optional=True),
            _field("blob", 8, Field.TYPE_BYTES),
            _field("at", 9, Field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp"),
            _field("inner", 10, Field.TYPE_MESSAGE, type_name=".shop.Answer"),
            _field("ok", 11, Field.TYPE_BOOL),
        ]
    )
    answer.oneof_decl.add(name="_note")
    entry = answer.nested_type.add(name="ByWord")
    entry.options.map_entry = True
    entry.field.extend([_field("key", 1, Field.TYPE_STRING), _field("value", 2, Field.TYPE_UINT64)])
    service = descriptor_pb2.FileDescriptorProto(
        name="shop/service.proto",
        package="shop",
        syntax="proto3",
        dependency=["shop/messages.proto"],
    )
    service.service.add(name="Shop").method.add(
        name="Ask", input_type=".shop.Box", output_type=".shop.Answer"
    )
    return descriptor_pb2.FileDescriptorSet(file=[service, messages])


READER: DescriptorReader = readers(_files().SerializeToString())["/shop.Shop/Ask"]
ANSWER: Any = READER._response


def _read(**fields: Any) -> dict[str, Any]:
    outputs = READER.read_response(ANSWER(**fields).SerializeToString()).outputs
    return {name: output.array.tolist() for name, output in by_name(outputs).items()}


DEFAULTS = {
    "total": 0.0,
    "vector": [],
    "color": b"RED",
    "by_word.key": [],
    "by_word.value": [],
    "blob": b"",
    "ok": False,
}


def test_default_values_are_there_and_absent_messages_are_not() -> None:
    assert _read() == DEFAULTS


def test_an_optional_scalar_is_there_when_it_is_set_even_to_its_default() -> None:
    assert _read(note="") == {**DEFAULTS, "note": b""}


def test_repeated_numbers_are_an_array_and_nested_fields_have_a_path() -> None:
    found = _read(total=1.5, vector=[1, 2], best={"score": 0.5, "corner": [3], "label": "é"})
    assert found == {
        **DEFAULTS,
        "total": 1.5,
        "vector": [1, 2],
        "best.score": 0.5,
        "best.corner": [3],
        "best.label": "é".encode(),
    }


def test_repeated_messages_become_one_array_a_leaf() -> None:
    found = _read(boxes=[{"score": 1, "corner": [1, 2]}, {"score": 2, "corner": [3, 4]}])
    assert found["boxes.score"] == [1, 2]
    assert found["boxes.corner"] == [[1, 2], [3, 4]]
    assert found["boxes.label"] == [b"", b""]


def test_a_ragged_leaf_of_repeated_messages_is_named_by_index() -> None:
    found = _read(boxes=[{"score": 1, "corner": [1, 2]}, {"score": 2, "corner": [3]}])
    assert found["boxes.score"] == [1, 2]
    assert found["boxes[0].corner"] == [1, 2]
    assert found["boxes[1].corner"] == [3]


def test_a_map_is_sorted_by_its_keys() -> None:
    found = _read(by_word={"pear": 2, "apple": 1})
    assert found["by_word.key"] == [b"apple", b"pear"]
    assert found["by_word.value"] == [1, 2]


def test_enums_are_words_and_unknown_ones_numbers() -> None:
    assert _read(color=1)["color"] == b"BLUE"
    assert _read(color=9)["color"] == b"9"


def test_well_known_types_and_recursion_are_messages_like_others() -> None:
    message = ANSWER(inner={"inner": {"total": 2}})
    message.at.seconds = 5
    outputs = by_name(READER.read_response(message.SerializeToString()).outputs)
    assert outputs["at.seconds"].array == 5
    assert outputs["inner.inner.total"].array == 2.0


def test_a_map_of_messages_is_read_by_leaf() -> None:
    """The Open Inference Protocol's own request, which has one, read by its descriptor."""
    request = open_inference_pb2.ModelInferRequest()
    request.parameters["b"].int64_param = 2
    request.parameters["a"].int64_param = 1
    files = descriptor_pb2.FileDescriptorSet()
    open_inference_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    files.file[0].service.add(name="S").method.add(
        name="M",
        input_type=".shadow.inference.v2.ModelInferRequest",
        output_type=".shadow.inference.v2.ModelInferResponse",
    )
    reader = readers(files.SerializeToString())["/shadow.inference.v2.S/M"]
    outputs = by_name(reader.read_request(request.SerializeToString()).outputs)
    assert outputs["parameters.key"].array.tolist() == [b"a", b"b"]
    assert outputs["parameters.value.int64_param"].array.tolist() == [1, 2]


def test_one_message_may_not_hold_the_observer_for_long() -> None:
    with pytest.raises(UndecodableError, match="more than"):
        READER.read_response(ANSWER(boxes=[{}] * MAX_NODES).SerializeToString())


def test_a_request_is_read_by_its_own_type() -> None:
    box = READER.request(score=2)
    outputs = by_name(READER.read_request(box.SerializeToString()).outputs)
    assert outputs["score"].array == 2


def test_two_sets_that_describe_the_same_names_do_not_meet() -> None:
    assert readers(_files().SerializeToString())["/shop.Shop/Ask"]._response is not ANSWER


def test_generated_messages_of_ours_are_left_alone() -> None:
    files = descriptor_pb2.FileDescriptorSet()
    tensorflow_serving_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    assert readers(files.SerializeToString()) == {}


@pytest.mark.parametrize("keep", [0, 1])
def test_a_descriptor_set_may_come_in_any_order_but_must_be_complete(keep: int) -> None:
    files = _files()
    del files.file[keep]
    if keep == 0:
        assert readers(files.SerializeToString()) == {}
        return
    with pytest.raises(ValueError, match=r"missing: shop/messages\.proto"):
        readers(files.SerializeToString())


def test_descriptors_that_depend_on_each_other_are_refused() -> None:
    files = _files()
    files.file[1].dependency.append("shop/service.proto")
    with pytest.raises(ValueError, match="depend on each other"):
        readers(files.SerializeToString())


def test_a_type_that_is_nowhere_is_refused() -> None:
    files = _files()
    files.file[0].service[0].method[0].output_type = ".shop.Nothing"
    with pytest.raises(ValueError, match="do not fit together"):
        readers(files.SerializeToString())


def test_what_is_no_descriptor_set_is_refused() -> None:
    with pytest.raises(ValueError, match="not a serialized"):
        readers(b"\xff\xff")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_descriptor_set_or_refused(serialized: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(readers(serialized), dict)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_read_or_undecodable(message: bytes) -> None:
    with contextlib.suppress(UndecodableError):
        assert READER.read_response(message).outputs


def test_json_like_structs_are_read() -> None:
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(
        name="s.proto", syntax="proto3", dependency=["google/protobuf/struct.proto"]
    )
    file.service.add(name="S").method.add(
        name="M",
        input_type=".google.protobuf.Struct",
        output_type=".google.protobuf.Struct",
    )
    reader = readers(files.SerializeToString())["/S/M"]
    struct = struct_pb2.Struct()
    struct.update({"b": 2.5, "a": 1})
    outputs = by_name(reader.read_response(struct.SerializeToString()).outputs)
    assert outputs["fields.key"].array.tolist() == [b"a", b"b"]
    assert outputs["fields.value.number_value"].array.tolist() == [1, 2.5]
