"""The verdict on a sum of parts, and what forbids it to be PASS. Pure.

Rule: what is not in the sum, and who by itself failed or sees no ground for PASS, turns PASS into
an INCONCLUSIVE that names it; nothing softens a FAIL. Counterparts: `judge.verdict`, which decides;
`build` and `version_rows`, which ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sidecar.judge.counts import OF_FEW_KEYS, Total, counts_of, left_out
from sidecar.judge.report import State, Verdict
from sidecar.judge.verdict import decide, few_keys_of, plans_of
from sidecar.report.part import Part

NAMED = 5  # of those that see no ground for PASS


def judged(taken: Sequence[Part], whole: Total) -> Verdict:
    """The verdict on a sum of like parts; one sidecar's own is the same wherever it is shown."""
    lead = taken[0]
    verdict = decide(lead.settings, plans_of(lead.settings, lead.control_fraction), whole)
    if len(taken) == 1 and not whole.left_out and lead.stands is not None:
        state, reason = lead.stands
        if state is State.FAIL or verdict.state is not State.FAIL:
            verdict = replace(verdict, state=state, reason=reason)
    return verdict


def doubted(
    verdict: Verdict,
    parts: Sequence[Part],
    taken: Sequence[Part],
    missing: Mapping[str, str],
    *,
    allow_missing: bool = False,
) -> Verdict:
    """The verdict, or INCONCLUSIVE where it is a PASS that something forbids.

    Args:
        verdict: on what is taken.
        parts: all there are.
        taken: those in the sum.
        missing: sidecars that could not be pulled, and why.
        allow_missing: neither they nor parts that are left out forbid anything.
    """
    if verdict.state is not State.PASS:
        return verdict
    if missing and not allow_missing:
        why = f"{sidecars(len(missing))} could not be asked; the others"
    elif verdict.left_out and not allow_missing:
        why = f"left out, for other versions or rules: {_left_out(parts, taken)}; the others"
    elif failed := _failed(taken):
        why = f"by its own calls it failed at {failed}; together"
    elif unsure := _unsure(taken):
        why = f"{unsure}; together"
    elif few := _few_keys(verdict, taken):
        why = f"{few}; together"
    else:
        return verdict
    return replace(verdict, state=State.INCONCLUSIVE, reason=f"{why}: {verdict.reason}")


def _left_out(parts: Sequence[Part], taken: Sequence[Part]) -> str:
    """Who has nothing in the sum."""
    gone = left_out(counts_of(part.snapshot for part in parts), [part.snapshot for part in taken])
    return ", ".join(
        named(part)
        for part in sorted(parts, key=lambda p: p.source)
        if part.snapshot.key.instance in gone
    )


def _failed(taken: Sequence[Part]) -> str:
    """Who among several has failed by its own calls; empty: nobody."""
    if len(taken) < 2:
        return ""
    return ", ".join(named(p) for p in taken if p.stands and p.stands[0] is State.FAIL)


def _unsure(taken: Sequence[Part]) -> str:
    """Who among them sees no ground for PASS, and why; empty: nobody."""
    unsure = [part for part in taken if part.unsure]
    if not unsure:
        return ""
    first = [f"{named(p)}: {p.unsure}" for p in unsure[:NAMED]]
    more = f"; and {len(unsure) - NAMED} more" if len(unsure) > NAMED else ""
    return f"no ground for PASS at {'; '.join(first)}{more}"


def _few_keys(verdict: Verdict, taken: Sequence[Part]) -> str:
    """Why nothing follows for keys that were left out, also by who is gone; empty: it does."""
    of_few = verdict.events.get(OF_FEW_KEYS, 0)
    return few_keys_of(taken[0].settings, of_few, verdict.calls) if taken else ""


def named(part: Part) -> str:
    """Where a part is from, as text."""
    return part.source or part.snapshot.key.instance


def sidecars(count: int) -> str:
    """So many, as text."""
    return "1 sidecar" if count == 1 else f"{count} sidecars"
