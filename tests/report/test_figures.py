from __future__ import annotations

import math

import pytest

from sidecar.call import SkipReason
from sidecar.compare.result import Outcome
from sidecar.judge.criteria.shapes import Unit
from sidecar.report import figures
from sidecar.report.figures import OUTCOMES, SKIPS, UNITS


def spaced(text: str) -> str:
    return text.replace("\u202f", " ").replace(figures.MINUS, "-")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (12345.678, "12,346"), (1.2345, "1.23"), (-99.96, "-100"),
     (0.00012345, "0.000123"), (1e-9, "0"), (-1e-9, "0"), (100, "100"), (0.1, "0.1"),
     (math.inf, "\u221e"), (-math.inf, "-\u221e")],
)  # fmt: skip
def test_a_number_has_three_significant_digits(value: float, text: str) -> None:
    assert spaced(figures.significant(value)) == text


@pytest.mark.parametrize(
    ("formatter", "value", "text"),
    [
        (figures.percent, 0.01234, "1.23 %"),
        (figures.change, 0.5, "+50 %"),
        (figures.change, 0.001, "+0.1 %"),
        (figures.change, -0.5, "-50 %"),
        (figures.change, 0.0, "0 %"),
        (figures.points, 0.013, "+1.3 pp"),
        (figures.milliseconds, 0.25, "250 µs"),
        (figures.milliseconds, 2.5, "2.5 ms"),
        (figures.milliseconds, 2500.0, "2.5 s"),
        (figures.milliseconds, 0.0, "0 ms"),
        (figures.seconds_apart, 0.0042, "+4.2 ms"),
        (figures.seconds_apart, -0.0042, "-4.2 ms"),
        (figures.span, 0.2, "0 s"),
        (figures.span, 59.6, "1 min"),
        (figures.span, 3723.0, "1 h 2 min"),
        (figures.span, 90_000.0, "1 d 1 h"),
        (figures.span, 86_400.0, "1 d"),
        (figures.span, 86_401.0, "1 d"),
    ],
)
def test_figures_carry_the_unit_that_fits(
    formatter: figures.Formatter, value: float, text: str
) -> None:
    assert spaced(formatter(value)) == text


@pytest.mark.parametrize("formatter", [*set(UNITS.values()), figures.count, figures.plain])
def test_what_is_not_known_is_a_dash(formatter: figures.Formatter) -> None:
    assert formatter(None) == figures.UNKNOWN


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [(3.0, 2.0, "+50 %"), (1.0, 2.0, "-50 %"), (4.0, 2.0, "×2"), (1.0, 0.0, "\u2013")],  # noqa: RUF001
)
def test_one_number_against_another_is_a_share_until_it_doubles(
    value: float, base: float, text: str
) -> None:
    assert spaced(figures.against(value, base)) == text


def test_every_unit_outcome_and_skip_reason_has_its_words() -> None:
    assert set(UNITS) == {unit.value for unit in Unit}
    assert set(OUTCOMES) == {outcome.value for outcome in Outcome}
    assert set(SKIPS) == {reason.value for reason in SkipReason}


def test_a_criterion_without_a_unit_has_no_percent() -> None:
    assert figures.unit_of("plain")(2.5) == "2.5"
    assert spaced(figures.unit_of("share")(0.25)) == "25 %"


def test_a_time_that_no_calendar_holds_is_none() -> None:
    assert figures.instant(1e20) is None
    assert figures.instant(math.nan) is None
