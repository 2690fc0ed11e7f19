"""One connection, both directions: bytes in, events of calls out.

Rule: header blocks are decoded for every stream, because HPACK's state runs through all of them;
anything else is kept for wanted calls only, and a call that is not wanted leaves no trace. Calls
that the wire left out are told of together where they come together: beside a busy production they
are nearly all. What
cannot be read makes the connection *opaque*, what was not copied makes it *blind*; both end its
calls as lost and last until it closes. As long as copies come, its further calls are told of, as
not legible: where frames begin is known without HPACK. Nothing raises, except what `wants` raises.

    open ──(not HTTP/2, HPACK broken, a bound exceeded)──▶ opaque
    open ──(bytes missing that are not DATA)─────────────▶ blind
    any  ──(close)───────────────────────────────────────▶ closed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from sidecar.call import CallKey, Direction, Event, Lost, Requested, SkipReason, Started
from sidecar.http2.budget import Budget
from sidecar.http2.exchange import Exchange
from sidecar.http2.frames import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    Frame,
    FrameError,
    FrameReader,
    Position,
)
from sidecar.http2.headers import HeaderDecoder, HeaderError
from sidecar.http2.heads import RequestHead, ResponseHead, request_head, response_head
from sidecar.http2.limits import ReadLimits
from sidecar.observe.follower import Follower
from sidecar.observe.timing import MOST_OPEN, Timing

State: TypeAlias = Literal["open", "opaque", "blind", "closed"]

SETTINGS_HEADER_TABLE_SIZE = 1
_MAX_UNSAMPLED = 1 << 16  # announced streams whose HEADERS did not come yet


class Connection:
    """Reads one observed connection from its first byte."""

    def __init__(
        self,
        conn: int,
        peer: str,
        wants: Callable[[Started], bool],
        limits: ReadLimits = ReadLimits(),  # noqa: B008 - frozen
        budget: Budget | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Args:
        conn: the wire's number for the connection.
        peer: the client's address.
        wants: is told of every call when its request's head has been read, and answers whether
            its events are wanted. It is what bounds the number of calls held. It may forget
            other calls, and must not call anything else here. Of a call that is not sampled or
            not legible nothing more is said, whatever it answers.
        limits: what may be held of one call.
        budget: what may be held of all of them, and for header tables.
        timing: told how long production takes for calls of some slices of time.
        """
        self.conn = conn
        self.peer = peer
        self._wants = wants
        self._limits = limits
        self._state: State = "open"
        self._why = ""
        self._calls: dict[int, Exchange] = {}
        self._budget = budget or Budget()
        self._calls_held = 0
        self._frames_held = self._tables_held = 0  # of the budget, beside what calls hold
        self._begin_reading(limits.max_header_bytes)
        self._last_stream = 0
        self.calls = 0  # that were seen
        self.reported = False  # whether the wire was told that it cannot be read
        self._last_processed = 1 << 31  # as the server's GOAWAY says
        self._unsampled: set[int] = set()
        self._timing = timing or Timing()
        self._timed: dict[int, tuple[int, int]] = {}  # streams, their slices and when they began
        self._follower: Follower | None = None  # of calls that cannot be read

    @property
    def state(self) -> State:
        """Whether the connection is being read, and if not, why not."""
        return self._state

    @property
    def why(self) -> str:
        """What made the connection opaque or blind, "" while it is open."""
        return self._why

    @property
    def buffered_bytes(self) -> int:
        """Bytes held: messages and metadata of calls in flight, unfinished frames and blocks."""
        return self._calls_held + self._client.held + self._server.held

    def feed(self, direction: Direction, data: bytes | memoryview, now_ns: int) -> list[Event]:
        """Take the next bytes of one direction."""
        events: list[Event] = []
        if self._state != "open":
            if self._follower is not None and direction == Direction.CLIENT:
                self._follow(self._follower, data, now_ns)
            return events
        position = self._client.position
        frames: list[Frame] = []
        try:
            if direction == Direction.CLIENT:
                try:
                    self._client.read(data, frames)
                finally:  # what came before an error counts
                    self._read_client(frames, now_ns, events)
            else:
                try:
                    self._server.read(data, frames)
                finally:
                    self._read_server(frames, now_ns, events)
        except (FrameError, HeaderError) as error:
            events += self._unreadable("opaque", str(error), position)
            if self._follower is not None:
                # What was read of these bytes is told apart by its stream's number.
                self._follow(self._follower, data if direction == Direction.CLIENT else b"", now_ns)
            return events
        unfinished = self._client.held + self._server.held
        if unfinished != self._frames_held:
            self._budget.held += unfinished - self._frames_held
            self._frames_held = unfinished
        tables = self._requests.held + self._responses.held
        if tables != self._tables_held:
            budget, more = self._budget, tables - self._tables_held
            self._tables_held = tables
            budget.held += more
            budget.tables += more
            if more > 0 and budget.tables_full:
                position = self._client.position
                events += self._unreadable("blind", "no room for its header tables", position)
        return events

    def gap(self, direction: Direction, size: int, now_ns: int) -> list[Event]:
        """The next `size` bytes of one direction were not copied."""
        del now_ns  # a lost call has no times
        if self._follower is not None and direction == Direction.CLIENT:
            self._follower.gap(size)
        if self._state != "open" or not size:
            return []
        reader = self._client if direction == Direction.CLIENT else self._server
        try:
            stream = reader.gap(size)
        except FrameError as error:
            return self.lose_sight("blind", str(error))
        call = self._calls.get(stream)
        if call is None:
            return []
        self._drop(stream, call)
        return [Lost(call.key, SkipReason.TAP_GAP)]

    def unsampled(self, streams: Sequence[int]) -> list[Event]:
        """The wire leaves out the DATA of these streams, whose HEADERS come next."""
        if self._state != "open" and self._follower is None:
            return []
        last = self._last_stream
        self._unsampled.update([stream for stream in streams if stream > last])
        if len(self._unsampled) > _MAX_UNSAMPLED:
            if self._follower is None:
                return self._unreadable(
                    "blind", "too many streams announced", self._client.position
                )
            self._unsampled.clear()
        return []

    def close(self, by: Direction, how: str, now_ns: int) -> list[Event]:
        """The connection has ended, by `by` first.

        `how`, "eof" or "reset", makes no difference to its calls: a client that went away gave
        them up, and a server that went away has answered them, in its client's eyes UNAVAILABLE.
        """
        calls = self._end("closed", how)
        if by == Direction.CLIENT:
            return [Lost(call.key, SkipReason.CANCELLED) for call in calls]
        return [call.server_gone(now_ns) for call in calls]

    def lose_sight(self, state: Literal["opaque", "blind"], why: str) -> list[Event]:
        """Nothing more can be read here: the wire said so, or it was found out."""
        return [Lost(call.key, SkipReason.BLIND) for call in self._end(state, why)]

    def _unreadable(
        self, state: Literal["opaque", "blind"], why: str, position: Position
    ) -> list[Event]:
        """Nothing more can be read, but copies go on to come: the client stands at `position`."""
        announced, greeted = self._unsampled, self._client.greeted
        lost = self.lose_sight(state, why)
        if greeted:
            self._unsampled = announced
            self._follower = Follower(position, self._last_stream)
        return lost

    def _follow(self, follower: Follower, data: bytes | memoryview, now_ns: int) -> None:
        for stream in follower.feed(data):
            self._last_stream = stream
            self.calls += 1
            sampled = stream not in self._unsampled
            self._unsampled.discard(stream)
            key = CallKey(self.conn, stream)
            self._wants(
                Started(key, "", "", (), self.peer, now_ns, None, sampled=sampled, legible=False)
            )

    def forget(self, key: CallKey) -> None:
        """Stop collecting a call; nothing more is said about it."""
        call = self._calls.get(key.stream)
        if call is not None and key.connection == self.conn:
            self._drop(key.stream, call)

    def _end(self, state: State, why: str) -> list[Exchange]:
        """Let go of everything; the calls that were in flight."""
        calls = list(self._calls.values())
        self._calls.clear()
        self._budget.held -= self._calls_held + self._frames_held + self._tables_held
        self._budget.tables -= self._tables_held
        self._calls_held = self._frames_held = self._tables_held = 0
        self._unsampled = set()
        self._timed.clear()
        self._follower = None
        self._begin_reading(0)
        self._state, self._why = state, why
        return calls

    def _begin_reading(self, max_header_bytes: int) -> None:
        self._client = FrameReader(PREFACE, max_header_bytes)
        self._server = FrameReader(b"", max_header_bytes)
        self._requests = HeaderDecoder(request_head, max_header_bytes)
        self._responses = HeaderDecoder(response_head, max_header_bytes)

    def _drop(self, stream: int, call: Exchange) -> None:
        del self._calls[stream]
        self._hold(-call.held)

    def _hold(self, more: int) -> None:
        self._calls_held += more
        self._budget.held += more

    def _read_client(self, frames: list[Frame], now_ns: int, events: list[Event]) -> None:
        alike: RequestHead | None = None  # of the calls that were left out, and came last
        first = calls = 0
        try:
            for kind, flags, stream, payload in frames:
                if kind == HEADERS and stream in self._unsampled and stream > self._last_stream:
                    head = self._requests.decode(payload)
                    self._last_stream = stream
                    self._unsampled.discard(stream)
                    if self._timing.is_on:
                        self._time(stream, now_ns)
                    if head is not alike:
                        self._left_out(alike, first, calls, now_ns)
                        alike, first, calls = head, stream, 0
                    calls += 1
                else:
                    self._client_frame(kind, flags, stream, payload, now_ns, events)
        finally:  # what came before an error counts
            self._left_out(alike, first, calls, now_ns)

    def _left_out(self, head: RequestHead | None, first: int, calls: int, now_ns: int) -> None:
        """Tell of calls whose DATA the wire did not copy."""
        if head is not None:
            self.calls += calls
            self._wants(self._started(head, first, now_ns, False, calls))

    def _client_frame(
        self,
        kind: int,
        flags: int,
        stream: int,
        payload: bytes | memoryview,
        now_ns: int,
        events: list[Event],
    ) -> None:
        if kind == DATA:
            call = self._calls.get(stream)
            if call is not None:
                held = call.held
                event = call.request_data(payload, flags == END_STREAM, now_ns)
                self._tell(stream, call, held, event, events)
        elif kind == HEADERS:
            self._client_headers(stream, flags, payload, now_ns, events)
        elif kind == RST_STREAM:
            call = self._calls.get(stream)
            if call is not None:
                lost = Lost(call.key, SkipReason.CANCELLED)
                self._tell(stream, call, call.held, lost, events)
        elif kind == SETTINGS and not flags & ACK:
            _allow_table(self._responses, payload)
        elif kind == PUSH_PROMISE:
            raise FrameError("a client that pushes")

    def _client_headers(
        self,
        stream: int,
        flags: int,
        block: bytes | memoryview,
        now_ns: int,
        events: list[Event],
    ) -> None:
        head = self._requests.decode(block)
        if stream > self._last_stream:
            self._last_stream = stream
            call = self._begin(stream, head, now_ns, events)
        else:
            call = self._calls.get(stream)
        if call is not None and flags & END_STREAM:
            held = call.held
            self._tell(stream, call, held, call.request_data(b"", True, now_ns), events)

    def _begin(
        self, stream: int, head: RequestHead, now_ns: int, events: list[Event]
    ) -> Exchange | None:
        """A new call: ask whether it is wanted."""
        self.calls += 1
        if self._timing.is_on:
            self._time(stream, now_ns)
        started = self._started(head, stream, now_ns, True, 1)
        if not self._wants(started):
            return None
        call = Exchange(started.key, head, self._limits, self._budget)
        if stream > self._last_processed:
            events.append(call.not_processed(now_ns))
            return None
        self._calls[stream] = call
        return call

    def _started(
        self, head: RequestHead, stream: int, now_ns: int, sampled: bool, calls: int
    ) -> Started:
        return Started(
            CallKey(self.conn, stream),
            head.method,
            head.authority,
            head.metadata,
            self.peer,
            now_ns,
            head.timeout_ns,
            head.is_grpc,
            sampled,
            True,
            calls,
        )

    def _time(self, stream: int, now_ns: int) -> None:
        slice_ = self._timing.slice_of(now_ns)
        if slice_ >= 0:
            if len(self._timed) >= MOST_OPEN:
                self._timed.clear()  # that are never answered: by a reset, or not at all
            self._timed[stream] = (slice_, now_ns)

    def _read_server(self, frames: list[Frame], now_ns: int, events: list[Event]) -> None:
        for kind, flags, stream, payload in frames:
            if kind == DATA:
                call = self._calls.get(stream)
                if call is not None:
                    held = call.held
                    event = call.response_data(payload, flags == END_STREAM, now_ns)
                    self._tell(stream, call, held, event, events)
            elif kind == HEADERS:
                head = self._responses.decode(payload)
                if self._timed and flags & END_STREAM and stream in self._timed:
                    self._timing.took(*self._timed.pop(stream), now_ns)
                call = self._calls.get(stream)
                if call is not None:
                    held = call.held
                    event = call.response_head(head, bool(flags & END_STREAM), now_ns)
                    self._tell(stream, call, held, event, events)
            elif kind == RST_STREAM:
                call = self._calls.get(stream)
                if call is not None:
                    event = call.reset(int.from_bytes(payload, "big"), now_ns)
                    self._tell(stream, call, call.held, event, events)
            elif kind == SETTINGS and not flags & ACK:
                _allow_table(self._requests, payload)
            elif kind == PUSH_PROMISE:
                self._responses.decode(payload)  # for the sake of HPACK's state
            elif kind == GOAWAY:
                self._go_away(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF, now_ns, events)

    def _go_away(self, last: int, now_ns: int, events: list[Event]) -> None:
        self._last_processed = min(self._last_processed, last)
        for stream, call in list(self._calls.items()):
            if stream > last:
                self._tell(stream, call, call.held, call.not_processed(now_ns), events)

    def _tell(
        self, stream: int, call: Exchange, held: int, event: Event | None, events: list[Event]
    ) -> None:
        """Account for what an input did to a call that held `held` bytes before it."""
        self._hold(call.held - held)
        if event is not None:
            events.append(event)
            if not isinstance(event, Requested):
                self._drop(stream, call)


def _allow_table(
    decoder: HeaderDecoder[RequestHead] | HeaderDecoder[ResponseHead], settings: bytes | memoryview
) -> None:
    for at in range(0, len(settings), 6):
        if int.from_bytes(settings[at : at + 2], "big") == SETTINGS_HEADER_TABLE_SIZE:
            decoder.allow_table(int.from_bytes(settings[at + 2 : at + 6], "big"))
