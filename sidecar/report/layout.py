"""What the page's sections are made of: headings, tables, and the signs of the four states. Pure.

Counterparts: `sections`, `criteria` and `traffic`, which are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.report.markup import Child, Markup, tag

Row = Mapping[str, Any]

SIGNS = {"PASS": "M5 10.5l3.5 3.5L15 7", "FAIL": "M6 6l8 8M14 6l-8 8",
         "WATCHING": "M10 5v5l3.5 2", "INCONCLUSIVE": "M5.5 10h9"}  # fmt: skip
"""A sign for each state, so that colour is not all there is."""


def section(name: str, title: str, *children: Child, note: Child = None) -> Markup:
    """One part of the page, under its heading."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        tag("p", note, class_="note") if note else None,
        children,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def table(heads: Sequence[str], rows: Child, label: str, class_: str = "") -> Markup:
    """A table that scrolls sideways where the screen is narrow.

    Args:
        heads: of the columns; one that begins with "#" is about numbers.
        rows: `tr` elements.
        label: what the table is about, for those who do not see it.
        class_: of the table.
    """
    cells = [
        tag("th", h.removeprefix("#"), scope="col", class_="number" if h[:1] == "#" else None)
        for h in heads
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", cells)),
            tag("tbody", rows),
            class_=class_ or None,
            aria_label=label,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )


def row_head(name: Child, more: Child = None) -> Markup:
    """The heading of a table's row: what it is about, and a line below it, if there is one."""
    return tag("th", name, tag("span", more, class_="more") if more else None, scope="row")


def chip(state: str) -> Markup:
    """A state as a small label."""
    return tag("span", sign(state, 14), state, class_=f"chip {tone(state)}")


def sign(state: str, size: int) -> Markup:
    """A state's sign in a circle; see `signs`."""
    return tag(
        "svg",
        tag("use", href=f"#sign-{tone(state)}"),
        class_="sign",
        width=size,
        height=size,
        aria_hidden="true",
    )


def signs() -> Markup:
    """The signs themselves, once for the whole page."""
    return tag(
        "svg",
        [
            tag(
                "symbol",
                tag("circle", cx=10, cy=10, r=9),
                tag("path", d=path),
                id=f"sign-{tone(state)}",
                viewBox="0 0 20 20",
            )
            for state, path in SIGNS.items()
        ],
        class_="signs",
        width=0,
        height=0,
        aria_hidden="true",
    )


def tone(state: str) -> str:
    return state.lower() if state in SIGNS else "inconclusive"
