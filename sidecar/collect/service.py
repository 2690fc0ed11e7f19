"""What stands for a service: the report that follows from what is known of its pods. Pure.

Rules
1. Evidence of pods that are gone counts as long as it agrees with that of those that are there
   (same rules, same versions), so a rollout back to an old pair goes on where it was. Where a side
   does not tell its version, nobody knows whose evidence it was: it goes with its pod (`nameless`).
2. A pod that is there and does not add to the sum (no answer, no sidecar, no such shadow, other
   rules or versions, a state that was put back or copied) is named, and forbids PASS.
3. FAIL stands for its experiment, and a PASS is watched: see `experiments`.
4. Nothing passes on old knowledge: before the first round, or when evidence had to be let go.

Counterparts: `lives`, what is known; `report.build`, which adds up; `collector`, which asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sidecar.collect.experiments import Experiment, Experiments, versions_of
from sidecar.collect.lives import Heard, Lives
from sidecar.collect.nameless import WAY_OUT, Nameless, gone
from sidecar.collect.told import Told
from sidecar.judge.counts import Snapshot, SnapshotKey, Total, counts_of, total
from sidecar.judge.criteria.base import Plan
from sidecar.judge.evidence.attempts import alpha_of_attempt
from sidecar.judge.latches import Latches
from sidecar.judge.report import State, Verdict
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.verdict import decide, plans_of, silent
from sidecar.report.build import build, empty_report
from sidecar.report.part import Part
from sidecar.report.report import Report, ServiceFacts, VerdictChange

NAMED = 5


@dataclass(slots=True)
class Service:
    """One service: what is known of it, and what was decided."""

    names: tuple[str, ...] = ()
    allow_missing: bool = False
    lives: Lives = field(default_factory=Lives)
    experiments: Experiments = field(default_factory=Experiments)
    nameless: Nameless = field(default_factory=Nameless)
    partly_read: set[str] = field(default_factory=set)  # experiments with parts of another version
    unread: dict[str, int] = field(default_factory=dict)  # by shadow: parts of another version
    _unnamed: dict[tuple[str, str], Latches] = field(default_factory=dict)

    def hear(self, heard: Heard) -> tuple[list[Told], list[Part]]:
        """Take in a round; returns the parts that are news, and those that had to go."""
        news, cut = self.lives.hear(heard)
        self.experiments.beside = frozenset(self.lives.shadows)
        for part in cut:
            if (experiment := self.experiments.of(part.shadow, [part.snapshot])) is not None:
                experiment.is_cut = True
        return news, cut

    def cannot_read(self, shadow: str, rules: str, models: dict[str, str]) -> None:
        """Note a part that is kept and that this version cannot read: it is not in the sum."""
        self.unread[shadow] = self.unread.get(shadow, 0) + 1
        experiment = self.experiments.find(shadow, rules, versions_of([models]))
        if experiment is not None:
            self.partly_read.add(experiment.key)

    def report(self, shadow: str, unix: float, history: Sequence[VerdictChange] = ()) -> Report:
        """The report of one shadow, with what is known of the service."""
        missing = self.lives.missing(shadow)
        chosen, taken = self.lives.chosen(shadow)
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
        here = self.lives.here(shadow)
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
        if not self.lives.here(shadow):
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
        kept = (part.snapshot for part in self.lives.parts(shadow))
        return gone(kept, taken, self.lives.here(shadow))

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
        if self.lives.last is None:
            reason = "no pod was asked since the start"
        elif not here:
            reason = "no pod is there that has this shadow"
        elif experiment is not None and experiment.is_cut:
            reason = f"older evidence was let go: more than {self.lives.most} lives of observers"
        elif experiment is not None and experiment.key in self.partly_read:
            reason = "older evidence is left out: written by another version of shadow-sidecar"
        if reason is None:
            return verdict
        return replace(verdict, state=State.INCONCLUSIVE, reason=reason)

    def _facts(self, shadow: str, taken: Sequence[Snapshot], unix: float) -> ServiceFacts:
        last, here = self.lives.last, self.lives.told(shadow)
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


def few(names: Sequence[str]) -> str:
    """The first of them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _saw_nothing(part: Part) -> bool:
    return part.snapshot.calls == 0 and part.snapshot.coverage.eligible == 0
