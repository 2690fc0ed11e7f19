"""What spans are called: an outcome and who it is about, from a bounded set. Pure.

Rule: a name is made of words of ours, names from the configuration, gRPC's status names, and
methods as long as there are few; nothing that a caller or a model makes up gets in without a bound.
Counterpart: `spans`.
"""

from __future__ import annotations

from sidecar.call import SkipReason
from sidecar.compare.result import Outcome
from sidecar.status import status_name
from sidecar.telemetry.finished import Copy, Finished

METHODS = 64  # that get a name of their own
OTHER = "_OTHER"  # the conventions' word for the rest
DEADLINE_EXCEEDED = 4


class Methods:
    """The first methods by name, the rest as one."""

    def __init__(self, most: int = METHODS) -> None:
        self._known: set[str] = set()
        self._most = most

    def name(self, path: str) -> str:
        """Turn `:path` into the conventions' `package.Service/Method`, or `_OTHER`."""
        name = path.removeprefix("/")
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name


def who(copy: Copy) -> str:
    """The receiver's name; a control is called one."""
    if copy.role == "control" and copy.name != "control":
        return f"control {copy.name}"
    return copy.name


def found(copy: Copy) -> str:
    """What became of one copy: "value", "failed (UNAVAILABLE)", "not compared (cancelled)"."""
    if copy.comparison is None:
        return f"not compared ({'unknown' if copy.skip is None else copy.skip.value})"
    outcome = copy.comparison.outcome
    status = 0 if copy.answer is None else copy.answer.status
    if status == 0:
        # A failure inside of an answer whose status is OK keeps the taxonomy's word.
        return outcome.value
    if status == DEADLINE_EXCEEDED:
        return "timed out"
    return f"failed ({status_name(status)})"


def verdict(finished: Finished) -> str:
    """The whole call in words: "candidate differs (value)", "candidate agrees"."""
    copy = finished.worst
    if copy is None:
        return "not shadowed"
    name = who(copy)
    if copy.comparison is None:
        return f"{name} {found(copy)}"
    production = 0 if finished.production is None else finished.production.status
    match copy.comparison.outcome:
        case Outcome.EQUAL:
            return f"{name} agrees"
        case Outcome.SHADOW_ERROR:
            said = found(copy)
            return f"{name} failed" if said == Outcome.SHADOW_ERROR.value else f"{name} {said}"
        case Outcome.PRODUCTION_ERROR:
            return f"production failed ({status_name(production)}), {name} did not"
        case Outcome.BOTH_ERROR_SAME:
            return f"production and {name} failed alike ({status_name(production)})"
        case Outcome.BOTH_ERROR_OTHER:
            return f"production and {name} failed differently"
        case outcome:
            return f"{name} differs ({outcome.value})"


def production(finished: Finished) -> str:
    """Production's bar in a comparison."""
    answer = finished.production
    if answer is None:
        cancelled = any(copy.skip is SkipReason.CANCELLED for copy in finished.copies)
        return "production: cancelled" if cancelled else "production: not seen to the end"
    return f"production: failed ({status_name(answer.status)})" if answer.status else "production"


def subject(workload: str, method: str) -> str:
    """What is shadowed: the workload's name, else the method's last part."""
    return workload or method.rpartition("/")[2]
