"""What a person should know beside the verdict, each with what to do about it. Pure.

Rule: nothing here decides or hides anything: what looks like noise is named, never ignored by
itself. Counterparts: `live`, which reads a sidecar's own off its state; `build`, which adds those
that follow from the sums; table, page and gate, which show them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from sidecar.call import SkipReason
from sidecar.experiment.state import State
from sidecar.judge.criteria.of_times import MEASURED_BIAS
from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.report import CriterionVerdict
from sidecar.report.part import Away
from sidecar.report.report import OutputRow, VersionRow

NOISE_SHOWN = 5
METHODS_SHOWN = 3
IDLE_CALLS = 20  # from which on a criterion without data is worth a word
LIMITED_SHARE = 0.1  # of calls over the rate limit, from which on a person has to know
SUGGEST = "`shadow-sidecar rules suggest --apply FILE`"
DESCRIPTORS = (
    "name what the bytes mean: `compare.descriptors: FILE`, with `protoc --descriptor_set_out=FILE "
    "--include_imports your.proto`, or serve reflection on the shadow"
)
REJOIN = (
    "they are older than the observer: have clients connect again, or let `wire.resync: goaway` "
    "ask them to"
)
TLS_OR_HTTP1 = (
    "the sidecar reads HTTP/2 without TLS: put it behind whatever ends TLS, and let clients speak "
    "gRPC in clear text to it"
)


def of_state(now: State, shadow: str) -> list[str]:
    """What a sidecar knows of itself: a shadow that fails, traffic that it cannot read."""
    found = []
    receiver = now.receiver(shadow)
    if receiver.failing is not None:
        seconds = (now.now_ns - receiver.failing.since_ns) / 1e9
        found.append(
            f"the shadow at {receiver.settings.address} does not answer: "
            f"{receiver.failing.cause} ({receiver.failing.calls:,} calls in {_span(seconds)})"
        )
    elif receiver.starting:
        found.append(f"the shadow at {receiver.settings.address} is waited for")
    for reason, connections in now.opaque.items():
        found.append(
            f"{_count(connections, 'connection')} cannot be read ({reason}): {TLS_OR_HTTP1}"
        )
    if now.blind_calls >= 1:
        calls = _count(round(now.blind_calls), "call")
        found.append(f"{calls} came on connections that cannot be followed: {REJOIN}")
    judged = now.judged.get(shadow)
    if judged is not None and (why := judged.is_crowded(now.now_ns)):
        found.append(f"{why} may not be all that is there")
    if judged is not None and judged.few_keys:
        found.append(judged.few_keys)
    found += _of_store(now)
    judge = now.settings.judge
    if not now.control_fraction and any(c.required and c.measures_latency for c in judge.criteria):
        found.append(
            f"a latency decides without a control (judge.latency): {MEASURED_BIAS}; add a second "
            "replica of production under `shadows` with `role: control`"
        )
    if now.configuration.needs_restart:
        keys = ", ".join(now.configuration.needs_restart)
        found.append(f"the configuration has changed and needs a restart: {keys}")
    if now.configuration.refused:
        found.append(f"the configuration is wrong now: {'; '.join(now.configuration.refused)}")
    return found


def _of_store(now: State) -> list[str]:
    """That evidence is not kept, or was lost."""
    if now.kept_nowhere:
        return [f"nothing is kept, so that an observer that is killed forgets: {now.kept_nowhere}"]
    store = now.store
    if store is None:
        return []
    found = []
    if store.error:
        found.append(
            f"evidence was not kept for the last {_kept_ago(now)}: {store.error} ({store.file}); "
            "counting goes on, and what a kill takes grows until there is room"
        )
    if store.damaged:
        found.append(
            f"kept evidence was damaged and does not count any more; a FAIL stands: {store.damaged}"
        )
    return found


def _kept_ago(now: State) -> str:
    assert now.store is not None
    began = now.store.written_unix_ns or now.store.opened_unix_ns
    return _span(max(0.0, now.unix_seconds - began / 1e9))


def of_versions(rows: Sequence[VersionRow]) -> list[str]:
    """Which of several pairs of versions verdict and gate are about."""
    if len(rows) < 2:
        return []
    now = rows[0]
    others = ", ".join(
        f"{row.production or '?'} / {row.shadow or '?'} {row.state}" for row in rows[1:4]
    )
    more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return [
        f"verdict and gate are about production {now.production or '?'} and shadow "
        f"{now.shadow or '?'}, which came up last; others are rows of their own: {others}{more}"
    ]


def of_attempt(attempt: int, alpha: float) -> list[str]:
    """That a candidate was judged before, and what that costs."""
    if attempt < 2:
        return []
    left = alpha_of_attempt(alpha, attempt)
    return [
        f"this is attempt {attempt} on this candidate: it may err with {left:.2g}, so that all "
        f"attempts together err with at most {alpha:.2g}"
    ]


def of_away(away: Away) -> list[str]:
    """That nobody watched for a while."""
    if not away.times:
        return []
    times = "once" if away.times == 1 else f"{away.times} times"
    lost = f"; {away.lost_calls:,.0f} calls of that time count as lost" if away.lost_calls else ""
    return [
        f"the observer was away {times}, {_span(away.seconds)} in all, and went on with what it "
        f"had kept{lost}; `shadow-sidecar experiment reset` begins anew"
    ]


def of_limited(skipped: Mapping[str, int], compared: int) -> list[str]:
    """That a large share of calls was left out by what is no draw: a rate limit, or a pause."""
    limited = skipped.get(SkipReason.RATE_LIMITED.value, 0)
    paused = skipped.get(SkipReason.PAUSED.value, 0)
    found = []
    if paused and paused >= LIMITED_SHARE * (paused + compared):
        share = paused / (paused + compared)
        found.append(
            f"{_count(paused, 'call')} ({share:.0%}) came while shadowing was paused: the verdict "
            "says nothing about them, and who pauses when the shadow looks bad takes its bad calls "
            "out"
        )
    if not limited or limited < LIMITED_SHARE * (limited + compared):
        return found
    share = limited / (limited + compared)
    return [
        *found,
        f"{_count(limited, 'call')} ({share:.0%}) were over shadows[].rate, which keeps the first "
        "calls of each burst and no draw of all: the verdict says nothing about the rest; to have "
        "them stood for, lower shadows[].fraction until the rate is rarely met",
    ]


def of_late_labels(labels: int) -> list[str]:
    """What is said of labels that came when nobody could tell any more in which block they belong.

    Args:
        labels: how many.
    """
    if not labels:
        return []
    return [
        f"{_count(labels, 'label')} came too late: blocks of time are kept for a week, and the "
        "calls of older ones count as lost, as bad as can be for PASS, as good as can be for FAIL"
    ]


def of_sums(
    outputs: Sequence[OutputRow], unread: Mapping[str, int], since_read: int = 0
) -> list[str]:
    """What follows from the counts: answers nobody can read, outputs that look like noise.

    Args:
        outputs: each with how often it differed.
        unread: calls compared as bytes, by method.
        since_read: how many of them came before it was known what the bytes mean.
    """
    found = []
    if since_read:
        found.append(
            f"{_count(since_read, 'call')} came before it was known what the answers mean, and "
            "those whose bytes differed are taken for unknown: as bad as can be for PASS, as good "
            "as can be for FAIL; everything else counts on"
        )
    if unread:
        methods = list(unread)
        more = f" and {len(methods) - METHODS_SHOWN} more" if len(methods) > METHODS_SHOWN else ""
        calls = _count(sum(unread.values()), "call")
        found.append(
            f"answers of {', '.join(methods[:METHODS_SHOWN])}{more} were compared as bytes "
            f"({calls}): {DESCRIPTORS}"
        )
    if noise := noisy(outputs):
        told = ", ".join(
            f"{row.name} ({row.differ:,} of {row.agree + row.differ:,} calls)"
            for row in noise[:NOISE_SHOWN]
        )
        more = f" and {len(noise) - NOISE_SHOWN} more" if len(noise) > NOISE_SHOWN else ""
        verb = "differs" if len(noise) == 1 else "differ"
        found.append(
            f"{told}{more} {verb} in nearly every call, as ids, times and counters do; if that is "
            f"what they are: {SUGGEST} writes the rules that ignore them"
        )
    return found


def of_idle(
    criteria: Iterable[CriterionVerdict],
    declared: Mapping[str, Any],
    outputs: Sequence[OutputRow],
    calls: int,
) -> list[str]:
    """Criteria that no call is about, though there are calls: a name that is not an output's."""
    if calls < IDLE_CALLS or not outputs:
        return []
    own = {c.get("name"): c for c in declared.get("criteria") or ()}
    found = []
    for criterion in criteria:
        settings = own.get(criterion.name, {})
        pattern = settings.get("outputs")
        if criterion.n > 0 or pattern is None or settings.get("labels") == "sample":
            continue
        named = [row.name for row in outputs if fnmatchcase(row.name, pattern)]
        seen = ", ".join(row.name for row in outputs[:NOISE_SHOWN])
        why = (
            f"{', '.join(named[:NOISE_SHOWN])}: it needs numbers there"
            if named
            else f"no output; there are {seen}{', ...' if len(outputs) > NOISE_SHOWN else ''}"
        )
        found.append(
            f"{criterion.name} is about none of the {calls:,} calls: `outputs: {pattern}` is {why}"
        )
    return found


def noisy(outputs: Iterable[OutputRow]) -> list[OutputRow]:
    """The outputs that look like noise, as long as another output does not: rows of a report."""
    rows = list(outputs)
    found = [row for row in rows if row.noise]
    # A candidate that differs in everything is another model, not noise.
    return found if len(found) < len(rows) else []


def noise_rules(outputs: Sequence[OutputRow]) -> list[str]:
    """What the rules that ignore the noise would match: names, and both halves of a timestamp."""
    names = {row.name for row in outputs}
    found = []
    for row in noisy(outputs):
        whole = row.name.removesuffix(".nanos")
        is_timestamp = whole != row.name and f"{whole}.seconds" in names
        found.append(f"{whole}.*" if is_timestamp else row.name)
    return found


def rules_text(patterns: Iterable[str]) -> str:
    """The rules that ignore these outputs, as a configuration has them."""
    lines = [f"    - {{output: {json.dumps(pattern)}, rule: ignore}}" for pattern in patterns]
    return "\n".join(["compare:", "  rules:", *lines])


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _span(seconds: float) -> str:
    return (
        f"{seconds:.2g} s"
        if seconds < 10
        else f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
    )
