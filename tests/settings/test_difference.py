"""What differs between two configurations, and what of that is live."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.kube.options import FOLLOWED
from sidecar.settings.difference import Difference, diff, take_live
from sidecar.settings.settings import Settings

A, B = {"name": "a", "address": "h:1"}, {"name": "b", "address": "h:2"}


def given(**tree: Any) -> Settings:
    return Settings.model_validate({"shadows": [A, B], **tree})


@pytest.mark.parametrize(
    ("change", "live", "restart"),
    [
        ({}, (), ()),
        ({"sample": {"fraction": 0.5}}, ("sample.fraction",), ()),
        ({"sample": {"key": "trace_id"}, "paused": True}, ("sample.key", "paused"), ()),
        (
            {"shadows": [A, {**B, "rate": {"calls_per_second": 9}, "deadline_seconds": 1}]},
            ("shadows.b.deadline_seconds", "shadows.b.rate.calls_per_second"),
            (),
        ),
        ({"shadows": [{**A, "address": "h:9"}, B]}, (), ("shadows.a.address",)),
        ({"shadows": [A, B, {**A, "name": "c"}]}, (), ("shadows.c (added)",)),
        ({"shadows": [B]}, (), ("shadows.a (removed)",)),
        ({"shadows": [B, A]}, (), ("shadows (order)",)),
        ({"match": {"methods": ["/a"]}}, (), ("match.methods",)),
        ({"judge": {"alpha": 0.1}}, (), ("judge.alpha",)),
        ({"wire": {"routes": [{"listen": "h:1", "upstream": "h:2"}]}}, (), ("wire.routes",)),
    ],
)
def test_every_key_that_differs_is_named_by_what_it_takes(
    change: dict[str, Any], live: tuple[str, ...], restart: tuple[str, ...]
) -> None:
    old, new = given(), given(**change)
    assert diff(old, new) == Difference(live, restart)
    assert bool(diff(old, new)) is bool(change)
    # After what is live has been taken over, exactly the rest still differs.
    assert diff(take_live(old, new), new) == Difference((), restart)
    assert not diff(take_live(old, new), old).restart


def test_what_the_pod_follows_by_annotation_is_live_or_brings_a_new_observer() -> None:
    """`sample` and `rate` are live; a changed `shadow` is a new observer, started by the guard."""
    old = given()
    sample = diff(old, given(sample={"fraction": 0.1}))
    rate = diff(old, given(shadows=[{**A, "rate": {"calls_per_second": 1}}, B]))
    assert sample.live
    assert rate.live
    assert not sample.restart + rate.restart
    assert set(FOLLOWED) == {"shadow", "sample", "rate"}
