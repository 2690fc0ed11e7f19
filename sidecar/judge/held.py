"""What a judge holds: its counts, and what follows from its configuration.

Rule: nothing here counts or decides. Every attribute is kept by `pieces`, under its own name, but
for those that the configuration gives. Counterparts: `judge`, which counts; `pieces`.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import count

from sidecar.judge.block_cells import BlockCells
from sidecar.judge.counts import ALL, Cell, CellKey
from sidecar.judge.criteria.base import Plan
from sidecar.judge.criteria.labelled import Labelled
from sidecar.judge.evidence.effective import DistinctInputs
from sidecar.judge.examples import Examples
from sidecar.judge.labels import LabelStore
from sidecar.judge.latches import Latches
from sidecar.judge.ranges import Ranges
from sidecar.judge.settings import JudgeSettings
from sidecar.judge.slices import Slices
from sidecar.judge.verdict import plans_of
from sidecar.judge.waiting import Waiting

_NO_RULES = {"drift", "examples", "worst", "sample", "production_version", "version_metadata"}


class Held:
    """The counts of one judge."""

    def __init__(
        self,
        settings: JudgeSettings,
        instance: str,
        now_ns: int,
        *,
        unix_offset_ns: int = 0,
        control_fraction: float = 0.0,
        rules: str = "",
        numbers: Iterator[int] | None = None,
        attempt: int = 0,
    ) -> None:
        """Start judging.

        Args:
            settings: what was declared.
            instance: names what keeps these counts among all pods: a state directory's file, or a
                process's life.
            now_ns: the present, on the monotonic clock; the budget of time begins here.
            unix_offset_ns: what to add to that clock for the time since 1970.
            control_fraction: share of the calls that also go to a control; 0 without one.
            rules: how outputs are compared, in any fixed form: evidence under different rules
                is not added.
            numbers: of epochs, each new within the instance; None counts from 0.
            attempt: which experiment on this candidate it is, from 1; 0 when nobody counts them.
        """
        self._settings = settings
        self.control_fraction = control_fraction
        self._numbers = count() if numbers is None else numbers
        self._attempt = attempt
        self.since_unix_ns = 0  # see `Snapshot`
        self._instance = instance
        self.unix_offset_ns = unix_offset_ns
        self._plans = plans_of(settings, control_fraction)
        self._labelled = [
            (plan, plan.criterion) for plan in self._plans if isinstance(plan.criterion, Labelled)
        ]
        self._rules = digest_of(settings, control_fraction, rules)
        self._labels: LabelStore[Waiting] = LabelStore(settings.labels)
        self._sequence = 0
        self._versions: dict[str, str] = {}
        self._learned: tuple[str, str, tuple[str, str]] | None = None  # see `_is_read`
        self._everywhere = {
            plan.criterion.name: (CellKey(plan.criterion.name, ALL),) for plan in self._plans
        }
        self._tallies = [
            (plan.criterion.tally(plan), plan, self._everywhere[plan.criterion.name])
            for plan in self._plans
        ]
        self._epoch = next(self._numbers)
        self._began_ns = self._latest_ns = now_ns
        self._calls = 0
        self._repeated = 0
        self._cells: dict[CellKey, Cell] = {}
        self._blocks = BlockCells(
            self._plans, self._settings.block_seconds, self._settings.unseen_seconds
        )
        self._lost: dict[str, int] = {}
        self._weight = 1.0  # for how many calls one stands now, compared or lost
        # Calls that an open breaker kept back since the shadow was last tried: when, how many.
        self._kept_back: list[tuple[int, int]] = []
        # Calls that were compared as bytes while nobody knew what those mean: how many, by method;
        # what those added whose bytes differed; and how many turned out to be unknown since.
        self._as_bytes: dict[str, int] = {}
        self._by_bytes: dict[CellKey, Cell] = {}
        self._unread = 0
        self._slices = Slices(self._settings)
        self._ranges = Ranges()
        self._inputs = DistinctInputs()
        self._latches = Latches()
        self._examples = Examples(self._settings.worst, self._settings.sample)

    @property
    def epoch(self) -> int:
        """The number of the evidence, which changes when it begins again."""
        return self._epoch

    @property
    def attempt(self) -> int:
        """Which experiment on this candidate it is; 0 when nobody counts them."""
        return self._attempt

    @attempt.setter
    def attempt(self, attempt: int) -> None:
        self._attempt = attempt

    @property
    def settings(self) -> JudgeSettings:
        """What was declared."""
        return self._settings

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every criterion, prepared."""
        return self._plans

    @property
    def cells(self) -> dict[CellKey, Cell]:
        """The counters themselves."""
        return self._cells

    @property
    def block_cells(self) -> BlockCells:
        """The blocks themselves."""
        return self._blocks

    @property
    def examples(self) -> Examples:
        """The calls worth a look themselves."""
        return self._examples

    @property
    def inputs(self) -> DistinctInputs:
        """The distinct inputs themselves."""
        return self._inputs

    @inputs.setter
    def inputs(self, inputs: DistinctInputs) -> None:
        self._inputs = inputs

    @property
    def label_store(self) -> LabelStore[Waiting]:
        """What waits for a label, and labels that wait, themselves."""
        return self._labels

    @property
    def sequence(self) -> int:
        """Grows with every change."""
        return self._sequence

    @property
    def calls(self) -> int:
        """That count, without repeats."""
        return self._calls

    @property
    def began_unix_ns(self) -> int:
        """When the evidence began."""
        return self._began_ns + self.unix_offset_ns

    @property
    def latest_unix_ns(self) -> int:
        """The latest moment that the evidence knows of."""
        return self._latest_ns + self.unix_offset_ns

    @property
    def decided_unix_ns(self) -> int:
        """When the decision that stands was made; 0 without one."""
        return self._latches.decided_unix_ns

    @property
    def latches(self) -> Latches:
        """The decisions themselves."""
        return self._latches

    def continued(self, leap: int) -> None:
        """Note that the counts are another life's.

        Args:
            leap: more than that life may have told of after what is here.
        """
        self._sequence += leap


def declared_of(settings: JudgeSettings) -> str:
    """What was declared and decides: neither what is only shown, nor versions."""
    return settings.model_dump_json(exclude=_NO_RULES)


def digest_of(settings: JudgeSettings, control_fraction: float, rules: str) -> str:
    """Names the rules of the whole evidence, so that only like is added to like.

    See `declared_of`.
    """
    text = f"{declared_of(settings)}\n{control_fraction!r}\n{rules}"
    return sha256(text.encode()).hexdigest()[:16]
