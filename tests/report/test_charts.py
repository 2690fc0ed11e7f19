from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.report import charts
from sidecar.report.figures import percent
from sidecar.report.report import OverTime, Point, Side
from tests.report.examples import side
from tests.report.reader import Page

NAMES = {"production": "production", "shadow": "candidate"}
NUMBER = st.floats(-3, 3)
MARGIN = st.floats(0.0001, 1)


def bar(margin: float, estimate: float | None, interval: Any = None, **given: Any) -> Page:
    far = charts.reach(margin, estimate or 0.0, interval)
    drawn = charts.interval_bar(margin, estimate, interval, far, percent, "WATCHING", **given)
    return Page(drawn)


def places(page: Page, tag: str, key: str, class_: str = "") -> list[float]:
    """Positions in percent of the width."""
    found = [a for a in page.all(tag) if not class_ or class_ in a.get("class", "").split()]
    return [float(a[key].removesuffix("%")) for a in found]


@given(MARGIN, NUMBER, st.tuples(st.floats(0, 3), st.floats(0, 3)))
def test_the_margin_is_in_the_middle_and_worse_is_to_its_right(
    margin: float, estimate: float, reach: tuple[float, float]
) -> None:
    page = bar(margin, estimate, [estimate - reach[0], estimate + reach[1]])
    (line,) = places(page, "line", "x1", "margin")
    (dot,) = places(page, "circle", "cx")
    assert line == 50
    assert (dot >= 50) == (estimate >= margin) or dot == pytest.approx(50, abs=0.01)
    (left,), (width,) = places(page, "rect", "x", "range"), places(page, "rect", "width", "range")
    assert 0 <= left <= left + width <= 100.4
    assert left - 1.5 <= dot <= left + width + 1.5


@given(MARGIN, st.floats(-1, 1), st.floats(0, 0.5))
def test_a_margin_on_both_sides_has_zero_in_the_middle(
    margin: float, estimate: float, reach: float
) -> None:
    page = bar(margin, estimate, [estimate - reach, estimate + reach], both=True)
    low, high = places(page, "line", "x1", "margin")
    (zero,) = places(page, "line", "x1", "zero")
    assert zero == 50
    assert low + high == pytest.approx(100, abs=0.02)
    assert len(places(page, "rect", "x", "beyond")) == 2


@pytest.mark.parametrize(
    ("interval", "said"),
    [((-1.0, math.inf), "at least \u2212100\u202f%"), ((-math.inf, 0.5), "at most 50\u202f%"),
     ((-math.inf, math.inf), "interval unknown")],
)  # fmt: skip
def test_an_end_that_is_not_finite_is_left_out(interval: tuple[float, float], said: str) -> None:
    assert said.replace("\u202f", " ") in bar(0.2, 0.1, interval).text
    assert charts.between(interval, percent) == said
    bar(0.2, math.inf, interval)


def test_an_interval_that_does_not_fit_is_cut_and_says_so() -> None:
    assert "\u203a" in bar(0.01, 0.02, [0.0, 1.0]).text
    assert "\u203a" in bar(0.01, 0.02, [0.0, None]).text
    assert "\u203a" not in bar(0.01, 0.02, [0.0, 0.03]).text


def test_without_data_the_margin_stands_alone() -> None:
    page = bar(0.01, None)
    assert page.all("circle") == []
    assert "no data" in page.text


def latency(production: Any, shadow: Any) -> Page:
    sides = {"production": Side(**production), "shadow": Side(**shadow)}
    return Page(charts.latency_chart(sides, NAMES))


def test_the_slower_side_lies_further_right() -> None:
    page = latency(side((1.0, 60), (2.0, 40)), side((10.0, 60), (20.0, 40)))
    dots = places(page, "circle", "cx")
    assert len(dots) == 6
    assert max(dots[:3]) < min(dots[3:])
    assert "production: p50 1 ms" in page.text


@pytest.mark.parametrize("edge", [0.001, 0.37, 5.0, 600_000.0])
def test_one_latency_alone_is_drawn_with_an_axis(edge: float) -> None:
    page = latency(side((edge, 1)), side((edge, 1)))
    assert 40 < places(page, "circle", "cx")[0] < 60
    ticks = [a for a in page.all("line") if a["class"] == "grid"]
    assert 2 <= len(ticks) <= 10


def test_one_in_a_thousand_does_not_squeeze_the_rest() -> None:
    page = latency(side((1.0, 5000), (2.0, 4999), (500_000.0, 1)), side((1.0, 1)))
    _, *written = [text.replace("\u202f", " ") for text in page.texts]
    assert written[:3] == ["1 ms", "1.5 ms", "2 ms"]
    assert not any(text.endswith(" s") for text in written)


@given(st.lists(st.tuples(st.floats(0.001, 600_000), st.integers(1, 10**9)), min_size=1))
def test_any_histogram_can_be_drawn(buckets: list[tuple[float, int]]) -> None:
    page = latency(side(*sorted(buckets)), side((1.0, 1)))
    assert all(0 <= x <= 100 for x in places(page, "circle", "cx"))
    for path in page.all("path"):
        assert all(0 <= float(y) <= 100 for y in re.findall(r"L\d+ ([\d.]+)", path["d"]))


def point(at: int, compared: int, differing: int, failed: int = 0) -> Point:
    return Point(at, compared, differing, failed)


def test_time_goes_from_left_to_right_and_shares_from_nought_to_a_round_number() -> None:
    points = [point(0, 100, 3), point(40, 50, 0), point(98, 10, 0, 1)]
    page = Page(charts.time_chart(OverTime(2, tuple(points))))
    differing, failed, calls = (a["d"] for a in page.all("path"))
    assert re.findall(r"M(\d+)", calls) == ["0", "400", "980"]
    assert differing.count("M") == failed.count("M") == 1
    assert "5 % differ" in page.text.replace("\u202f", " ")
    assert "00:00:00" in page.text
    assert "00:01:40" in page.text
    assert "3 of 160 compared calls differ" in page.text


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=120))
def test_no_column_is_higher_than_the_chart(differing: list[int]) -> None:
    points = [point(i, 1000, d, d) for i, d in enumerate(differing)]
    page = Page(charts.time_chart(OverTime(1, tuple(points))))
    for path in page.all("path"):
        assert all(0 <= float(v) <= 100 for v in re.findall(r"V([\d.-]+)", path["d"]))
