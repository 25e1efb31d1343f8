"""What happens to text, Markdown, code and pictures on their way to a page."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
import records_for_reports as records
from hypothesis import given
from hypothesis import strategies as st

from grader.reports import text
from grader.reports.png import picture
from grader.reports.sanitise import code_html, markdown_html


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("\x00\x7f", "⟨U+0000⟩⟨U+007F⟩"),
        ("user\u202etxt.exe", "user⟨U+202E⟩txt.exe"),
        ("\ud800", "�"),
        ("👩\u200d🔬 é ñ 中", "👩\u200d🔬 é ñ 中"),
    ],
)
def test_unseen_characters_are_made_visible(raw, shown):
    """Escapes go, controls and direction marks show, ordinary text of any script stays."""
    assert text.visible(raw) == shown


@given(st.text(st.characters()))
def test_visible_text_always_encodes_and_stays(raw):
    """Whatever comes in, what comes out is UTF-8, and showing it again changes nothing."""
    shown = text.visible(raw)
    shown.encode("utf-8")
    assert text.visible(shown) == shown


def test_terminal_text_keeps_the_last_state():
    """A carriage return writes over its line; one at the end does not."""
    assert text.terminal_text("10 %\r50 %\r100 %\ndone\r\nx\r") == "100 %\ndone\nx"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (text.points_text(4.0), "4"),
        (text.points_text(2.50), "2.5"),
        (text.points_text(1 / 3), "0.33"),
        (text.points_text(-1.5), "−1.5"),
        (text.points_text(-0.001), "0"),
        (text.points_text(float("nan")), "–"),
        (text.signed_points(3), "+3"),
        (text.signed_points(0), "0"),
        (text.percent(199.9, 200), "99 %"),
        (text.percent(0.1, 200), "1 %"),
        (text.percent(5, 0), "0 %"),
        (text.count_of(1, "check"), "1 check"),
        (text.count_of(12000, "line"), "12\u202f000 lines"),
        (text.sentence("the shape is off"), "The shape is off."),
        (text.sentence("dL/dx has the wrong sign"), "dL/dx has the wrong sign."),
        (text.date_text("2025-05-03T14:02:10+02:00"), "3 May 2025, 14:02 (UTC+02:00)"),
        (text.date_text("2025-05-03T14:02:10Z"), "3 May 2025, 14:02 (UTC)"),
        (text.date_text(None), None),
        (text.duration_text(0.21), "0.2 s"),
        (text.duration_text(125), "2 min 5 s"),
    ],
)
def test_numbers_and_dates_read_well(made, expected):
    """Points, percentages, counts, dates and durations as people write them."""
    assert made == expected


def test_markdown_keeps_what_can_be_read():
    """Emphasis, lists, tables and code stay; headings sink below the page's; TeX stays as it was written."""
    html = markdown_html("# One\n\n**b** $a_i * b_j * c_k$\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n")
    assert "<h4>One</h4>" in html
    assert "<strong>b</strong>" in html
    assert '<span class="math">a_i * b_j * c_k</span>' in html
    assert '<div class="table-scroll"><table>' in html


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("[x](https://pytorch.org)", '<p><a href="https://pytorch.org" rel="noopener noreferrer nofollow">x</a></p>'),
        ("[x](#cell-3)", '<p><a href="#cell-3" rel="noopener noreferrer nofollow">x</a></p>'),
        ("[x](file:///etc/passwd)", "<p>[x](file:///etc/passwd)</p>"),
        ("[x](//evil.example)", '<p><a rel="noopener noreferrer nofollow">x</a></p>'),
        ("[x](other.html)", '<p><a rel="noopener noreferrer nofollow">x</a></p>'),
        ("[x](JaVaScRiPt:alert(1))", "<p>[x](JaVaScRiPt:alert(1))</p>"),
        ("![a cat](https://evil.example/c.png)", '<p><span class="picture-gone">[picture: a cat]</span></p>'),
        ("![](attachment:x.png)", '<p><span class="picture-gone">[picture]</span></p>'),
        ("<b onclick=x>hi</b>", "<p>&lt;b onclick=x&gt;hi&lt;/b&gt;</p>"),
    ],
)
def test_markdown_links_and_pictures_are_harmless(source, kept):
    """Links lead to the web, an address or this page; pictures that are fetched are replaced by their words."""
    assert markdown_html(source).strip() == kept


def test_markdown_shows_a_picture_that_it_carries():
    """A sound PNG in a data: address is shown."""
    assert '<img src="data:image/png;base64,' in markdown_html(f"![loss](data:image/png;base64,{records.png_base64()})")


@given(st.text(st.sampled_from("<>\"'&`$*[]()!#|\n -:/ascriptjx\u202e")))
def test_markdown_makes_no_tag_that_is_not_its_own(source):
    """No script, handler or style survives from any text."""
    html = str(markdown_html(source)).lower()
    assert "<script" not in html
    assert "style=" not in html
    assert "<img" not in html


def test_deep_and_huge_markdown_is_survived():
    """Nesting and size that would cost a renderer dearly are cut off."""
    markdown_html("> " * 20_000)
    markdown_html("[" * 20_000)
    assert markdown_html("*a" * 50_000).startswith("<pre>")


def test_code_is_highlighted_and_its_lines_marked():
    """Classes for tokens, a class for the marked line, and tags in strings stay text."""
    html = code_html("import os\nx = '</code>'\n", (2,))
    assert '<span class="kn">import</span>' in html
    assert '<span class="hll"><span class="n">x</span>' in html
    assert "</code>" not in html


def test_a_picture_keeps_only_what_paints_it():
    """Comments and anything after the end are gone; size is read from the header."""
    found = picture(base64.b64encode(records.png(30, 20) + b"<script>").decode())
    assert (found.width, found.height) == (30, 20)
    data = base64.b64decode(found.uri.removeprefix("data:image/png;base64,"))
    assert b"script" not in data
    assert data.endswith(b"IEND\xaeB`\x82")


def _header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    good = records.png(4, 4)
    return good[:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + good[33:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        records.png(9, 9)[:-6],
        records.png(9, 9)[:60] + b"X" + records.png(9, 9)[61:],
        _header(100_000, 1),
        _header(8_000, 8_000),
        _header(0, 5),
    ],
    ids=["empty", "gif", "signature", "cut", "crc", "wide", "bomb", "flat"],
)
def test_what_is_no_sound_picture_is_left_out(data):
    """Cut, damaged, foreign, empty or enormous pictures are not shown."""
    assert picture(base64.b64encode(data).decode()) is None


def test_base64_that_is_none_is_left_out():
    """Neither characters outside the alphabet nor non-ASCII raise."""
    assert picture("%%%") is None
    assert picture("é\ud800") is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_picture(data):
    """Bytes behind a PNG signature never raise."""
    assert picture(base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()) is None
