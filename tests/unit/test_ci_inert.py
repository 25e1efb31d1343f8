"""Text of a submission in a comment: it says what it says, and does nothing. Rendered by GitHub's own Markdown."""

import re

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st

from grader.ci.inert import inert, log_line

TRICKS = [
    "@octocat and @octo-org/team",
    "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "[click](https://evil.example) <https://evil.example> ![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example me@evil.example",
    "#1 octo/repo#2 GH-3 !4 ~bug %5",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    "`a` ``b`` ```c",
    "</details></sub><!-- hidden -->",
    "| a | b |\n| - | - |\n| c | d |",
    "# Head\n- list\n1. one\n> said\n---",
    "\\@a \\\\<b> &lt;b&gt; &#64;octocat",
    "/close\n/merge",
    ":+1: :tada:",
    "$\\frac{a}{b}$ **bold** _it_ ~~gone~~",
    "\x1b[31mred\x1b[0m \u202ereversed\u200b \x00 \r over",
    "[ref]: https://evil.example 'x'",
]
REACHES = re.compile(
    r"(?<![\w/])@\w|(?<!\w)#\d|\bGH-\d|https?://\S|www\.\w|\w@\w|\b[0-9a-f]{7,40}\b|:\+1:|:tada:|/close", re.IGNORECASE
)


def rendered(text):
    """HTML as GitHub's renderer makes it of a line of ours, with tags allowed."""
    return cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)


@pytest.mark.parametrize("text", TRICKS)
def test_tricks_are_text(text):
    """No tag, link, mention or reference comes of it; what a reader sees is what was written."""
    html = rendered(f"* **Said**: {inert(text)}")
    assert set(re.findall(r"</?(\w+)", html)) == {"ul", "li", "strong"}
    shown = re.sub(r"<[^>]+>", "", html)
    assert REACHES.search(shown) is None
    for word in re.findall(r"[a-z]{5,}", text.replace("\x1b[31m", "")):
        assert word in shown.replace("\u200b", "")


def test_the_tricks_are_tricks():
    """Unescaped, all but a few of them do something: the check above is awake."""
    live = [text for text in TRICKS if REACHES.search(text) or "<a" in rendered(text) or "<img" in rendered(text)]
    assert len(live) >= 8


@given(st.text(alphabet=st.sampled_from("@#<>[]()!`*_~|\\&;:/.$^%=+-'\"{}0123ab \n\t\u202e\x1bé"), max_size=60))
def test_nothing_escapes(text):
    """Whatever is written, in a list and in a table, no tag is born and the table keeps its columns."""
    assert set(re.findall(r"</?(\w+)", rendered(f"* **Said**: {inert(text)}"))) <= {"ul", "li", "strong"}
    table = rendered(f"| a | b |\n| --- | --- |\n| x{inert(text)} | 1 |\n")
    assert table.count("<td>") == 2
    assert "<a" not in table


def test_long_text_is_cut():
    """A megabyte becomes a line of the length that was asked for."""
    assert len(inert("x" * 1_000_000, 100)) == 100


@pytest.mark.parametrize(
    "line", ["::set-output name=a::b", "  ::error::x", "##[group]x", "a ##[error]x", "##vso[task.setvariable]x"]
)
def test_log_lines_are_no_commands(line):
    """No line that we print begins a runner's command."""
    found = log_line(line)
    assert not found.lstrip().startswith("::")
    assert "##[" not in found
    assert "##vso" not in found
    assert found.replace("\u200b", "") == line
