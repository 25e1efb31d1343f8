"""Text that came with a pull request, as Markdown that says what it says and does nothing.

Theory of operation. Comments are rendered by forges that each add their own magic to Markdown: mentions, issue and
commit references, bare links, emoji, mathematics, quick actions. So a text is put on one line, its unseen characters
are made visible, ASCII punctuation is escaped with a backslash (CommonMark shows it as itself, and no
HTML, link, code or table begins), and a zero-width space breaks what is recognised *after* rendering. Lines of a CI
log have a magic of their own: ``log_line``.
"""

from __future__ import annotations

import re

from grader.reports.text import visible

__all__ = ["clipped", "inert", "log_line"]

_BREAK = "\u200b"
_PUNCTUATION = re.compile(r"([!-&(-+\-/:<-@\[-`{-~]|(?<=\d)\.|\.(?!\s|$))")  # all but , ; ' and a full stop
_COMMIT = re.compile(r"[0-9a-fA-F]{6}(?=[0-9a-fA-F])")
_TRIGGER = re.compile(
    r"(?<=[@#!~%&$^:*/.?=])(?=\w)"  # @name #1 !1 ~label %milestone :smile: /quick-action www.example, owner/name
    r"|(?<=[Gg][Hh])(?=-\d)"  # GH-1
    r"|(?<=:)(?=[+-])|(?<=[A-Za-z])(?=://)"
    r"|(?<=[Ww][Ww][Ww])(?=\.)"
)


def inert(text: str, most: int = 500) -> str:
    """``text`` for a place within a line of Markdown: escaped, on one line, at most ``most`` characters of it shown."""
    shown = clipped(text, most)
    broken = _COMMIT.sub(rf"\g<0>{_BREAK}", _TRIGGER.sub(_BREAK, shown))
    return _PUNCTUATION.sub(r"\\\1", broken)


def clipped(text: str, most: int) -> str:
    """``text`` on one line without anything unseen, cut to ``most`` characters."""
    line = " ".join(visible(text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def log_line(text: str) -> str:
    """A line for a CI log that no runner takes for a command (``::set-output``, ``##[group]``, ``##vso[``)."""
    line = re.sub(r"##(?=\[|vso)", f"#{_BREAK}#", visible(text).replace("\n", " "))
    return re.sub(r"^(\s*):(?=:)", rf"\1:{_BREAK}", line)
