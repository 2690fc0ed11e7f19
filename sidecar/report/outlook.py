"""When it will be decided, and what was known when it was, in words. Pure.

Rule: a forecast is a guess about the future and says so, with what is not known of it; a decided
figure stands beside the present one, each with its own n. Counterparts: `judge.forecast`, which
computes; `table` and the page's sections, which show.
"""

from __future__ import annotations

from sidecar.judge.forecast import Forecast
from sidecar.judge.report import CriterionVerdict, SliceVerdict
from sidecar.report.charts import between
from sidecar.report.figures import Formatter, count, instant, span

_SHORT = 60  # seconds below which nobody plans


def forecast_words(found: Forecast, unit: Formatter) -> str:
    """When, with its own uncertainty: "PASS in about 3 h (2 h to 9 h), some 41,000 calls more"."""
    effect = f"{unit(found.effect)} ({unit(found.effect_low)} to {unit(found.effect_high)})"
    if found.seconds is None:
        return f"at {effect} no decision is near: the effect lies too close to the margin"
    said = f"{found.verdict} in about {_time(found.seconds)}"
    soonest, latest = found.soonest_seconds, found.latest_seconds
    if soonest is not None:
        said += f" ({_time(soonest)} to {'nobody knows' if latest is None else _time(latest)})"
    said += f", some {_rounded(found.calls or 0.0)} calls more, if it stays at {effect}"
    if found.may_be_either:
        said += "; it may yet be either, for the margin lies between"
    return said


def decided_words(found: CriterionVerdict | SliceVerdict, unit: Formatter) -> str:
    """The figure that decided: "when decided, 14:02 UTC: 12 % (9 % to 15 %) of 400 calls".

    Where it is the figure that is shown, only when.
    """
    if not found.decided_unix:
        return ""
    moment = instant(found.decided_unix)
    when = "" if moment is None else f", {moment:%H:%M} UTC"
    if found.decided_n == found.n:
        return f"decided{when.replace(',', '')}, with just these"
    around = between(found.decided_interval, unit) if found.decided_interval else ""
    ends = f" ({around})" if around else ""
    calls = count(found.decided_n)
    return f"when decided{when}: {unit(found.decided_estimate)}{ends} of {calls} calls"


def _time(seconds: float) -> str:
    return "a minute" if seconds < _SHORT else span(seconds)


def _rounded(calls: float) -> str:
    """Two digits: it is a guess."""
    digits = max(0, len(f"{calls:.0f}") - 2)
    return count(round(calls, -digits))
