"""The report as one self-contained HTML page: a file, and the live page of a sidecar. Pure.

Rules
    1. Nothing is loaded from anywhere: style and script are inside, and the page's policy allows
       just them, by their digests. No inline style or handler is ever needed.
    2. Everything from outside is text (see `markup`).
    3. Without scripts the page is whole. The script only brings the live page up to date: it asks
       for the page again and takes over what has changed, so that there is one renderer.
    4. Parts of which a report has nothing are left out.

Counterparts: `report`, which is shown; `admin.http`, which serves the page.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from sidecar.report import (
    criteria,
    distributions,
    layout,
    sections,
    service,
    side_by_side,
    traffic,
    versions,
)
from sidecar.report.figures import instant
from sidecar.report.markup import Child, Markup, join, raw, tag
from sidecar.report.report import Report


def _own(name: str) -> Markup:
    return raw(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


STYLE = _own("page.css")
_SCRIPT = _own("page.js")
_POLICY = f"default-src 'none'; style-src {_digest(STYLE)}; img-src data:; base-uri 'none'"

CONTENT_SECURITY_POLICY = (
    f"{_POLICY}; script-src {_digest(_SCRIPT)}; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The live page's policy, for its header; a file has a stricter one inside."""

_COLOURS = {"PASS": "#1a7f4b", "FAIL": "#c0322b", "WATCHING": "#2563a8"}


def render_html(
    report: Report,
    *,
    live: bool = False,
    trace_url: str = "",
    status: Mapping[str, Any] | None = None,
    shadows: Sequence[str] = (),
    beside: Sequence[Report] = (),
) -> str:
    """Write a report as a page.

    Args:
        report: as `build` makes it.
        live: it is served by a sidecar, and brings itself up to date.
        trace_url: where a trace can be opened, with `{trace_id}` in it; empty: no links.
        status: the sidecar's own, as `admin.status` makes it.
        shadows: the names of all shadows of this sidecar, to choose among.
        beside: the reports of all of them, this one included, to be shown side by side.
    """
    name, state = report.shadow or "shadow", report.state.value
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        None if live else tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{state} · {name} · shadow-sidecar"),
        tag("link", rel="icon", href=_icon(state)),
        tag("style", STYLE),
    )
    body = tag(
        "body",
        layout.signs(),
        _top(report, name, live=live, shadows=shadows),
        tag(
            "main",
            side_by_side.as_section(beside, name),
            sections.verdict(report),
            versions.versions(report),
            service.service(report),
            criteria.criteria(report),
            criteria.slices(report),
            sections.latency(report),
            sections.over_time(report),
            distributions.distributions(report),
            traffic.worst(report, trace_url),
            traffic.traffic(report, status or {}),
        ),
        tag("script", _SCRIPT) if live else None,
    )
    return join([raw("<!doctype html>\n"), tag("html", head, body, lang="en"), "\n"])


def _top(report: Report, name: str, *, live: bool, shadows: Sequence[str]) -> Markup:
    moment = instant(report.generated)
    when: Child = None
    if moment is not None:
        text = f"{moment:%H:%M:%S}" if live else f"{moment:%Y-%m-%d %H:%M:%S}"
        when = tag("time", f"{text} UTC", datetime=moment.isoformat(timespec="seconds"))
    return tag(
        "header",
        tag("p", tag("b", "shadow-sidecar"), tag("span", name, class_="who")),
        _choice(shadows, name) if len(shadows) > 1 else None,
        tag(
            "p",
            tag("span", "", class_="pulse") if live else "Report of ",
            when,
            id="when",
            class_="when",
        ),
    )


def _choice(shadows: Sequence[str], chosen: str) -> Markup:
    links = [
        tag(
            "a",
            name,
            href=f"?{urlencode({'shadow': name}, errors='replace')}",
            aria_current="page" if name == chosen else None,
        )
        for name in shadows
    ]
    return tag("nav", links, aria_label="Shadows")


def _icon(state: str) -> str:
    colour = _COLOURS.get(state, "#8a6100")
    drawn = tag("svg", tag("circle", cx=8, cy=8, r=7, fill=colour), viewBox="0 0 16 16",
                xmlns="http://www.w3.org/2000/svg")  # fmt: skip
    return "data:image/svg+xml," + quote(drawn)
