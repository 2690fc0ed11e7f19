"""Parts and calls as messages of `shadow.v1`, and back. Pure.

Counterparts: `report.part`; `protos/shadow/v1/admin.proto`, which says what each field means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from sidecar.experiment.epoch import OutputCounts
from sidecar.experiment.timeline import Bucket, Timeline
from sidecar.judge.block_cells import cells_of, plain_of
from sidecar.judge.counts import CellKey, Coverage, Gap, Snapshot, SnapshotKey
from sidecar.judge.distributions import Distributions
from sidecar.judge.evidence.effective import DistinctInputs
from sidecar.judge.evidence.histogram import Histogram
from sidecar.judge.labels import Label
from sidecar.judge.report import State
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.worst import Example, Note
from sidecar.pb.shadow.v1 import admin_pb2 as pb
from sidecar.report.as_json import to_json
from sidecar.report.part import Away, Part
from sidecar.report.report import Report

STATES: dict[State, pb.State] = {
    State.PASS: pb.STATE_PASS,
    State.FAIL: pb.STATE_FAIL,
    State.WATCHING: pb.STATE_WATCHING,
    State.INCONCLUSIVE: pb.STATE_INCONCLUSIVE,
}
_STATES = {number: state for state, number in STATES.items()}
_RANDOM = re.compile(r"-([0-9a-f]{12})$")  # after a host's name: of a state's file, or of a life


def report_message(report: Report) -> pb.GetReportResponse:
    """A report, and its verdict beside it."""
    return pb.GetReportResponse(
        state=STATES[report.state],
        reason=report.verdict.reason,
        report=ParseDict(to_json(report), Struct()),
    )


def counts_message(part: Part) -> pb.ShadowCounts:
    """Write a part."""
    notes: dict[str, int] = {}
    message = pb.ShadowCounts(
        shadow=part.shadow,
        judge_settings=part.settings.model_dump_json(),
        control_fraction=part.control_fraction,
        observers=part.observers,
        is_past=not part.is_current,
        away_times=part.away.times,
        away_seconds=part.away.seconds,
        away_lost_calls=part.away.lost_calls,
        snapshot=_snapshot_message(part.snapshot),
        outcomes=part.outcomes,
        skipped=part.skipped,
        unread=part.unread,
        notices=part.notices,
        unsure=part.unsure,
        production_latency=_latency_message(part.production_latency),
        shadow_latency=_latency_message(part.shadow_latency),
        control_latency=_latency_message(part.control_latency),
        timeline=pb.Timeline(
            width_seconds=part.timeline.width_seconds,
            buckets=[
                pb.TimelineBucket(unix_seconds=at, **bucket._asdict())
                for at, bucket in sorted(part.timeline.buckets.items())
            ],
        ),
    )
    if part.distributions.count:
        message.distributions = json.dumps(
            part.distributions.to_dict(), separators=(",", ":")
        ).encode()
    for name, counts in part.outputs.items():
        message.outputs.add(
            name=name, agree=counts.agree, differ=counts.differ, largest=counts.largest
        )
    for kind, into in ((part.worst, message.worst), (part.sample, message.sample)):
        for key, examples in kind.items():
            group = into.add(criterion=key.criterion, slice=key.slice)
            for example in examples:
                # One call is often the worst of several cells: it is told once.
                at = notes.get(example.note.identity)
                if at is None:
                    at = notes[example.note.identity] = len(message.notes)
                    message.notes.append(note_message(example.note))
                group.examples.add(magnitude=example.magnitude, rank=example.rank, note=at)
    if part.stands is not None:
        message.stands, message.stands_because = STATES[part.stands[0]], part.stands[1]
    return message


def part_of_message(message: pb.ShadowCounts, source: str) -> Part:
    """Read a part.

    Raises:
        ValueError, IndexError: from a sidecar whose settings or notes this version cannot read.
    """
    notes = [_note(note) for note in message.notes]
    return Part(
        source=source,
        shadow=message.shadow,
        settings=JudgeSettings.model_validate_json(message.judge_settings),
        control_fraction=message.control_fraction,
        snapshot=_snapshot(message.snapshot),
        outcomes=dict(message.outcomes),
        skipped=dict(message.skipped),
        production_latency=_latency(message.production_latency),
        shadow_latency=_latency(message.shadow_latency),
        control_latency=_latency(message.control_latency),
        timeline=Timeline(
            message.timeline.width_seconds or 1,
            {
                b.unix_seconds: Bucket(b.compared, b.differing, b.failed)
                for b in message.timeline.buckets
            },
        ),
        outputs={o.name: OutputCounts(o.agree, dict(o.differ), o.largest) for o in message.outputs},
        unread=dict(message.unread),
        distributions=_distributions(message.distributions),
        notices=tuple(message.notices),
        unsure=message.unsure,
        worst=_examples(message.worst, notes),
        sample=_examples(message.sample, notes),
        stands=(_STATES[message.stands], message.stands_because) if message.stands else None,
        is_current=not message.is_past,
        away=Away(message.away_times, message.away_seconds, message.away_lost_calls),
        observers=message.observers or 1,
    )


def _snapshot_message(snapshot: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        instance=snapshot.key.instance,
        epoch=snapshot.key.epoch,
        sequence=snapshot.sequence,
        rules=snapshot.rules,
        models=snapshot.models,
        began_unix_ns=snapshot.began_unix_ns,
        elapsed_ns=snapshot.elapsed_ns,
        calls=snapshot.calls,
        compared=snapshot.coverage.compared,
        eligible=snapshot.coverage.eligible,
        blind=snapshot.coverage.blind,
        unsettled=snapshot.coverage.unsettled,
        bytes=snapshot.coverage.bytes,
        unreadable_bytes=snapshot.coverage.unreadable,
        cells=[
            pb.Cell(criterion=key.criterion, slice=key.slice, counts=cell)
            for key, cell in snapshot.cells.items()
        ],
        events=snapshot.events,
        blocks=json.dumps(plain_of(snapshot.blocks)).encode(),
        lost=snapshot.lost,
        inputs=snapshot.inputs.to_bytes(),
        attempt=snapshot.attempt,
        since_unix_ns=snapshot.since_unix_ns,
        life=snapshot.life,
        gaps=[pb.Gap(from_unix_ns=a, to_unix_ns=b) for a, b in snapshot.gaps],
    )


def counted_by(instance: str) -> str:
    """What names counts among all: the random part alone, where there is one.

    A state on a volume is the same whatever its pod is called now, and is counted once.
    """
    found = _RANDOM.search(instance)
    return found[1] if found else instance


def _snapshot(message: pb.Snapshot) -> Snapshot:
    return Snapshot(
        key=SnapshotKey(counted_by(message.instance), message.epoch),
        sequence=message.sequence,
        rules=message.rules,
        models=dict(message.models),
        began_unix_ns=message.began_unix_ns,
        elapsed_ns=message.elapsed_ns,
        calls=message.calls,
        coverage=Coverage(
            message.compared,
            message.eligible,
            message.blind,
            message.unsettled,
            message.bytes,
            message.unreadable_bytes,
        ),
        cells={CellKey(c.criterion, c.slice): dict(c.counts) for c in message.cells},
        events=dict(message.events),
        blocks=cells_of(json.loads(message.blocks or b"[]")),
        lost=dict(message.lost),
        inputs=DistinctInputs.from_bytes(message.inputs),
        attempt=message.attempt,
        since_unix_ns=message.since_unix_ns,
        life=message.life or message.instance,
        gaps=tuple(Gap(gap.from_unix_ns, gap.to_unix_ns) for gap in message.gaps),
    )


def _distributions(data: bytes) -> Distributions:
    try:
        return Distributions.from_dict(json.loads(data or b"{}"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"distributions: {error!r}") from None


def _latency_message(histogram: Histogram) -> pb.Latency:
    return pb.Latency(buckets=histogram.counts, total_ns=histogram.total_ns)


def _latency(message: pb.Latency) -> Histogram:
    return Histogram.of(message.buckets, message.total_ns)


def note_message(note: Note) -> pb.Note:
    """Write one call worth a look."""
    return pb.Note(
        correlation_id=note.identity,
        unix_ns=note.unix_ns,
        method=note.method,
        trace_id=note.trace_ids[0],
        shadow_trace_id=note.trace_ids[1],
        outcome=note.outcome,
        outputs=[
            pb.OutputDifference(
                name=name, outcome=outcome, score=score, production=values[0], shadow=values[1]
            )
            for (name, outcome, score), values in zip(
                note.outputs, note.values or repeat((None, None)), strict=False
            )
        ],
        detail=note.detail,
        production_latency_ns=note.latencies_ns[0],
        shadow_latency_ns=note.latencies_ns[1],
        inputs=[pb.InputValue(name=name, value=value) for name, value in note.inputs],
    )


def _note(message: pb.Note) -> Note:
    return Note(
        identity=message.correlation_id,
        unix_ns=message.unix_ns,
        method=message.method,
        trace_ids=(message.trace_id, message.shadow_trace_id),
        outcome=message.outcome,
        outputs=tuple((o.name, o.outcome, o.score) for o in message.outputs),
        detail=message.detail,
        latencies_ns=(message.production_latency_ns, message.shadow_latency_ns),
        values=tuple((o.production, o.shadow) for o in message.outputs if o.HasField("production")),
        inputs=tuple((i.name, i.value) for i in message.inputs),
    )


def _examples(
    groups: Iterable[pb.Examples], notes: Sequence[Note]
) -> Mapping[CellKey, Sequence[Example]]:
    return {
        CellKey(group.criterion, group.slice): [
            Example(e.magnitude, e.rank, notes[e.note]) for e in group.examples
        ]
        for group in groups
    }


def label_message(label: Label) -> pb.Label:
    """Write a label."""
    message = pb.Label(
        correlation_id=label.correlation_id, weight=label.weight, unix_ns=label.time_ns
    )
    _write_value(message.value, label.value)
    return message


def _write_value(into: Any, value: Any) -> None:
    if isinstance(value, (list, tuple)):
        into.list_value.SetInParent()
        for item in value:
            _write_value(into.list_value.values.add(), item)
    elif isinstance(value, str):
        into.string_value = value
    else:
        into.number_value = value


def label_of_message(message: pb.Label) -> Label:
    """Read a label.

    Raises:
        ValueError: no correlation id, a value that is no number, text or list of them (of lists),
            or a weight that is not above 0 and at most 1.
    """
    if not message.correlation_id:
        raise ValueError("a label needs a correlation id")
    value = MessageToDict(message.value) if message.HasField("value") else None
    return Label(
        correlation_id=message.correlation_id,
        value=label_value(value),
        weight=message.weight or 1.0,
        time_ns=message.unix_ns,
    )


def label_value(value: Any, depth: int = 0) -> Any:
    """Check a label's value; True and False become 1 and 0.

    Raises:
        ValueError: for anything but numbers, text, and lists of them two deep.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float, str)):
        return value
    if isinstance(value, (list, tuple)) and depth < 2:
        return [label_value(item, depth + 1) for item in value]
    raise ValueError(f"a label is a number, text, or a list of them, not {type(value).__name__}")
