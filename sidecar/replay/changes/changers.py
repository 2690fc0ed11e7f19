"""Who changes the requests of a method: it follows from who reads them. Pure."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from sidecar.compare.payload import Reader, UndecodableError
from sidecar.compare.readers.descriptors import DescriptorReader
from sidecar.compare.readers.opaque import OpaqueReader
from sidecar.compare.readers.open_inference import OpenInferenceReader
from sidecar.compare.readers.seldon import SeldonReader
from sidecar.compare.readers.tensorflow_serving import PredictReader
from sidecar.compare.readers.torchserve import TorchServeReader
from sidecar.replay.changes.base import Change, Changed, Changer, Normal
from sidecar.replay.changes.fields import changer_of
from sidecar.replay.changes.open_inference import change_infer
from sidecar.replay.changes.seldon import change_seldon
from sidecar.replay.changes.tensorflow import change_predict
from sidecar.replay.changes.torchserve import change_predictions


def changer(reader: Reader) -> Changer | None:
    """Who changes what this reader reads; None: nobody can."""
    match reader:
        case OpenInferenceReader():
            return change_infer
        case PredictReader():
            return change_predict
        case SeldonReader():
            return change_seldon
        case TorchServeReader():
            return change_predictions
        case DescriptorReader():
            return changer_of(reader.request)
    return None


def why_not(method: str, reader: Reader) -> str:
    """Why nobody can, and what to do."""
    if isinstance(reader, OpaqueReader):
        return f"{method}: its messages cannot be read; tell what they mean: --set \
compare.descriptors=FILE (protoc --descriptor_set_out=FILE --include_imports)"
    return (
        f"{method}: requests of {reader.name} cannot be changed; choose others with "
        f"--where 'method != \"{method}\"'"
    )


def changed(
    by: Changer, change: Change, message: bytes, other: bytes, draws: Normal
) -> Changed | None:
    """Change a request; None also for one that is no message of its protocol."""
    try:
        return by(change, message, other, draws)
    except (DecodeError, UndecodableError):
        return None
