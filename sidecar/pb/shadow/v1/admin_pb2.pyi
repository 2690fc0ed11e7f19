from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_PASS: _ClassVar[State]
    STATE_FAIL: _ClassVar[State]
    STATE_WATCHING: _ClassVar[State]
    STATE_INCONCLUSIVE: _ClassVar[State]
STATE_UNSPECIFIED: State
STATE_PASS: State
STATE_FAIL: State
STATE_WATCHING: State
STATE_INCONCLUSIVE: State

class GetReportRequest(_message.Message):
    __slots__ = ("shadow",)
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    def __init__(self, shadow: _Optional[str] = ...) -> None: ...

class GetReportResponse(_message.Message):
    __slots__ = ("state", "reason", "report")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    state: State
    reason: str
    report: _struct_pb2.Struct
    def __init__(self, state: _Optional[_Union[State, str]] = ..., reason: _Optional[str] = ..., report: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class GetCountsRequest(_message.Message):
    __slots__ = ("shadow",)
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    def __init__(self, shadow: _Optional[str] = ...) -> None: ...

class GetCountsResponse(_message.Message):
    __slots__ = ("shadows",)
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    shadows: _containers.RepeatedCompositeFieldContainer[ShadowCounts]
    def __init__(self, shadows: _Optional[_Iterable[_Union[ShadowCounts, _Mapping]]] = ...) -> None: ...

class ShadowCounts(_message.Message):
    __slots__ = ("shadow", "judge_settings", "control_fraction", "snapshot", "outcomes", "skipped", "production_latency", "shadow_latency", "timeline", "notes", "worst", "sample", "stands", "stands_because", "outputs", "unread", "control_latency", "notices", "is_past", "away_times", "away_seconds", "away_lost_calls", "unsure", "distributions", "observers")
    class OutcomesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SkippedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class UnreadEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    JUDGE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_LATENCY_FIELD_NUMBER: _ClassVar[int]
    SHADOW_LATENCY_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    STANDS_FIELD_NUMBER: _ClassVar[int]
    STANDS_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    CONTROL_LATENCY_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    IS_PAST_FIELD_NUMBER: _ClassVar[int]
    AWAY_TIMES_FIELD_NUMBER: _ClassVar[int]
    AWAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    AWAY_LOST_CALLS_FIELD_NUMBER: _ClassVar[int]
    UNSURE_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    OBSERVERS_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    judge_settings: str
    control_fraction: float
    snapshot: Snapshot
    outcomes: _containers.ScalarMap[str, int]
    skipped: _containers.ScalarMap[str, int]
    production_latency: Latency
    shadow_latency: Latency
    timeline: Timeline
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    worst: _containers.RepeatedCompositeFieldContainer[Examples]
    sample: _containers.RepeatedCompositeFieldContainer[Examples]
    stands: State
    stands_because: str
    outputs: _containers.RepeatedCompositeFieldContainer[OutputCounts]
    unread: _containers.ScalarMap[str, int]
    control_latency: Latency
    notices: _containers.RepeatedScalarFieldContainer[str]
    is_past: bool
    away_times: int
    away_seconds: float
    away_lost_calls: float
    unsure: str
    distributions: bytes
    observers: int
    def __init__(self, shadow: _Optional[str] = ..., judge_settings: _Optional[str] = ..., control_fraction: _Optional[float] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., skipped: _Optional[_Mapping[str, int]] = ..., production_latency: _Optional[_Union[Latency, _Mapping]] = ..., shadow_latency: _Optional[_Union[Latency, _Mapping]] = ..., timeline: _Optional[_Union[Timeline, _Mapping]] = ..., notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ..., worst: _Optional[_Iterable[_Union[Examples, _Mapping]]] = ..., sample: _Optional[_Iterable[_Union[Examples, _Mapping]]] = ..., stands: _Optional[_Union[State, str]] = ..., stands_because: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[OutputCounts, _Mapping]]] = ..., unread: _Optional[_Mapping[str, int]] = ..., control_latency: _Optional[_Union[Latency, _Mapping]] = ..., notices: _Optional[_Iterable[str]] = ..., is_past: _Optional[bool] = ..., away_times: _Optional[int] = ..., away_seconds: _Optional[float] = ..., away_lost_calls: _Optional[float] = ..., unsure: _Optional[str] = ..., distributions: _Optional[bytes] = ..., observers: _Optional[int] = ...) -> None: ...

class OutputCounts(_message.Message):
    __slots__ = ("name", "agree", "differ", "largest")
    class DifferEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    AGREE_FIELD_NUMBER: _ClassVar[int]
    DIFFER_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    agree: int
    differ: _containers.ScalarMap[str, int]
    largest: float
    def __init__(self, name: _Optional[str] = ..., agree: _Optional[int] = ..., differ: _Optional[_Mapping[str, int]] = ..., largest: _Optional[float] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("instance", "epoch", "sequence", "rules", "models", "began_unix_ns", "elapsed_ns", "calls", "compared", "eligible", "cells", "events", "blind", "blocks", "lost", "unsettled", "bytes", "unreadable_bytes", "inputs", "attempt", "since_unix_ns", "life", "gaps")
    class ModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class EventsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LostEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    BEGAN_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_NS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BLIND_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    instance: str
    epoch: int
    sequence: int
    rules: str
    models: _containers.ScalarMap[str, str]
    began_unix_ns: int
    elapsed_ns: int
    calls: int
    compared: int
    eligible: int
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    events: _containers.ScalarMap[str, int]
    blind: int
    blocks: bytes
    lost: _containers.ScalarMap[str, int]
    unsettled: int
    bytes: int
    unreadable_bytes: int
    inputs: bytes
    attempt: int
    since_unix_ns: int
    life: str
    gaps: _containers.RepeatedCompositeFieldContainer[Gap]
    def __init__(self, instance: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., rules: _Optional[str] = ..., models: _Optional[_Mapping[str, str]] = ..., began_unix_ns: _Optional[int] = ..., elapsed_ns: _Optional[int] = ..., calls: _Optional[int] = ..., compared: _Optional[int] = ..., eligible: _Optional[int] = ..., cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ..., events: _Optional[_Mapping[str, int]] = ..., blind: _Optional[int] = ..., blocks: _Optional[bytes] = ..., lost: _Optional[_Mapping[str, int]] = ..., unsettled: _Optional[int] = ..., bytes: _Optional[int] = ..., unreadable_bytes: _Optional[int] = ..., inputs: _Optional[bytes] = ..., attempt: _Optional[int] = ..., since_unix_ns: _Optional[int] = ..., life: _Optional[str] = ..., gaps: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("from_unix_ns", "to_unix_ns")
    FROM_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    TO_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    from_unix_ns: int
    to_unix_ns: int
    def __init__(self, from_unix_ns: _Optional[int] = ..., to_unix_ns: _Optional[int] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("criterion", "slice", "counts")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CRITERION_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    criterion: str
    slice: str
    counts: _containers.ScalarMap[str, float]
    def __init__(self, criterion: _Optional[str] = ..., slice: _Optional[str] = ..., counts: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Latency(_message.Message):
    __slots__ = ("buckets", "total_ns")
    class BucketsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_NS_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.ScalarMap[int, int]
    total_ns: int
    def __init__(self, buckets: _Optional[_Mapping[int, int]] = ..., total_ns: _Optional[int] = ...) -> None: ...

class Timeline(_message.Message):
    __slots__ = ("width_seconds", "buckets")
    WIDTH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    width_seconds: int
    buckets: _containers.RepeatedCompositeFieldContainer[TimelineBucket]
    def __init__(self, width_seconds: _Optional[int] = ..., buckets: _Optional[_Iterable[_Union[TimelineBucket, _Mapping]]] = ...) -> None: ...

class TimelineBucket(_message.Message):
    __slots__ = ("unix_seconds", "compared", "differing", "failed")
    UNIX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    unix_seconds: int
    compared: int
    differing: int
    failed: int
    def __init__(self, unix_seconds: _Optional[int] = ..., compared: _Optional[int] = ..., differing: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("correlation_id", "unix_ns", "method", "trace_id", "shadow_trace_id", "outcome", "outputs", "detail", "production_latency_ns", "shadow_latency_ns", "inputs")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SHADOW_TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_LATENCY_NS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_LATENCY_NS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    unix_ns: int
    method: str
    trace_id: str
    shadow_trace_id: str
    outcome: str
    outputs: _containers.RepeatedCompositeFieldContainer[OutputDifference]
    detail: str
    production_latency_ns: int
    shadow_latency_ns: int
    inputs: _containers.RepeatedCompositeFieldContainer[InputValue]
    def __init__(self, correlation_id: _Optional[str] = ..., unix_ns: _Optional[int] = ..., method: _Optional[str] = ..., trace_id: _Optional[str] = ..., shadow_trace_id: _Optional[str] = ..., outcome: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[OutputDifference, _Mapping]]] = ..., detail: _Optional[str] = ..., production_latency_ns: _Optional[int] = ..., shadow_latency_ns: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[InputValue, _Mapping]]] = ...) -> None: ...

class OutputDifference(_message.Message):
    __slots__ = ("name", "outcome", "score", "production", "shadow")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: str
    score: float
    production: str
    shadow: str
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[str] = ..., score: _Optional[float] = ..., production: _Optional[str] = ..., shadow: _Optional[str] = ...) -> None: ...

class InputValue(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Examples(_message.Message):
    __slots__ = ("criterion", "slice", "examples")
    CRITERION_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    criterion: str
    slice: str
    examples: _containers.RepeatedCompositeFieldContainer[Example]
    def __init__(self, criterion: _Optional[str] = ..., slice: _Optional[str] = ..., examples: _Optional[_Iterable[_Union[Example, _Mapping]]] = ...) -> None: ...

class Example(_message.Message):
    __slots__ = ("magnitude", "rank", "note")
    MAGNITUDE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    magnitude: float
    rank: int
    note: int
    def __init__(self, magnitude: _Optional[float] = ..., rank: _Optional[int] = ..., note: _Optional[int] = ...) -> None: ...

class WatchPairsRequest(_message.Message):
    __slots__ = ("shadow", "agreeing")
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    AGREEING_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    agreeing: bool
    def __init__(self, shadow: _Optional[str] = ..., agreeing: _Optional[bool] = ...) -> None: ...

class WatchPairsResponse(_message.Message):
    __slots__ = ("shadow", "pair", "dropped")
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    pair: Note
    dropped: int
    def __init__(self, shadow: _Optional[str] = ..., pair: _Optional[_Union[Note, _Mapping]] = ..., dropped: _Optional[int] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("correlation_id", "value", "weight", "unix_ns")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    value: _struct_pb2.Value
    weight: float
    unix_ns: int
    def __init__(self, correlation_id: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., weight: _Optional[float] = ..., unix_ns: _Optional[int] = ...) -> None: ...

class RecordLabelsRequest(_message.Message):
    __slots__ = ("shadow", "labels")
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, shadow: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class RecordLabelsResponse(_message.Message):
    __slots__ = ("shadows",)
    class ShadowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: LabelCounts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[LabelCounts, _Mapping]] = ...) -> None: ...
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    shadows: _containers.MessageMap[str, LabelCounts]
    def __init__(self, shadows: _Optional[_Mapping[str, LabelCounts]] = ...) -> None: ...

class LabelCounts(_message.Message):
    __slots__ = ("joined", "early", "late", "unmatched", "duplicate", "unusable", "why")
    JOINED_FIELD_NUMBER: _ClassVar[int]
    EARLY_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    UNUSABLE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    joined: int
    early: int
    late: int
    unmatched: int
    duplicate: int
    unusable: int
    why: _containers.RepeatedCompositeFieldContainer[UnusableLabel]
    def __init__(self, joined: _Optional[int] = ..., early: _Optional[int] = ..., late: _Optional[int] = ..., unmatched: _Optional[int] = ..., duplicate: _Optional[int] = ..., unusable: _Optional[int] = ..., why: _Optional[_Iterable[_Union[UnusableLabel, _Mapping]]] = ...) -> None: ...

class UnusableLabel(_message.Message):
    __slots__ = ("correlation_id", "why")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    why: str
    def __init__(self, correlation_id: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class WantedLabelsRequest(_message.Message):
    __slots__ = ("shadow", "most")
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    shadow: str
    most: int
    def __init__(self, shadow: _Optional[str] = ..., most: _Optional[int] = ...) -> None: ...

class WantedLabelsResponse(_message.Message):
    __slots__ = ("correlation_ids",)
    CORRELATION_IDS_FIELD_NUMBER: _ClassVar[int]
    correlation_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, correlation_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SetPolicyRequest(_message.Message):
    __slots__ = ("sample", "paused", "end", "shadow", "calls_per_second", "bytes_per_second")
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    sample: float
    paused: bool
    end: bool
    shadow: str
    calls_per_second: float
    bytes_per_second: float
    def __init__(self, sample: _Optional[float] = ..., paused: _Optional[bool] = ..., end: _Optional[bool] = ..., shadow: _Optional[str] = ..., calls_per_second: _Optional[float] = ..., bytes_per_second: _Optional[float] = ...) -> None: ...

class SetPolicyResponse(_message.Message):
    __slots__ = ("sample", "paused", "ended", "rates", "needs_restart", "refused")
    class RatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Rate
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Rate, _Mapping]] = ...) -> None: ...
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    NEEDS_RESTART_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    sample: float
    paused: bool
    ended: bool
    rates: _containers.MessageMap[str, Rate]
    needs_restart: _containers.RepeatedScalarFieldContainer[str]
    refused: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sample: _Optional[float] = ..., paused: _Optional[bool] = ..., ended: _Optional[bool] = ..., rates: _Optional[_Mapping[str, Rate]] = ..., needs_restart: _Optional[_Iterable[str]] = ..., refused: _Optional[_Iterable[str]] = ...) -> None: ...

class ListSkippedRequest(_message.Message):
    __slots__ = ("reason", "most", "after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    most: int
    after: int
    def __init__(self, reason: _Optional[str] = ..., most: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class ListSkippedResponse(_message.Message):
    __slots__ = ("skipped",)
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    skipped: _containers.RepeatedCompositeFieldContainer[SkippedCall]
    def __init__(self, skipped: _Optional[_Iterable[_Union[SkippedCall, _Mapping]]] = ...) -> None: ...

class SkippedCall(_message.Message):
    __slots__ = ("number", "unix_ns", "reason", "step", "receiver", "method", "trace_id", "correlation_id")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    number: int
    unix_ns: int
    reason: str
    step: str
    receiver: str
    method: str
    trace_id: str
    correlation_id: str
    def __init__(self, number: _Optional[int] = ..., unix_ns: _Optional[int] = ..., reason: _Optional[str] = ..., step: _Optional[str] = ..., receiver: _Optional[str] = ..., method: _Optional[str] = ..., trace_id: _Optional[str] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class Rate(_message.Message):
    __slots__ = ("calls_per_second", "bytes_per_second")
    CALLS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    calls_per_second: float
    bytes_per_second: float
    def __init__(self, calls_per_second: _Optional[float] = ..., bytes_per_second: _Optional[float] = ...) -> None: ...
