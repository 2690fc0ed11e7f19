"""A row for each pair of versions that was seen, with what was found of it. Pure.

Rule: a row adds up what belongs together as the headline does, and the headline's comes first.
Counterparts: `judge.counts`, which says what belongs together; `versions`, which shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.judge.counts import alike, counts_of, total
from sidecar.judge.report import Verdict
from sidecar.judge.versions import Known
from sidecar.report.part import Part
from sidecar.report.report import VersionRow
from sidecar.report.verdict import judged

MOST_VERSIONS = 32  # pairs of versions that are shown


def version_rows(parts: Sequence[Part], verdict: Verdict) -> tuple[VersionRow, ...]:
    """One row for each pair of versions and rules, the one that the verdict is about first."""
    left = counts_of(part.snapshot for part in parts)
    by_key = {part.snapshot.key: part for part in parts}
    rows: list[VersionRow] = []
    while left and len(rows) < MOST_VERSIONS:
        together = alike(left)
        group = {snapshot.key: snapshot for snapshot in together}
        taken = [by_key[key] for key in group]
        found = verdict if not rows else judged(taken, total(group))
        models = total(group).models
        rows.append(
            VersionRow(
                production=_named(models, "production"),
                shadow=_named(models, "shadow"),
                rules=together[0].rules,
                current=not rows,
                state=found.state.value,
                reason=found.reason,
                calls=sum(snapshot.calls for snapshot in together),
                attempt=max(snapshot.attempt for snapshot in together),
                began=min(snapshot.began_unix_ns for snapshot in together) / 1e9,
                sidecars=len({key.instance for key in group}),
            )
        )
        left = {key: snapshot for key, snapshot in left.items() if key not in group}
    return tuple(rows)


def _named(models: Mapping[str, str], side: str) -> str:
    """What is known of one side's versions, as text; empty where nothing is."""
    found = {
        name.removeprefix(f"{side} "): version
        for name, version in models.items()
        if name.startswith(f"{side} ")
    }
    return str(Known(found).versions.production)
