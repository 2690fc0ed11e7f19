"""Which calls to look at first. Pure.

Rule: what the verdict gives as its reason leads, then what failed, then what is required; the rest
of a slice, "(other)", comes last, and within each so do calls in which only noise differs.
Counterparts: `traffic`, which shows them on the page, and `table`, in a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.report.notices import noisy
from sidecar.report.report import CallOutput, CallRow, Report

AGREE = "equal"
OTHER = "(other)"  # values of a slice that have no name of their own


def groups(report: Report) -> list[tuple[str, str, list[CallRow]]]:
    """The worst calls by criterion and slice ("" for all traffic), what leads first."""
    found: dict[tuple[str, str], list[CallRow]] = {}
    for row in report.worst:
        found.setdefault((row.criterion, row.slice), []).append(row)
    verdict = report.verdict
    states = {c.name: c.state.value for c in verdict.criteria}
    required = {c.name for c in verdict.criteria if c.required}
    flagged = {(s.criterion, s.slice) for s in verdict.slices if s.flagged}

    def place(key: tuple[str, str]) -> tuple[bool, ...]:
        criterion, part = key
        where = f"{criterion} in {part}:" if part else f"{criterion}:"
        return (
            is_other(part),
            not verdict.reason.startswith(where),
            states.get(criterion) != "FAIL" and key not in flagged,
            criterion not in required,
            all(row.outcome == AGREE for row in found[key]),  # slow, and nothing differs
            part != "",
        )

    chosen = [key for key in found if not key[1] or key in flagged or not place(key)[1]]
    noise = noise_of(report)
    return [
        (*key, sorted(found[key], key=lambda row: _is_noise(row, noise)))
        for key in sorted(chosen, key=place)
    ]


def noise_of(report: Report) -> frozenset[str]:
    """The outputs that look like noise."""
    return frozenset(row.name for row in noisy(report.outputs))


def telling(row: CallRow, noise: frozenset[str]) -> tuple[list[CallOutput], int]:
    """What differs in a call and does not look like noise, and how many outputs do."""
    found = [output for output in row.outputs if output.name not in noise]
    return found, len(row.outputs) - len(found)


def _is_noise(row: CallRow, noise: frozenset[str]) -> bool:
    return bool(row.outputs) and all(output.name in noise for output in row.outputs)


def once(rows: Iterable[CallRow]) -> list[CallRow]:
    """The rows without those about a call that was there before."""
    seen: set[tuple[float, str, str]] = set()
    kept = []
    for row in rows:
        call = (row.unix_seconds, row.correlation_id, row.shadow_trace_id)
        if call not in seen:
            seen.add(call)
            kept.append(row)
    return kept


def is_other(part: str) -> bool:
    """Whether a slice is what is left of the others."""
    return part.endswith(f"={OTHER}")
