"""Reads a page as a browser's parser would, for tests to ask what is really in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "br", "hr", "wbr", "input"}
_APART = {"p", "li", "dt", "dd", "td", "th", "tr", "div", "pre", "h1", "h2", "h3"}
"""Tags that begin on a line, or in a cell, of their own."""


@dataclass
class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Innermost open tag and text."""

    def __post_init__(self):
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)
        if tag in _APART:
            self.texts.append((tag, " "))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        """The attributes of each such tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    def attributes(self, name):
        """Each value of an attribute, whatever the tag."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    @property
    def text(self):
        """What a reader sees, blanks collapsed."""
        return " ".join("".join(text for tag, text in self.texts if tag not in {"style", "title"}).split())

    @property
    def policy(self):
        """The Content-Security-Policy."""
        return next(meta["content"] for meta in self.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
