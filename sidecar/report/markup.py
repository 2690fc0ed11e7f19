"""HTML and SVG as nested calls. Pure.

Rule: text is escaped unless this module made it, so that what comes from outside (names of outputs,
methods, correlation ids) cannot become markup by forgetting something. Counterpart: `page` and its
sections, which write no angle bracket of their own.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

VOID = frozenset({"br", "col", "hr", "link", "meta"})
SHAPES = frozenset({"circle", "line", "path", "rect", "use"})  # of SVG, without children
# Controls are no text, and a surrogate alone cannot be written as UTF-8.
_NO_TEXT = {code: "\ufffd" for code in range(0x20) if chr(code) not in "\t\n"}
_NO_TEXT |= dict.fromkeys(range(0x7F, 0xA0), "\ufffd") | dict.fromkeys(
    range(0xD800, 0xE000), "\ufffd"
)


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[Child] | None"
Attribute: TypeAlias = str | int | float | bool | None


def escape(text: str) -> Markup:
    """Make text that shows as itself, in an element or in an attribute."""
    if not (text.isascii() and text.isprintable()):
        text = text.translate(_NO_TEXT)
    return Markup(html.escape(text))


def raw(text: str) -> Markup:
    """Take over markup as it is. Only for text of this package's own files."""
    return Markup(text)


def join(children: Child) -> Markup:
    """Escape and concatenate; None is nothing."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, (str, int)):
        return escape(str(children))
    return Markup("".join(map(join, children)))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Make an element.

    Args:
        name: of the element.
        children: text, which is escaped, or markup.
        attributes: a trailing underscore is taken off (`class_`), others become hyphens; None and
            False leave the attribute out, True gives it without a value, and numbers lose what a
            screen does not show.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{given}>")
    if name in SHAPES:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
