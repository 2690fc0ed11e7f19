"""Which calls are shadowed at all: the operator's choice, read off the request's header.

Rule: the checks run in the order of `SkipReason` and the first that refuses gives the one reason;
nothing that an answer could influence is looked at. Counterpart: `gate`, which decides for each
shadow whether it can take the call now.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from sidecar.call import Metadata, SkipReason, Started
from sidecar.tee.keys import SampledKeys
from sidecar.tee.settings import MatchSettings, MetadataCondition, SampleSettings

MAX_METHODS = 1024  # method names come from clients: what is remembered of them has a bound
MAX_METHOD_LENGTH = 256

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NO_TRACE = "0" * 32


@dataclass(frozen=True, slots=True)
class Admission:
    """The operator's choice. To change it, swap the instance: `dataclasses.replace(...)`.

    `ended` says that the experiment's budget is used up; `keys` go with the same `sample`.
    """

    match: MatchSettings
    sample: SampleSettings
    paused: bool = False
    ended: bool = False
    keys: SampledKeys = field(default_factory=SampledKeys, repr=False, compare=False)
    _matches: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    _conditions: tuple[_Condition, ...] = field(init=False, repr=False, compare=False)
    _methods: dict[str, bool] = field(
        init=False, repr=False, compare=False, default_factory=dict[str, bool]
    )

    def __post_init__(self) -> None:
        included, excluded = _any_glob(self.match.methods), _any_glob(self.match.exclude)
        object.__setattr__(self, "_matches", lambda m: included(m) and not excluded(m))
        conditions = tuple(_Condition(c) for c in self.match.metadata)
        object.__setattr__(self, "_conditions", conditions)

    @property
    def wire_fraction(self) -> float:
        """The share of new streams that the wire should copy.

        Without a sticky key the wire draws, before any copying is paid for; with one, every
        call's header must be read to know its key. Headers go on while paused or ended, so that
        connections stay in sight.
        """
        if self.paused or self.ended:
            return 0.0
        return self.sample.fraction if self.sample.key is None else 1.0

    def check(
        self, call: Started, draw: float, share: float = 1.0, *, resting: bool = False
    ) -> SkipReason | None:
        """Say why the call is not shadowed, or None when it is admitted.

        Args:
            call: the request's header.
            draw: uniform in [0, 1); decides for a call that lacks the sticky key.
            share: what the wire's fraction is less by, for want of time.
            resting: the call came while the wire was to copy none.
        """
        if not call.legible:
            return self._chance(call, draw, share, resting) or SkipReason.BLIND
        return self._by_header(call) or self._chance(call, draw, share, resting)

    def left_out(
        self, call: Started, draw: Callable[[], float], share: float = 1.0, *, resting: bool = False
    ) -> tuple[SkipReason, int]:
        """The same for calls that came together and that the wire did not copy.

        Args:
            call: their header, and how many.
            draw: uniform in [0, 1).
            share: as for `check`.
            resting: as for `check`.

        Returns:
            By which choice they were left out, and how many of them; the rest are SHED.
        """
        reason = self._by_header(call) if call.legible else None
        reason = reason or self._now(call, resting)
        if reason is not None:
            return reason, call.calls
        if self.sample.fraction >= 1:
            return SkipReason.NOT_SAMPLED, 0
        drawn = [self._not_sampled(call, draw(), share) for _ in range(call.calls)]
        return SkipReason.NOT_SAMPLED, drawn.count(SkipReason.NOT_SAMPLED)

    def _by_header(self, call: Started) -> SkipReason | None:
        if not call.is_grpc:
            return SkipReason.NOT_GRPC
        if not self._method_matches(call.method):
            return SkipReason.METHOD
        for condition in self._conditions:
            if not condition.holds(call.metadata):
                return SkipReason.FILTERED
        if not self.match.copies:
            for name, _ in call.metadata:
                # Shadows with sidecars of their own could shadow each other without end.
                if name == "x-shadow":
                    return SkipReason.FILTERED
        return None

    def _chance(self, call: Started, draw: float, share: float, resting: bool) -> SkipReason | None:
        """Decide without the header: a call that cannot be read is taken for a match."""
        return self._now(call, resting) or self._not_sampled(call, draw, share)

    def _now(self, call: Started, resting: bool) -> SkipReason | None:
        # Before sampling: the wire leaves out every call then, and that is why.
        if self.paused:
            return SkipReason.PAUSED
        if resting and not call.sampled:
            return SkipReason.RESTING
        if self.ended:
            return SkipReason.ENDED
        return None

    def _method_matches(self, method: str) -> bool:
        known = self._methods.get(method)
        if known is not None:
            return known
        matches = self._matches(method)
        if len(method) <= MAX_METHOD_LENGTH:
            if len(self._methods) >= MAX_METHODS:
                self._methods.clear()
            self._methods[method] = matches
        return matches

    def _not_sampled(self, call: Started, draw: float, share: float) -> SkipReason | None:
        fraction, key = self.sample.fraction, self.sample.key
        if key is not None:
            value = _key_value(key, call.metadata)
            unit = draw if value is None else unit_hash(value)
            if fraction < 1:
                self.keys.note(None if value is None else unit, sampled=unit < fraction)
            if unit >= fraction:
                return SkipReason.NOT_SAMPLED
            return None if call.sampled else SkipReason.SHED
        if call.sampled and fraction > 0:
            return None  # the wire drew already; a second draw here would square the fraction
        # The wire drew once for both: of what it left out, so much would have been left out anyway.
        if fraction < 1 and draw * (1 - fraction * share) < 1 - fraction:
            return SkipReason.NOT_SAMPLED
        return SkipReason.SHED


def unit_hash(value: str) -> float:
    """Map a key to [0, 1), the same in every sidecar and every run.

    The first 53 bits of BLAKE2b-64: as many as a float in [0, 1) can hold without rounding to 1.
    """
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


class _Condition:
    """A metadata condition; of a repeated field one value that passes is enough."""

    __slots__ = ("_name", "_present", "_test")

    def __init__(self, condition: MetadataCondition) -> None:
        self._name = condition.name
        self._present = condition.present
        self._test: Callable[[str], object]
        if condition.equals is not None:
            self._test = condition.equals.__eq__
        else:
            self._test = re.compile(condition.matches or "", re.DOTALL).fullmatch

    def holds(self, metadata: Metadata) -> bool:
        values = [value for name, value in metadata if name == self._name]
        if self._present is not None:
            return bool(values) == self._present
        return any(self._test(value) for value in values)


def _any_glob(globs: Iterable[str]) -> Callable[[str], bool]:
    pattern = re.compile("|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)")
    return lambda text: pattern.match(text) is not None


def _key_value(key: str, metadata: Metadata) -> str | None:
    by_trace = key == "trace_id"
    name = "traceparent" if by_trace else key.removeprefix("metadata:")
    value = next((v for n, v in metadata if n == name), None)
    if value is None or not by_trace:
        return value
    parsed = _TRACEPARENT.fullmatch(value)
    return parsed[1] if parsed and parsed[1] != _NO_TRACE else None
