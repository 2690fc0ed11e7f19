"""Reads a page as a browser would take it: elements, their attributes, and text."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"br", "col", "hr", "link", "meta"}


class Page(HTMLParser):
    """A page that was written with every element closed; raises AssertionError for another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.title = ""
        self.sections: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without a beginning"
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        if any(tag in {"style", "script"} for tag, _ in self._open):
            return
        if not self.title and self._open and self._open[-1][0] == "title":
            self.title = data
        self.texts.append(data)
        for tag, name in self._open:
            if tag == "section":
                self.sections[name] = f"{self.sections.get(name, '')} {data}"

    @property
    def text(self) -> str:
        """What is to be read, with plain spaces."""
        return " ".join(" ".join(self.texts).split())

    def section(self, name: str) -> str:
        """The text of one section; empty if it is not there."""
        return " ".join(self.sections.get(name, "").split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such element."""
        return [attributes for name, attributes in self.elements if name == tag]
