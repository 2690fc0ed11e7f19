from __future__ import annotations

import math

import numpy as np
import pytest

from sidecar.judge.criteria.at_k import firsts
from sidecar.judge.criteria.base import Criterion
from sidecar.judge.criteria.labelled import Labelled
from sidecar.judge.decision import Decision
from sidecar.judge.evidence.mixtures import Side, threshold
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Label, LabelValue
from sidecar.judge.pair import Value
from sidecar.judge.report import State
from tests.judge.pairs import MS, SECOND, failed, judged, pair, required, settings
from tests.judge.streams import bound

ABOVE = Decision(threshold=0.5)
CLASS = Decision(argmax=True)


def score(criterion: Criterion, a: Value, b: Value | None, truth: LabelValue) -> float | None:
    plan = criterion.plan(0.0)
    call = pair(0, values={"score": (a, b)}) if b is not None else failed(0, values={"s": (a, b)})
    assert isinstance(criterion, Labelled)
    rows = criterion.remember(call)
    assert rows is not None
    found = criterion.by_label(plan, rows, Label("id", truth))
    if found is None:
        return None
    return math.fsum(plan.edges[int(name)] * w for name, w in found if name.isdigit())


@pytest.mark.parametrize(
    ("a", "b", "truth", "expected"),
    [
        (0.9, 0.1, 1, 1.0),
        (0.9, 0.1, 0, -1.0),
        (0.9, 0.8, 0, 0.0),
        (0.9, None, 1, 1.0),
        (0.9, None, 0, 0.0),
        (np.array([0.9, 0.9, 0.1, 0.1]), np.array([0.9, 0.1, 0.1, 0.1]), [1, 1, 0, 0], 0.25),
        (0.9, 0.1, "1", 1.0),
        (0.9, 0.1, True, 1.0),
        (0.9, 0.1, "cat", None),
        (np.array([0.9, 0.1]), np.array([0.1, 0.1]), [1], None),
    ],
)
def test_accuracy_is_productions_share_of_right_rows_less_the_shadows(
    a: Value, b: Value | None, truth: LabelValue, expected: float | None
) -> None:
    criterion = required("accuracy", 0.02, decision=ABOVE, labels="sample")
    found = score(criterion, a, b, truth)
    assert found == (None if expected is None else pytest.approx(expected))


def test_recall_is_about_the_calls_whose_label_is_positive() -> None:
    criterion = required("recall", 0.02, decision=ABOVE, labels="sample")
    assert score(criterion, 0.9, 0.1, 1) == pytest.approx(1)
    assert score(criterion, 0.9, 0.1, 0) is None


@pytest.mark.parametrize(
    ("kind", "expected"), [("precision_at_k", (2 - 1) / 3), ("recall_at_k", (2 - 1) / 4)]
)
@pytest.mark.parametrize("truth", [[1, 2, 7, 8], "1 2 7 8", "1,2,7,8"])
def test_at_k_compares_what_is_found_among_the_first(
    kind: str, expected: float, truth: LabelValue
) -> None:
    criterion = required(kind, 0.02, k=3)
    assert score(criterion, np.array([1, 2, 3, 9]), np.array([5, 7, 6]), truth) == pytest.approx(
        expected
    )


def test_scores_are_ranked_before_they_are_cut() -> None:
    criterion = required("precision_at_k", 0.02, k=1)
    a, b = np.array([0.1, 0.8, 0.1]), np.array([0.9, 0.05, 0.05])
    assert score(criterion, a, b, [1]) == pytest.approx(1)


def test_a_disagreement_without_its_label_counts_as_either() -> None:
    """No label at all must not look like agreement, nor like harm."""
    criterion = required("accuracy", 0.02, decision=ABOVE)
    judge = Judge(settings(criterion), "a", 0)
    for i in range(4000):
        judge.observe(pair(i, values={"s": (0.9, 0.1 if i % 20 == 0 else 0.9)}), i * MS)
    verdict = judged(judge, 4000)
    assert verdict.state is State.WATCHING
    interval = verdict.criteria[0].interval
    assert interval is not None
    assert interval[0] < -0.05 < 0.05 < interval[1]


@pytest.mark.parametrize(("right", "state"), [(0.1, State.FAIL), (0.5, State.PASS)])
def test_labels_of_disagreements_decide_as_labels_of_all_calls_would(
    right: float, state: State
) -> None:
    rng = np.random.default_rng(31)
    few = required("accuracy", 0.02, name="few", decision=CLASS)
    all_ = required("accuracy", 0.02, name="all", decision=CLASS, labels="sample")
    judge = Judge(settings(few, all_), "a", 0)
    yes, no = np.array([0.1, 0.9]), np.array([0.9, 0.1])
    for i in range(6000):
        differs, candidate_right = rng.random() < 0.06, rng.random() < right
        judge.observe(pair(i, values={"p": (yes, no if differs else yes)}), i * MS)
        judge.label(Label(f"id-{i}", 0 if differs and candidate_right else 1), i * MS)
    verdict = judged(judge, 6000)
    assert [c.state for c in verdict.criteria] == [state, state]
    a, b = verdict.criteria
    assert a.estimate == pytest.approx(b.estimate)
    assert a.log_fail == pytest.approx(b.log_fail)


@pytest.mark.parametrize("kind", ["precision", "f1"])
@pytest.mark.parametrize(("good", "state"), [(0.95, State.PASS), (0.55, State.FAIL)])
def test_precision_and_f1_find_a_worse_and_an_equal_candidate(
    kind: str, good: float, state: State
) -> None:
    rng = np.random.default_rng(32)
    criterion = required(kind, 0.1, decision=ABOVE, labels="sample")
    judge = Judge(settings(criterion), "a", 0)
    for i in range(3000):
        truth = bool(rng.random() < 0.5)
        a, b = (float(truth == (rng.random() < p)) for p in (0.95, good))
        judge.observe(pair(i, values={"p": (a, b)}), i * MS)
        judge.label(Label(f"id-{i}", int(truth)), i * MS)
    verdict = judged(judge, 3000)
    assert verdict.criteria[0].state is state
    found = verdict.criteria[0]
    assert found.interval is not None
    assert found.estimate is not None
    assert found.interval[0] <= found.estimate <= found.interval[1]
    assert found.estimate == pytest.approx(0.95 - good, abs=0.06)


@pytest.mark.parametrize("kind", ["precision", "f1"])
def test_false_verdicts_about_two_ratios_on_the_margin_stay_within_alpha(kind: str) -> None:
    """Both sides right with chance .9 and .85 on either class, so precision and F1 are too."""
    rng = np.random.default_rng(33)
    streams, alpha = 200, 0.025
    plan = required(kind, 0.05, decision=ABOVE, labels="sample").plan()
    looks = np.unique(np.geomspace(30, 3000, 8).astype(int))
    false = dict.fromkeys(Side, 0)
    for _ in range(streams):
        y = rng.random(looks[-1]) < 0.5
        a, b = (np.where(rng.random(looks[-1]) < right, y, ~y) for right in (0.9, 0.85))
        rows = 4 * a + 2 * b + y
        best = dict.fromkeys(Side, -math.inf)
        for n in looks:
            counts = np.bincount(rows[:n], minlength=8)
            cell = {f"o{i:03b}": float(count) for i, count in enumerate(counts)}
            found = plan.measure(cell)
            for side in Side:
                best[side] = max(best[side], found.evidence(side))
        for side in Side:
            false[side] += best[side] >= threshold(alpha)
    assert all(count / streams <= bound(alpha, streams) for count in false.values())


def test_a_shadow_that_never_says_yes_has_a_precision_to_be_judged_by() -> None:
    criterion = required("precision", 0.1, decision=ABOVE, labels="sample")
    judge = Judge(settings(criterion), "a", 0)
    for i in range(2000):
        judge.observe(pair(i, values={"p": (0.9, 0.1)}), i * MS)
        judge.label(Label(f"id-{i}", 1), i * MS)
    found = judged(judge, 2000).criteria[0]
    assert (found.n, found.estimate) == (2000, 1.0)
    assert found.state is not State.PASS


def test_nothing_counted_is_no_evidence_about_two_ratios() -> None:
    plan = required("precision", 0.1, decision=ABOVE, labels="sample").plan(0.0)
    assert plan.measure({}).n == 0
    assert plan.interval({}, 0.05) is None


def test_a_label_that_fits_no_criterion_is_counted_as_unusable() -> None:
    judge = Judge(settings(required("accuracy", 0.02, decision=ABOVE)), "a", 0)
    judge.observe(pair(0, values={"s": (0.9, 0.1)}), 0)
    judge.label(Label("id-0", "not a class"), 1)
    events = judged(judge, 1).events
    assert (events["joined"], events["unusable"]) == (0, 1)


def test_a_corrected_label_replaces_one_that_could_not_be_used() -> None:
    judge = Judge(settings(required("accuracy", 0.02, decision=ABOVE)), "a", 0)
    judge.observe(pair(0, values={"s": (np.array([0.9, 0.9]), np.array([0.1, 0.9]))}), 0)
    assert judge.wanted(1) == ["id-0"]
    assert judge.label(Label("id-0", [1]), 1) == (
        "accuracy cannot use a list of 1 for a call of 2 rows"
    )
    assert "cannot use 'cat'" in judge.label(Label("id-0", "cat"), 2)
    assert judge.wanted(1) == ["id-0"], "it waits for the corrected one"
    assert judge.label(Label("id-0", [1, 1]), 3) == ""
    assert judge.wanted(1) == []
    judge.label(Label("id-0", [0, 0]), 4)
    events = judged(judge, 1).events
    assert (events["joined"], events["unusable"], events["duplicate"]) == (1, 2, 1)


@pytest.mark.parametrize("kind", ["accuracy", "precision", "f1", "mae"])
def test_large_batches_of_a_sample_are_not_left_out_of_what_passes(kind: str) -> None:
    """Small calls are all alike; one call in three is a batch whose last rows are all wrong."""
    given = {"largest_error": 1} if kind == "mae" else {"decision": ABOVE}
    one = required(kind, 0.3, outputs="s", labels="sample", **given)
    states = []
    for large in (False, True):
        declared = settings(one, independent_calls=False, swing=1, min_blocks=30)
        judge = Judge(declared, "pod", 0)
        ours = np.full(300, 0.9)
        theirs = ours.copy()
        theirs[256:] = 0.1
        for i in range(2400):
            now = i * SECOND
            batch = large and i % 3 == 0
            values = {"s": (ours, theirs) if batch else (np.array([0.9]), np.array([0.9]))}
            judge.observe(pair(i, batch, arrived_ns=now, values=values), now)
            judge.label(Label(f"id-{i}", [1] * 300), now)
        states.append(judged(judge, 2400, 2400 * SECOND).state)
    assert states[0] is State.PASS
    assert states[1] is not State.PASS


def test_a_batch_too_large_to_be_judged_by_its_label_stays_open() -> None:
    """Only rows that were never looked at differ: that is no accuracy that was kept."""
    right = required("accuracy", 0.02, outputs="score", decision=CLASS)
    judge = Judge(settings(right), "pod", 0)
    ours = np.tile([0.9, 0.1], (300, 1))
    theirs = ours.copy()
    theirs[256:] = [0.1, 0.9]
    for i in range(2000):
        judge.observe(pair(i, True, values={"score": (ours, theirs)}), i * MS)
        judge.label(Label(f"id-{i}", [0] * 300), i * MS)
    found = judged(judge, 2000)
    assert found.state is State.WATCHING
    assert found.events["unusable"] == 2000
    same = Judge(settings(right), "pod", 0)
    for i in range(2000):
        same.observe(pair(i, values={"score": (ours, ours.copy())}), i * MS)
    assert judged(same, 2000).state is State.PASS


def test_calls_of_another_method_do_not_thin_out_what_a_criterion_is_about() -> None:
    wanted = "/svc/Important"
    right = required("accuracy", 0.02, outputs="score", decision=CLASS, methods=wanted)
    judge = Judge(settings(right), "pod", 0)
    ours, theirs = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    for i in range(2000):
        important = i % 100 == 0
        values = {"score": (ours, theirs if important else ours)}
        method = wanted if important else "/svc/Other"
        judge.observe(pair(i, important, method=method, values=values), i * MS)
        if important:
            judge.label(Label(f"id-{i}", 0), i * MS)
    found = judged(judge, 2000)
    assert found.state is not State.PASS
    assert found.criteria[0].n == 20
    assert found.criteria[0].estimate == pytest.approx(1)


def test_scores_that_are_no_numbers_rank_nothing() -> None:
    scores = np.array([[0.9, np.nan, 0.1], [0.2, 0.3, 0.1]])
    assert firsts(scores, 2) == ((), ())
    assert firsts(scores[1:], 2) == ((1, 0),)
    assert firsts(np.array([7, 8, 9]), 2) == ((7, 8),)
