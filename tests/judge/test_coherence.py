"""Words and numbers come from one place: in whatever state, they never contradict each other."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sidecar.judge.counts import Coverage
from sidecar.judge.criteria.base import Criterion
from sidecar.judge.judge import Judge
from sidecar.judge.report import CriterionVerdict, State, Verdict
from sidecar.report.as_json import from_json, to_json
from sidecar.report.report import Report
from sidecar.report.table import line
from tests.judge.pairs import SECOND, failed, pair, required, settings

CRITERIA: tuple[Criterion, ...] = (
    required("disagreement", 0.05),
    required("shadow_error_rate", 0.05, weight=3.0),
    required("bias", 0.1, name="informative").model_copy(update={"required": False}),
)
RATE = 4


def _holds(found: Verdict) -> None:
    rows = [c for c in found.criteria if c.required]
    worse = [s for s in found.slices if s.flagged and s.required]
    match found.state:
        case State.FAIL:
            assert worse or any(c.state is State.FAIL for c in rows), found.reason
        case State.PASS:
            assert all(c.state is State.PASS for c in rows)
            assert not worse
        case State.WATCHING:
            assert not any(c.state is State.FAIL for c in rows), found.reason
    by_name = {c.name: c for c in found.criteria}
    name, colon, said = found.reason.partition(": ")
    if colon and name in by_name and found.state is State.WATCHING:
        assert said == by_name[name].reason
    for criterion in found.criteria:
        _agrees(criterion)
    for one in found.slices:
        assert one.n >= 0
        assert (one.decided_unix > 0) is one.flagged


def _agrees(c: CriterionVerdict) -> None:
    if c.state in {State.PASS, State.FAIL} and c.decided_unix and not c.two_sided:
        assert c.decided_estimate is not None
        assert (c.decided_estimate < c.margin) is (c.state is State.PASS), c.reason
        assert "now" in c.reason or "margin of" in c.reason
    if c.interval is not None and c.bounds is not None:
        low, high = c.interval
        assert low <= c.bounds[1] + 1e-9
        assert c.bounds[0] - 1e-9 <= high


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_headline_criteria_slices_and_examples_agree_in_every_state(
    seed: int, independent: bool
) -> None:
    """Streams that go well, ill, and well again, in all and in one slice, with calls lost."""
    rng = np.random.default_rng(seed)
    declared = settings(
        *CRITERIA,
        independent_calls=independent,
        repeat_seconds=0.0,
        slices=[{"source": "metadata:tier"}],
        coverage_floor=0.5,
        min_calls=50,
        swing=float(rng.choice([1.0, 2.0])),
        block_seconds=(5, 30),
        unseen_seconds=5,
        max_calls=12_000,
    )
    judge = Judge(declared, "pod", 0)
    i = lost = 0
    seen: set[State] = set()
    for phase in range(7):
        rate, ill, errors = rng.choice([0.0, 0.02, 0.1, 0.6]), rng.choice([0, 0.5]), rng.choice(
            [0.0, 0.2], p=[0.8, 0.2]
        )  # fmt: skip
        if not phase:
            rate = ill = errors = 0.0  # it begins well
        for _ in range(RATE * 300):
            at = i * SECOND // RATE
            tier = "gold" if rng.random() < 0.2 else "free"
            where: dict[str, Any] = {"arrived_ns": at, "slices": (("tier", tier),)}
            if rng.random() < errors:
                judge.observe(failed(i, **where), at)
            else:
                differs = bool(rng.random() < (ill if tier == "gold" else rate))
                judge.observe(pair(i, differs, **where), at)
            i += 1
            if i % (RATE * 60) == 0:
                if rng.random() < 0.1:
                    judge.lose({"queue_full": 20}, at)
                    lost += 20
                found = judge.verdict(at, Coverage(i, i + lost))
                seen.add(found.state)
                _holds(found)
                if found.state is State.FAIL and found.slices:
                    flagged = {(s.criterion, s.slice) for s in found.slices if s.flagged}
                    for criterion, slice_ in flagged:
                        assert judge.worst(criterion, slice_)
        report = Report("candidate", 1e9, found)
        assert line(report).startswith(f"{found.state} ")
        again = from_json(json.loads(json.dumps(to_json(report))))
        assert again.verdict == from_json(to_json(report)).verdict
    assert len(seen) >= 2
