"""Students' Markdown and code as HTML that can do nothing but be read.

Theory of operation. Three walls, each enough alone: markdown-it-py runs with ``html`` off, so that no tag of the
student's exists; nh3 then keeps a short list of tags and attributes of what markdown-it-py made; and the page's
Content-Security-Policy allows no script, no request and no style but its own. Not defended: what a text *says*, and
where a link leads when somebody follows it (links carry ``noopener noreferrer nofollow`` and show as links).

Results depend on the text alone and are kept, because a class shares most cells (those that came with the notebook).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from grader.reports.png import picture
from grader.reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markdown_it import MarkdownIt
    from pygments.formatters import HtmlFormatter
    from pygments.lexer import Lexer

__all__ = ["code_html", "markdown_html"]

_MAX_CODE = 60_000
"""Characters; longer code is shown plain."""
_MAX_MARKDOWN = 60_000
_TAGS = frozenset({
    "p", "br", "hr", "em", "strong", "s", "blockquote", "ul", "ol", "li", "h4", "h5", "h6",
    "pre", "code", "span", "div", "a", "img", "table", "thead", "tbody", "tr", "th", "td",
})  # fmt: skip
_CLASSES = {"span": {"math", "picture-gone"}, "div": {"math-block", "table-scroll"}}
_LINK = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
_PICTURE = "data:image/png;base64,"


@lru_cache(maxsize=512)
def markdown_html(source: str) -> Markup:
    """CommonMark with tables, strike-through and TeX (left as source), sanitised; headings start at ``h4``.

    Raw HTML in the source is shown as text. Pictures other than sound ``data:image/png`` ones become their
    alternative text. Links other than http, https, mailto and ``#`` lose their target.
    """
    source = visible(source)
    if len(source) > _MAX_MARKDOWN:
        return Markup("<pre>{}</pre>").format(source)
    import nh3

    html = nh3.clean(
        _markdown().render(source),
        tags=set(_TAGS),
        attributes={"a": {"href"}, "img": {"src", "alt"}, "ol": {"start"}},
        attribute_filter=_kept_attribute,
        allowed_classes={tag: set(names) for tag, names in _CLASSES.items()},
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(html)  # noqa: S704 - just sanitised


def _kept_attribute(tag: str, attribute: str, value: str) -> str | None:
    """``value``, or None for a link that leads to anything but a web page, an address or this page."""
    if (tag, attribute) == ("a", "href"):
        return value if _LINK.match(value) else None
    if (tag, attribute) == ("img", "src"):
        return value if value.startswith(_PICTURE) else None
    return value


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": 20})
    parser.enable(["table", "strikethrough"])
    dollarmath_plugin(parser, allow_labels=False, double_inline=True)
    for token, rule in _RULES.items():
        parser.add_render_rule(token, rule)
    return parser


def _heading_open(_self: Any, tokens: Sequence[Any], idx: int, _options: Any, _env: Any) -> str:
    """A student's ``#`` is a heading *below* the page's own."""
    return f"<{_lowered(tokens[idx].tag)}>"


def _heading_close(_self: Any, tokens: Sequence[Any], idx: int, _options: Any, _env: Any) -> str:
    """The end of a lowered heading."""
    return f"</{_lowered(tokens[idx].tag)}>\n"


def _lowered(tag: str) -> str:
    return f"h{min(6, int(tag[1]) + 3)}"


def _image(_self: Any, tokens: Sequence[Any], idx: int, _options: Any, _env: Any) -> str:
    """A sound PNG that the text itself carries; of anything else, its alternative text."""
    token = tokens[idx]
    alternative = str(token.content)
    source = str(token.attrs.get("src", ""))
    found = picture(source.removeprefix(_PICTURE)) if source.startswith(_PICTURE) else None
    if found is not None:
        return f'<img src="{found.uri}" alt="{escape(alternative)}">'
    return f'<span class="picture-gone">[picture{": " if alternative else ""}{escape(alternative)}]</span>'


def _math_inline(_self: Any, tokens: Sequence[Any], idx: int, _options: Any, _env: Any) -> str:
    """TeX between dollars, as source."""
    return f'<span class="math">{escape(str(tokens[idx].content).strip())}</span>'


def _math_block(_self: Any, tokens: Sequence[Any], idx: int, _options: Any, _env: Any) -> str:
    """TeX between double dollars, as source."""
    return f'<div class="math-block">{escape(str(tokens[idx].content).strip())}</div>\n'


def _table_open(*_: Any) -> str:
    """A wide table scrolls by itself, the page does not."""
    return '<div class="table-scroll"><table>\n'


def _table_close(*_: Any) -> str:
    """The end of a table that scrolls."""
    return "</table></div>\n"


_RULES: Mapping[str, Callable[..., str]] = {
    "heading_open": _heading_open,
    "heading_close": _heading_close,
    "image": _image,
    "math_inline": _math_inline,
    "math_inline_double": _math_inline,
    "math_block": _math_block,
    "table_open": _table_open,
    "table_close": _table_close,
}
"""By markdown-it-py's token types; the first argument of each is its renderer."""


@lru_cache(maxsize=2048)
def code_html(source: str, marked_lines: tuple[int, ...] = ()) -> Markup:
    """Python highlighted with CSS classes (no wrapper); ``marked_lines`` (one-based) get the class ``hll``."""
    source = visible(source)
    if len(source) > _MAX_CODE:
        return Markup("{}").format(source)
    from pygments import highlight

    html = highlight(source, _lexer(), _formatter(marked_lines))
    return Markup(html)  # noqa: S704 - Pygments escapes every token


@cache
def _lexer() -> Lexer:
    from pygments.lexers.python import PythonLexer

    return PythonLexer(stripnl=False, ensurenl=False)


@lru_cache(maxsize=64)
def _formatter(marked_lines: tuple[int, ...]) -> HtmlFormatter[str]:
    from pygments.formatters.html import HtmlFormatter

    return HtmlFormatter(nowrap=True, hl_lines=list(marked_lines))
