from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.report.markup import escape, join, raw, tag
from tests.report.reader import Page

ANY_TEXT = st.text(st.characters())  # surrogates and controls too


def test_text_is_escaped_and_markup_is_kept() -> None:
    assert tag("p", "a < b", tag("b", "&")) == "<p>a &lt; b<b>&amp;</b></p>"


def test_nothing_and_lists_are_children_too() -> None:
    assert tag("p", None, ["a", (2, tag("i"))]) == "<p>a2<i></i></p>"


def test_attributes_lose_their_underscores_and_what_a_screen_does_not_show() -> None:
    made = tag("rect", class_="a", aria_label='"', x=1.0, y=2.256, rx=None, open=True, hidden=False)
    assert made == '<rect class="a" aria-label="&quot;" x="1" y="2.26" open/>'


def test_elements_without_content_are_not_closed() -> None:
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


@given(ANY_TEXT)
def test_any_text_reads_as_itself_in_an_element_and_in_an_attribute(text: str) -> None:
    page = Page(tag("p", text, title=text))
    ((name, attributes),) = page.elements
    assert name == "p"
    assert attributes["title"] == html.unescape(escape(text))
    assert "".join(page.texts) == html.unescape(escape(text))
    escape(text).encode()


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\x85", "\ud800"])
def test_what_is_no_text_is_replaced(bad: str) -> None:
    assert escape(f"a{bad}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_only_raw_takes_markup_as_it_is() -> None:
    assert join([raw("<br>"), "<br>"]) == "<br>&lt;br&gt;"
