"""The page's drawings, as inline SVG. Pure.

Rule: positions are shares of the width, so that a drawing fits a phone and a wide screen while its
text keeps its size; colours are classes, so that the style sheet may follow the reader's scheme;
every drawing says in its title what it shows. Counterparts: `page.css`, `page`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from sidecar.report.figures import Formatter, count, instant, milliseconds, percent
from sidecar.report.markup import Child, Markup, tag
from sidecar.report.report import OverTime, Side

Buckets = Sequence[Sequence[float]]  # upper edge in milliseconds and count, ascending
P = (50, 95, 99)

_REACH = 4.0  # margins beyond the estimate; a wider interval is cut there, with an arrow
_MOST_BINS = 90
_THICKEST = 22.0  # of a column over time, in thousandths of the width
_LABEL = 6.5  # percent of the width that a quantile's label needs at least


def _x(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def _line(x1: str, x2: str, y1: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


# ---- an interval against its margin ------------------------------------------------------------


def reach(margin: float, estimate: float, interval: Sequence[float | None] | None) -> float:
    """How far from its margin a criterion's figures go, at most `_REACH` margins more."""
    low, high = _ends(estimate, interval)
    estimate = margin if math.isinf(estimate) else estimate
    most = _REACH * (abs(margin) or 0.05)
    least = min(0.0, estimate)
    furthest = max(margin, estimate)
    left = margin - max(min(least, low), least - most)
    right = min(max(furthest, high), furthest + most) - margin
    return 1.06 * max(left, right)


def _ends(estimate: float, interval: Sequence[float | None] | None) -> tuple[float, float]:
    low, high = interval or (estimate, estimate)
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def interval_bar(
    margin: float,
    estimate: float | None,
    interval: Sequence[float | None] | None,
    far: float,
    unit: Formatter,
    state: str,
    *,
    both: bool = False,
) -> Markup:
    """The margin in the middle, what is worse to the right of it, and the interval where it lies.

    Args:
        margin: in the criterion's unit.
        estimate: likewise; None draws the margin alone.
        interval: its confidence sequence; an end may be None where it is not finite.
        far: the distance from the margin to either edge, from `reach`.
        unit: writes the numbers.
        state: PASS, FAIL, or anything that is undecided.
        both: the margin holds on both sides of zero, which then is in the middle.
    """
    centre = 0.0 if both else margin
    far = max(far + margin if both else far, 1e-12)

    def at(value: float) -> float:
        return 0.5 + (value - centre) / (2 * far)

    drawn: list[Child] = []
    for edge in (-margin, margin) if both else (margin,):
        outside = (at(edge), 1.0) if edge == margin else (0.0, at(edge))
        drawn += [
            tag("rect", x=_x(outside[0]), y=14, width=_x(outside[1] - outside[0]), height=22,
                class_="beyond"),
            _line(_x(at(edge)), _x(at(edge)), 12, 38, "margin"),
            tag("text", unit(edge), x=_x(at(edge)), y=9, class_="mid"),
        ]  # fmt: skip
    drawn.append(_line("0%", "100%", 25, 25, "axis"))
    zero = at(0.0)
    if zero >= 0 and (both or abs(zero - 0.5) > 0.09):
        drawn += [
            _line(_x(zero), _x(zero), 20, 30, "zero"),
            tag("text", "0", x=_x(zero), y=9, class_="start" if zero < 0.03 else "mid"),
        ]
    title = f"margin {unit(margin)}, no data"
    if estimate is not None:
        low, high = _ends(estimate, interval)
        title = f"{unit(estimate)}, {between(interval, unit)}, margin {unit(margin)}"
        drawn.append(_whisker(at(low), at(high), at(estimate), state))
    return tag("svg", tag("title", title), drawn, class_="bar", role="img")


def between(interval: Sequence[float | None] | None, unit: Formatter) -> str:
    """An interval in words."""
    if not interval:
        return "interval unknown"
    low, high = (None if end is None or math.isinf(end) else end for end in interval)
    if low is None and high is None:
        return "interval unknown"
    if low is None or high is None:
        return f"at least {unit(low)}" if low is not None else f"at most {unit(high)}"
    return f"{unit(low)} to {unit(high)}"


def _whisker(low: float, high: float, estimate: float, state: str) -> Markup:
    tone = {"PASS": "good", "FAIL": "bad"}.get(state, "open")
    a, b = min(1.0, max(0.0, low)), min(1.0, max(0.0, high))
    parts: list[Child] = [
        tag("rect", x=_x(a), y=21, width=_x(max(0.004, b - a)), height=8, rx=4, class_="range")
    ]
    for cut, x, text in ((low < 0, 0.0, "\u2039"), (high > 1, 1.0, "\u203a")):
        if cut:
            parts.append(tag("text", text, x=_x(x), y=30, class_="cut start" if x == 0 else "cut"))
    parts.append(tag("circle", cx=_x(min(0.985, max(0.015, estimate))), cy=25, r=5.5, class_="dot"))
    return tag("g", parts, class_=tone)


# ---- latency -----------------------------------------------------------------------------------


def latency_chart(sides: Mapping[str, Side], names: Mapping[str, str]) -> Markup:
    """Both sides' latencies on one logarithmic axis, with their quantiles below.

    Args:
        sides: "production" and "shadow", each with `buckets` and `p50_ms`, `p95_ms`, `p99_ms`.
        names: what the sides are called.
    """
    low, high = _domain([side.buckets for side in sides.values()])
    decades = math.log(high / low)

    def at(ms: float) -> float:
        return min(1.0, max(0.0, math.log(ms / low) / decades))

    bins = max(8, min(_MOST_BINS, round(decades / math.log(1.02) / 2)))
    shares = {name: _binned(side.buckets, at, bins) for name, side in sides.items()}
    top = max((max(row) for row in shares.values()), default=1.0) or 1.0
    curves = [
        tag("path", d=_steps([height / top for height in row]), class_=f"curve {name}")
        for name, row in shares.items()
    ]
    drawn: list[Child] = []
    for ms in _ticks(low, high):
        drawn += [
            _line(_x(at(ms)), _x(at(ms)), 4, 204, "grid"),
            tag("text", milliseconds(ms), x=_x(at(ms)), y=220, class_=_anchor(at(ms))),
        ]
    drawn.append(
        tag("svg", curves, y=4, height=136, width="100%", viewBox="0 0 1000 100",
            preserveAspectRatio="none")
    )  # fmt: skip
    drawn.append(_line("0%", "100%", 140, 140, "axis"))
    title = []
    for y, (name, side) in zip((170, 194), sides.items(), strict=False):
        known = zip(P, (side.p50_ms, side.p95_ms, side.p99_ms), strict=True)
        values = [(p, ms) for p, ms in known if ms is not None]
        drawn.append(_quantiles(values, at, y, name, labelled=y == 170))
        told = ", ".join(f"p{p} {milliseconds(ms)}" for p, ms in values)
        title.append(f"{names.get(name, name)}: {told or 'no data'}")
    return tag("svg", tag("title", "Latencies. " + "; ".join(title)), drawn, class_="chart",
               role="img", height=226, width="100%")  # fmt: skip


def _domain(sides: Iterable[Buckets]) -> tuple[float, float]:
    """From the fastest to the slowest, without one in a thousand on either end."""
    ends = [(_rank(b, 0.001), _rank(b, 0.999)) for b in sides if b]
    low = min((a for a, _ in ends), default=1.0) / 1.15
    high = max((b for _, b in ends), default=10.0) * 1.1
    if high / low < 1.5:
        middle = math.sqrt(low * high)
        low, high = middle / 1.25, middle * 1.25
    return low, high


def _rank(buckets: Buckets, p: float) -> float:
    left = p * sum(n for _, n in buckets)
    for edge, n in buckets:
        left -= n
        if left <= 0:
            return edge
    return buckets[-1][0]


def _binned(buckets: Buckets, at: Callable[[float], float], bins: int) -> list[float]:
    """The share of the latencies in each column."""
    total = sum(n for _, n in buckets) or 1
    row = [0.0] * bins
    for edge, n in buckets:
        row[min(bins - 1, int(at(edge / 1.01) * bins))] += n / total  # about a bucket's middle
    # A bucket is narrower than a column, but not by a whole number: even out the beat.
    return [(a + 2 * b + c) / 4 for a, b, c in zip([0.0, *row], row, [*row[1:], 0.0], strict=False)]


def _steps(heights: Sequence[float]) -> str:
    width = 1000 / len(heights)
    tops = (f"L{i * width:.0f} {100 - 96 * h:.1f}H{(i + 1) * width:.0f}"
            for i, h in enumerate(heights))  # fmt: skip
    return "M0 100" + "".join(tops) + "L1000 100Z"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends: about two to eight of them."""
    first = math.floor(math.log10(low))
    decades = range(first, math.ceil(math.log10(high)) + 1)
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(range(1, 10))):
        ticks = [m * 10.0**d for d in decades for m in mantissas if low <= m * 10.0**d <= high]
        if len(ticks) >= 3:
            return ticks
    return ticks


def _anchor(share: float) -> str:
    return "start" if share < 0.04 else "end" if share > 0.96 else "mid"


def _quantiles(
    values: Sequence[tuple[int, float]],
    at: Callable[[float], float],
    y: int,
    name: str,
    *,
    labelled: bool,
) -> Markup:
    if not values:
        return tag("g")
    places = [at(ms) for _, ms in values]
    drawn: list[Child] = [_line(_x(places[0]), _x(places[-1]), y, y, "lane")]
    label = -1.0
    for (p, _), x in zip(values, places, strict=True):
        drawn.append(tag("circle", cx=_x(x), cy=y, r=6.5 - p / 25, class_="dot"))
        label = max(x, label + _LABEL / 100)
        if labelled:
            drawn.append(tag("text", f"p{p}", x=_x(label), y=y - 11, class_=_anchor(label)))
    return tag("g", drawn, class_=f"quantiles {name}")


# ---- over time ---------------------------------------------------------------------------------


def time_chart(over_time: OverTime) -> Markup:
    """The share of calls that differ, by time, and how many calls there were."""
    points, width = over_time.points, over_time.width_seconds
    first = points[0].unix_seconds
    last = max(points[-1].unix_seconds + width, first + 12 * width)
    scale = 1000 / (last - first)
    shares = [(p.differing / p.compared, p.failed / p.compared) for p in points]
    top = _ceiling(max(differing for differing, _ in shares))
    most = max(p.compared for p in points)

    def columns(heights: Iterable[float]) -> str:
        thick = min(_THICKEST, max(1.0, 0.84 * width * scale))
        return "".join(
            f"M{(p.unix_seconds - first) * scale:.0f} 100V{100 - 100 * h:.1f}h{thick:.1f}V100z"
            for p, h in zip(points, heights, strict=True)
            if h > 0
        )

    def area(y: int, height: int, *paths: Markup) -> Markup:
        return tag("svg", paths, y=y, height=height, width="100%", viewBox="0 0 1000 100",
                   preserveAspectRatio="none")  # fmt: skip

    drawn: list[Child] = [
        _line("0%", "100%", 16, 16, "grid"),
        _line("0%", "100%", 61, 61, "grid"),
        area(
            16,
            90,
            tag("path", d=columns(d / top for d, _ in shares), class_="differing"),
            tag("path", d=columns(f / top for _, f in shares), class_="failed"),
        ),
        _line("0%", "100%", 106, 106, "axis"),
        tag("text", f"{percent(top)} differ", x="0%", y=11, class_="start"),
        area(116, 26, tag("path", d=columns(p.compared / most for p in points), class_="calls")),
        _line("0%", "100%", 142, 142, "axis"),
        tag("text", f"most in {width} s: {count(most)} calls", x="100%", y=11, class_="end"),
    ]
    for share in (0.0, 0.5, 1.0):
        moment = instant(first + share * (last - first))
        text = f"{moment:%H:%M:%S}" if moment else ""
        drawn.append(tag("text", text, x=_x(share), y=158, class_=_anchor(share)))
    calls = sum(p.compared for p in points)
    differing = sum(p.differing for p in points)
    title = f"Over time: {count(differing)} of {count(calls)} compared calls differ"
    return tag("svg", tag("title", title), drawn, class_="chart", role="img", height=164,
               width="100%")  # fmt: skip


def _ceiling(share: float) -> float:
    """The next round number, at most 1."""
    if share <= 0:
        return 0.01
    size = 10.0 ** math.floor(math.log10(share))
    return float(min(1.0, next(m * size for m in (1, 2, 5, 10) if m * size >= share * 0.999)))
