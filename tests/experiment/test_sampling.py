"""A share of calls that is changed while running: what is judged is all of them, not the drawn."""

from __future__ import annotations

import pytest

from sidecar.judge.report import State
from sidecar.tee.settings import SampleSettings
from tests.house import MS, House, told

MINUTE_NS = 60_000 * MS
BEGUN = 0.4
ALL = 50  # calls a minute, before any is drawn


@pytest.mark.parametrize(
    ("changed", "before", "after", "margin", "state"),
    [
        pytest.param(0.1, 0.0, 0.4, 0.12, State.FAIL, id="lowered while it is bad"),
        pytest.param(0.1, 0.2, 0.0, 0.15, State.PASS, id="lowered while it is well"),
        pytest.param(1.0, 0.4, 0.0, 0.12, State.FAIL, id="raised while it is well"),
        pytest.param(1.0, 0.0, 0.2, 0.13, State.PASS, id="raised while it is bad"),
    ],
)
def test_a_changed_sample_fraction_is_weighed(
    changed: float, before: float, after: float, margin: float, state: State
) -> None:
    """Every other minute another share is drawn. Unweighed, the mean lies beyond the margin."""
    criterion = {"kind": "disagreement", "name": "same", "margin": margin, "required": True}
    judge = {"criteria": [criterion], "independent_calls": False, "swing": 1, "min_blocks": 10}
    house = House({**judge, "min_distinct_inputs": 1, "slices": []}, sample={"fraction": BEGUN})
    drawn = differed = 0
    for minute in range(240):
        share, bad = ((BEGUN, before), (changed, after))[minute % 2]
        settings = house.experiment.state().settings
        sample = SampleSettings(fraction=share)
        house.experiment.change(settings.model_copy(update={"sample": sample}))
        calls = round(ALL * share)
        for i in range(calls):
            house.now_ns += MINUTE_NS // calls - MS
            differs = (i * bad) % 1 + bad > 0.999
            house.call(told(2.0 if differs else 1.0))
            drawn, differed = drawn + 1, differed + differs
    found = house.judged.evaluate(house.now_ns)
    assert (differed / drawn > margin) is (state is State.PASS), "or the weight changed nothing"
    (one,) = found.criteria
    assert one.estimate == pytest.approx((before + after) / 2, rel=0.05)
    assert found.state is state, found.reason
