"""What is known of a service, and the report that follows from it. No input or output.

Rules
1. Evidence of pods that are gone counts as long as it agrees with that of those that are there
   (same rules, same versions), so a rollout back to an old pair goes on where it was. Where a side
   does not tell its version, nobody knows whose evidence it was: it goes with its pod (`nameless`).
2. A pod that is there and does not add to the sum (no answer, no sidecar, no such shadow, other
   rules or versions, a state that was put back or copied) is named, and forbids PASS.
3. FAIL stands for its experiment, and a PASS is watched: see `experiments`.
4. Nothing passes on old knowledge: before the first round, or when evidence had to be let go.

Counterparts: `poll`, which hears; `report.build`, which adds up; `ledger`, which remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sidecar.collect.experiments import Experiment, Experiments, is_versioned, versions_of
from sidecar.collect.nameless import WAY_OUT, Nameless, gone
from sidecar.collect.told import Told
from sidecar.judge.counts import Snapshot, SnapshotKey, Total, alike, counts_of, total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.held import declared_of
from sidecar.judge.latches import Latches, moment
from sidecar.judge.report import State, Verdict
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.verdict import decide, plans_of, silent
from sidecar.report.build import build, empty_report
from sidecar.report.copies import copies
from sidecar.report.part import Part
from sidecar.report.report import Report, ServiceFacts, VerdictChange

MOST_PARTS = 5_000  # of one shadow; those heard of longest ago go first
NAMED = 5
SLACK_NS = 30 * 10**9  # within which a killed pod may have told of what it did not write
NOT_INJECTED = "asked for the sidecar and does not have it"


@dataclass(slots=True)
class Heard:
    """What one round of questions brought."""

    unix: float
    told: list[Told]
    missing: dict[str, str] = field(default_factory=dict)  # address: why it did not answer
    not_injected: dict[str, str] = field(default_factory=dict)  # pod: why, or ""
    took_seconds: float = 0.0


@dataclass(slots=True)
class Service:
    """Everything that was heard of one service."""

    names: tuple[str, ...] = ()
    allow_missing: bool = False
    other_shadows: bool = False  # a pod without a shadow of that name is not missing from it
    most_parts: int = MOST_PARTS
    experiments: Experiments = field(default_factory=Experiments)
    nameless: Nameless = field(default_factory=Nameless)
    last: Heard | None = None
    partly_read: set[str] = field(default_factory=set)  # experiments with parts of another version
    unread: dict[str, int] = field(default_factory=dict)  # by shadow: parts of another version
    _unnamed: dict[tuple[str, str], Latches] = field(default_factory=dict)
    _parts: dict[str, dict[SnapshotKey, Part]] = field(default_factory=dict)
    _seen: dict[tuple[str, SnapshotKey], float] = field(default_factory=dict)

    @property
    def shadows(self) -> list[str]:
        """Their names: those of the pods that are there, or of all that were while there is none.

        Without a pod the last verdict is still worth showing.
        """
        now = {told.part.shadow for told in self.last.told} if self.last else set()
        return sorted(now or self._parts)

    def parts(self, shadow: str) -> list[Part]:
        """All that is kept about one shadow."""
        return list(self._parts.get(shadow, {}).values())

    def remember(self, kept: Iterable[tuple[float, Part]]) -> None:
        """Take in what a ledger has."""
        for seen, part in kept:
            self._take(part, seen)

    def cannot_read(self, shadow: str, rules: str, models: dict[str, str]) -> None:
        """Note a part that is kept and that this version cannot read: it is not in the sum."""
        self.unread[shadow] = self.unread.get(shadow, 0) + 1
        experiment = self.experiments.find(shadow, rules, versions_of([models]))
        if experiment is not None:
            self.partly_read.add(experiment.key)

    def hear(self, heard: Heard) -> tuple[list[Told], list[Part]]:
        """Take in a round; returns the parts that are news, and those that had to go."""
        refused = copies(told.part for told in heard.told)
        good = []
        for told in heard.told:
            if told.part.source in refused:
                continue
            if why := self._contradicts(told.part) or self._behind(told.part):
                refused[told.part.source] = why
            else:
                good.append(told)
        heard = replace(heard, told=good, missing=heard.missing | refused)
        news = [told for told in good if self._take(told.part, heard.unix)]
        self.last = heard
        self.experiments.beside = frozenset(self.shadows)
        return news, [part for shadow in self._parts for part in self._cut(shadow)]

    def _contradicts(self, part: Part) -> str | None:
        """Two that name the same rules must have the same ones: else one of them is not true."""
        known = self._parts.get(part.shadow, {}).values()
        other = next((p for p in known if p.snapshot.rules == part.snapshot.rules), None)
        if other is None or declared_of(other.settings) == declared_of(part.settings):
            return None
        return "its criteria are others than its digest of rules says"

    def _behind(self, part: Part) -> str | None:
        """One that lacks what it told before: nobody may drop, or add up, either in silence."""
        now = part.snapshot
        kept = self._parts.get(part.shadow, {}).get(now.key)
        if kept is None:
            return None
        then = kept.snapshot
        lacks = now.sequence < then.sequence or now.began_unix_ns != then.began_unix_ns
        if not lacks and not any(gap.has(then.latest_unix_ns, SLACK_NS) for gap in now.gaps):
            return None
        says = f"; by itself it says {part.stands[0]}: {part.stands[1]}" if part.stands else ""
        return (
            f"lacks what it told until {moment(then.latest_unix_ns)} ({then.calls:,} calls): its "
            f"state was put back from a backup, or could not be written; remove its --state "
            f"directory, so that it counts anew beside what it told{says}"
        )

    def report(self, shadow: str, unix: float, history: Sequence[VerdictChange] = ()) -> Report:
        """The report of one shadow, with what is known of the service."""
        missing = self.missing(shadow)
        chosen, taken = self._chosen(shadow)
        facts = self._facts(shadow, taken, unix)
        facts = replace(facts, history=tuple(c for c in history if c.shadow == shadow))
        if not chosen:
            return replace(empty_report(missing, unix), shadow=shadow, service=facts)
        lead = next(p for p in chosen if p.snapshot.key == taken[0].key)
        experiment = self.experiments.of(shadow, taken)
        whole = total(counts_of(part.snapshot for part in chosen))
        # Pods count attempts as far as their own directories go back, and so do we.
        before = 0 if experiment else self._gone(shadow, taken)
        attempt = max(experiment.attempt if experiment else 1 + before, whole.attempt)
        whole = replace(whole, attempt=0)  # what is left of alpha is in the settings
        alpha = alpha_of_attempt(lead.settings.alpha, attempt)
        settings = lead.settings.model_copy(update={"alpha": alpha})
        plans = plans_of(settings, lead.control_fraction)
        verdict = self._standing(chosen, decide(settings, plans, whole), experiment, plans, whole)
        if experiment is None:
            verdict = self._nameless(shadow, taken, verdict)
        latches = self._latches(shadow, lead, experiment)
        verdict = self._of_now(verdict, latches, whole, settings, plans)
        here = self._here(shadow)
        shown = [p if p.snapshot.key in here else replace(p, unsure="") for p in chosen]
        found = build(
            shown, unix, verdict=verdict, missing=missing, allow_missing=self.allow_missing
        )
        found = replace(found, verdict=self._not_on_old(found.verdict, experiment, here))
        if experiment is not None and found.state is State.PASS:
            experiment.passes(plans, whole, alpha, unix)
        notices = [*found.notices, *self._notices(chosen, taken, facts)]
        if before:
            notices.append(
                f"no version is told: {before} lives of observers that are gone do not count, and "
                f"each was an attempt; {WAY_OUT}"
            )
        facts = replace(facts, experiment=experiment.key if experiment else "", attempt=attempt)
        return replace(found, notices=tuple(notices), service=facts)

    def _chosen(self, shadow: str) -> tuple[list[Part], list[Snapshot]]:
        """Parts to be shown, and of them the snapshots that are added: the leading one first."""
        kept = self._parts.get(shadow, {})
        here = self._here(shadow)
        counts = {
            key: part.snapshot
            for key, part in kept.items()
            if key in here or not here or is_versioned(versions_of([part.snapshot.models]))
        }
        taken = alike(counts, here)
        keys = {snapshot.key for snapshot in taken} | here
        return [kept[key] for key in kept if key in keys], taken

    def _here(self, shadow: str) -> set[SnapshotKey]:
        told = self.last.told if self.last else []
        return {t.part.snapshot.key for t in told if t.part.shadow == shadow}

    def _standing(
        self,
        parts: Sequence[Part],
        verdict: Verdict,
        experiment: Experiment | None,
        plans: Sequence[Plan],
        whole: Total,
    ) -> Verdict:
        """The verdict with the decisions that stand whatever is seen now."""
        alone = parts[0].stands if len(parts) == 1 else None
        if alone is not None and alone[0] is State.FAIL and verdict.state is not State.FAIL:
            verdict = replace(verdict, state=State.FAIL, reason=alone[1])
        if experiment is None:
            return verdict
        if experiment.failed and verdict.state is not State.FAIL:
            return replace(verdict, state=State.FAIL, reason=f"{experiment.failed} (stands)")
        settings = parts[0].settings
        later, in_slice = experiment.follow(settings, plans, whole)
        if settings.flagged == "fail":
            later = later or in_slice
        if later and verdict.state is not State.FAIL:
            verdict = replace(verdict, state=State.FAIL, reason=later)
        if in_slice and verdict.state is State.PASS:
            verdict = replace(verdict, state=State.INCONCLUSIVE, reason=in_slice)
        if verdict.state is State.FAIL and not experiment.failed:
            experiment.failed = verdict.reason
            experiment.latches.slice_watches.clear()  # there is nothing left to watch
        return verdict

    def _nameless(self, shadow: str, taken: Sequence[Snapshot], verdict: Verdict) -> Verdict:
        """The verdict with a FAIL that stands although nobody knows whose it is."""
        if not self._here(shadow):
            return verdict
        stands = self.nameless.standing(shadow, taken)
        if verdict.state is State.FAIL:
            if stands is None:
                self.nameless.fail(shadow, taken, verdict.reason)
            return verdict
        if stands is None:
            return verdict
        reason = f"{stands.failed} (stands, for no version tells another candidate: {WAY_OUT})"
        return replace(verdict, state=State.FAIL, reason=reason)

    def _gone(self, shadow: str, taken: Sequence[Snapshot]) -> int:
        kept = (part.snapshot for part in self._parts[shadow].values())
        return gone(kept, taken, self._here(shadow))

    def _latches(self, shadow: str, lead: Part, experiment: Experiment | None) -> Latches:
        """Where it is noted which calls were looked at last; without versions, in memory."""
        if experiment is not None:
            return experiment.latches
        return self._unnamed.setdefault((shadow, lead.snapshot.rules), Latches())

    def _of_now(
        self,
        verdict: Verdict,
        latches: Latches,
        whole: Total,
        settings: JudgeSettings,
        plans: Sequence[Plan],
    ) -> Verdict:
        """After a PASS: whether it says anything of the calls that come now."""
        if latches.window is None and verdict.state is not State.PASS:
            return verdict
        latches.decided_unix_ns = latches.decided_unix_ns or whole.unix_ns
        nothing = silent(settings, plans, whole, latches)
        if nothing is None or verdict.state is not State.PASS:
            return verdict
        return replace(verdict, state=State.INCONCLUSIVE, reason=nothing)

    def _not_on_old(
        self, verdict: Verdict, experiment: Experiment | None, here: set[SnapshotKey]
    ) -> Verdict:
        if verdict.state is not State.PASS:
            return verdict
        reason = None
        if self.last is None:
            reason = "no pod was asked since the start"
        elif not here:
            reason = "no pod is there that has this shadow"
        elif experiment is not None and experiment.is_cut:
            reason = f"older evidence was let go: more than {self.most_parts} lives of observers"
        elif experiment is not None and experiment.key in self.partly_read:
            reason = "older evidence is left out: written by another version of shadow-sidecar"
        if reason is None:
            return verdict
        return replace(verdict, state=State.INCONCLUSIVE, reason=reason)

    def missing(self, shadow: str) -> dict[str, str]:
        """Pods that are there and tell nothing of the shadow, each with the reason."""
        if self.last is None:
            return {}
        missing = dict(self.last.missing)
        having = {t.part.source for t in self.last.told if t.part.shadow == shadow}
        if not self.other_shadows:
            for source in {t.part.source for t in self.last.told} - having:
                missing[source] = f"has no shadow called {shadow!r}"
        for pod, why in self.last.not_injected.items():
            missing[pod] = f"{NOT_INJECTED}: {why}" if why else NOT_INJECTED
        return missing

    def _facts(self, shadow: str, taken: Sequence[Snapshot], unix: float) -> ServiceFacts:
        last = self.last
        here = [t.part for t in last.told if t.part.shadow == shadow] if last else []
        present = {part.snapshot.key for part in here}
        return ServiceFacts(
            names=self.names,
            experiment="",
            staleness_seconds=max(0.0, unix - last.unix) if last else None,
            answering=len({part.source for part in here}),
            silent=tuple(sorted(part.source for part in here if _saw_nothing(part))),
            not_injected=dict(last.not_injected) if last else {},
            gone=sum(snapshot.key not in present for snapshot in taken),
        )

    def _notices(
        self, parts: Sequence[Part], taken: Sequence[Snapshot], facts: ServiceFacts
    ) -> list[str]:
        found = []
        if facts.silent:
            found.append(
                f"no call was seen by {few(facts.silent)}: the service may lead past the wire (a "
                "numeric targetPort, clients that dial the model's own port), or send that pod "
                "nothing"
            )
        if unread := self.unread.get(parts[0].shadow):
            found.append(f"{unread} kept counts are of another version and are not in the sum")
        keys = {snapshot.key for snapshot in taken}
        alone = [
            p.source
            for p in parts
            if p.snapshot.key in keys and p.stands is not None and p.stands[0] is State.FAIL
        ]
        if alone and len(parts) > 1:
            found.append(f"judged by its own calls alone, the shadow failed at {few(alone)}")
        return found

    def _take(self, part: Part, seen: float) -> bool:
        kept = self._parts.setdefault(part.shadow, {})
        key = part.snapshot.key
        self._seen[part.shadow, key] = max(seen, self._seen.get((part.shadow, key), 0.0))
        if key in kept and part.snapshot.sequence <= kept[key].snapshot.sequence:
            return False
        kept[key] = part
        return True

    def _cut(self, shadow: str) -> list[Part]:
        """Let the oldest go where there are too many."""
        kept = self._parts[shadow]
        excess = len(kept) - self.most_parts
        if excess <= 0:
            return []
        oldest = sorted(kept, key=lambda key: self._seen[shadow, key])[:excess]
        gone = [kept.pop(key) for key in oldest]
        for part in gone:
            del self._seen[shadow, part.snapshot.key]
            if (experiment := self.experiments.of(shadow, [part.snapshot])) is not None:
                experiment.is_cut = True
        return gone


def few(names: Sequence[str]) -> str:
    """The first of them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _saw_nothing(part: Part) -> bool:
    return part.snapshot.calls == 0 and part.snapshot.coverage.eligible == 0
