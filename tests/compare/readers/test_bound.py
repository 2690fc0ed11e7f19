from __future__ import annotations

from types import SimpleNamespace

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from sidecar.compare.comparer import _read
from sidecar.compare.payload import MAX_OUTPUTS, Reader, UndecodableError
from sidecar.compare.readers.bound import MAX_MESSAGES, check
from sidecar.compare.readers.descriptors import DescriptorReader
from sidecar.compare.readers.open_inference import OpenInferenceReader, OpenInferenceStreamReader
from sidecar.compare.readers.protocols import READERS
from sidecar.compare.readers.seldon import SeldonReader
from sidecar.compare.readers.tensorflow_serving import (
    ClassifyReader,
    PredictReader,
    RegressReader,
)
from sidecar.compare.readers.torchserve import TorchServeReader
from sidecar.pb.inference import open_inference_pb2 as oip
from sidecar.pb.inference import seldon_pb2 as seldon
from sidecar.pb.inference import tensorflow_serving_pb2 as tf

MANY = MAX_MESSAGES + 1


def field(number: int, content: bytes) -> bytes:
    """A field that is told by its length."""
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


TOO_MANY: list[tuple[Reader, bytes]] = [
    (OpenInferenceReader(), field(5, b"") * MANY),
    (OpenInferenceReader(), field(5, field(4, b"") * MANY)),  # one output's parameters
    (OpenInferenceReader(), field(5, b"") * MANY + b"\xff"),  # cut off at the end
    (OpenInferenceStreamReader(), field(5, b"") * MANY),
    (OpenInferenceStreamReader(), field(2, field(5, b"") * MANY)),
    (PredictReader(), field(1, b"") * MANY),
    (PredictReader(), field(1, field(2, field(2, field(2, b"") * MANY)))),  # dimensions
    (ClassifyReader(), field(1, field(1, field(1, b"") * MANY))),
    (RegressReader(), field(1, field(1, b"") * MANY)),
    (SeldonReader(), field(3, field(3, field(1, b"") * MANY))),
    (TorchServeReader(), field(3, b"") * MANY),
    (DescriptorReader(oip.ModelInferRequest, oip.ModelInferResponse), field(5, b"") * MANY),
]


def test_every_reader_is_asked() -> None:
    asked = {type(reader) for reader, _ in TOO_MANY}
    assert {type(reader) for reader in READERS.values()} <= asked


@pytest.mark.parametrize(("reader", "message"), TOO_MANY)
def test_too_many_messages_are_refused_before_any_is_made(reader: Reader, message: bytes) -> None:
    with pytest.raises(UndecodableError, match="more than 100000 messages in one"):
        reader.read_response(message)


@pytest.mark.parametrize(
    "message",
    [
        oip.ModelInferResponse(
            outputs=[oip.ModelInferResponse.InferOutputTensor(name="a" * 99)] * 4000,
            raw_output_contents=[b"\x2a" * 99] * 4000,
        ),
        oip.ModelInferResponse(raw_output_contents=[b"\x2a\x00" * (MANY * 2)]),
        tf.PredictResponse(outputs={"y": tf.TensorProto(float_val=[1.0] * MANY)}),
        seldon.SeldonMessage(binData=b"\x1a\x00" * MANY),
    ],
)
def test_what_is_large_and_has_few_messages_is_let_through(message: Message) -> None:
    check(type(message), message.SerializeToString())


def test_fields_of_any_kind_are_stepped_over() -> None:
    odd = b"\x08\xff\xff\x01" + b"\x09" + b"x" * 8 + b"\x0d" + b"x" * 4 + b"\x0b\x0c"
    few, many = field(5, b"") * MAX_MESSAGES, field(5, b"") * MANY
    check(oip.ModelInferResponse, field(3, odd) + few)
    with pytest.raises(UndecodableError):
        check(oip.ModelInferResponse, odd + many)


@pytest.mark.parametrize("junk", [b"\x07", b"\xff" * 20, b"\x2a\xff\xff\xff\xff\x7f", b"\x09"])
def test_what_is_malformed_is_left_to_the_parser(junk: bytes) -> None:
    text = field(3, b"x" * 3 * MANY)
    check(oip.ModelInferResponse, text + junk)
    with pytest.raises(UndecodableError, match="not a message"):
        OpenInferenceReader().read_response(text + junk)


def test_fields_beyond_all_measure_are_refused() -> None:
    with pytest.raises(UndecodableError, match="more than 1000000 fields"):
        check(oip.ModelInferResponse, field(6, b"") * 1_000_001)


def test_more_outputs_than_are_compared_are_not_read() -> None:
    message = field(5, b"") * (MAX_OUTPUTS + 1)
    with pytest.raises(UndecodableError, match=r"^4097 outputs$"):
        OpenInferenceReader().read_response(message)


def test_of_what_cannot_be_read_nothing_is_held() -> None:
    def refuse(_: bytes) -> None:
        raise UndecodableError("why")

    found = _read(SimpleNamespace(read_response=refuse), b"")
    assert isinstance(found, UndecodableError)
    assert (str(found), found.__traceback__) == ("why", None)


@pytest.mark.parametrize("reader", {type(reader): reader for reader, _ in TOO_MANY}.values())
@given(message=st.binary(max_size=300) | st.binary(max_size=80).map(lambda b: field(3, b)))
def test_any_bytes_are_read_or_undecodable(reader: Reader, message: bytes) -> None:
    for read in (reader.read_response, reader.read_request):
        try:
            decoded = read(message)
        except UndecodableError:
            continue
        assert isinstance(decoded.outputs, tuple)
