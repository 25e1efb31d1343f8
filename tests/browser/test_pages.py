"""Feedback page and class report in a real browser."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
import records_for_reports as records

from grader.reports import class_report, feedback_page

TITLES = {"course_title": "Deep Learning", "assignment_title": "Softmax regression"}


def test_control_a_page_without_our_care_runs_scripts_and_calls_out(open_page, canary, tmp_path):
    """Control: the same hostile text, pasted into a bare page, is obeyed; else the tests below would prove nothing."""
    hostile = records.hostile(canary.address)
    page = tmp_path / "control.html"
    page.write_text(f"<!doctype html><title>quiet</title><body>{hostile.cells[3].source}", encoding="utf-8")
    document = open_page(page.as_uri())
    assert "<title>PWNED</title>" in document
    assert "/s.js" in canary.calls


@pytest.mark.parametrize("make", [feedback_page, class_report])
def test_hostile_text_runs_nothing_and_calls_nobody(make, open_page, canary, tmp_path):
    """A page full of hostile text keeps its title and makes no request."""
    hostile = records.hostile(canary.address)
    page = tmp_path / "page.html"
    subject = hostile if make is feedback_page else [hostile, records.partial()]
    page.write_text(make(subject, **TITLES), encoding="utf-8")
    document = open_page(page.as_uri())
    assert re.search("<title>[^<]*Softmax regression", document)
    assert "<title>PWNED" not in document
    assert "<script" not in document
    assert canary.calls == []


MEASURE = """<!doctype html><title>measure</title><body>
<iframe src="/page" width="{width}" height="900"></iframe><pre></pre>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const style = (name) => getComputedStyle(page.querySelector(name));
  const past = [...page.querySelectorAll("main *")].filter((element) => {{
    for (let box = element.parentElement; box; box = box.parentElement) {{
      if (/auto|scroll|clip|hidden/.test(getComputedStyle(box).overflowX) && box !== page.body) return false;
    }}
    return element.getBoundingClientRect().right > {width} + 1;
  }});
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.scrollingElement.scrollWidth,
    past: past.map((element) => element.outerHTML.slice(0, 80)),
    bar: style(".bar").height,
    card: style(".card").borderTopLeftRadius,
    scripts: page.scripts.length,
  }});
}});
</script>"""


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("kind", ["revised", "hostile", "class"])
def test_nothing_runs_over_the_edge(kind, width, open_page, canary):
    """At phone and desktop width the page does not scroll sideways, and its style block was admitted by its policy."""
    if kind == "class":
        html = class_report([records.partial(), records.held(), records.hostile(), *records.a_class(30)], **TITLES)
    else:
        html = feedback_page(getattr(records, kind)(), **TITLES)
    canary.pages |= {"/page": html, "/measure": MEASURE.format(width=width)}
    document = open_page(f"{canary.address}/measure")
    measured = json.loads(unescape(re.search("<pre>(.+?)</pre>", document)[1]))
    assert measured["past"] == []
    assert measured["width"] <= width
    assert measured["bar"] != "auto"
    assert measured["card"] != "0px"
    assert measured["scripts"] == 0
    assert set(canary.calls) <= {"/measure", "/page", "/favicon.ico"}
