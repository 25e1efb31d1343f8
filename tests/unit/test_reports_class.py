"""The report on a class."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import records_for_reports as records
from page_reader import Page

from grader.model import Flag
from grader.reports import class_report

TITLES = {"course_title": "Deep Learning", "assignment_title": "Softmax regression"}


def read(some, **options):
    return Page(class_report(some, **TITLES, **options))


@pytest.fixture(scope="module")
def mixed():
    return [records.partial(), records.held(), records.broken_file(), records.hostile(), *records.a_class(16)]


@pytest.fixture(scope="module")
def page(mixed):
    return read(mixed, link=lambda record: f"feedback/{record.submission.student}.html")


def test_report_holds_no_script_and_nothing_remote(page):
    """No script, handler, style attribute, frame or remote source, plots included; every tag is closed."""
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "form", "img", "image", "foreignobject"}
    assert len(page.of("style")) == 1
    for _, attributes in page.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert not re.search(r"^\s*(https?:)?//", attributes.get("href", ""))
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    for target in [*page.attributes("href"), *(clip[4:-1] for clip in page.attributes("clip-path"))]:
        assert not target.startswith("#") or target[1:] in ids


def test_plots_have_words_and_page_colours(page):
    """Each plot says in words what it shows, and takes all its colours from the style sheet."""
    plots = [svg for svg in page.of("svg") if "plot" in svg.get("class", "").split()]
    assert len(plots) == 4
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 80 for svg in plots)
    assert not re.search(r'(fill|stroke)="#', page.source)


def test_numbers_leave_held_records_out():
    """Median, mean and quartiles are those of the records that have a score."""
    scores = [20, 40, 60, 80]
    some = [replace(records.record(f"s{n}", f"N{n}"), score=float(n)) for n in scores]
    text = read([*some, records.held()]).text
    assert "Marked 4" in text
    assert "On hold 1 needs a look" in text
    assert "Median 50 of 100, 50 %" in text
    assert "Mean 50 ± 22.4" in text
    assert "Middle half 35–65" in text


def test_checks_stand_in_file_order_with_rates_and_reasons(page, mixed):
    """Each check has its pass rate, what the others got, and the commonest thing they were told."""
    found = re.findall(r'<code class="quiet">(\w+)</code>', page.source)
    assert found == [check.id for check in records.CHECKS]
    row = page.text.split("softmax_large_logits")[1].split("log_softmax stays")[0]
    assert re.search(r"\d+ % \d+ of 20", row)
    assert "waiting" in row
    assert "“The maximum was taken over the whole tensor" in row


def test_held_and_flagged_submissions_are_listed_with_reasons(page):
    """Held first, with the checks that broke; then each flag with whom it concerns, instructor-only ones too."""
    text = page.text
    assert "On hold: need an instructor Alan Turing Checks that broke: entropy_values." in text
    assert "INSTRUCTOR similar to grace" in text
    assert text.index("On hold: need") < text.index("Handed in late")


def test_who_has_a_flag_more_than_once_is_counted_once():
    """The number beside a flag is of students; what was told of each time is told."""
    flags = [Flag(id="forbidden-name", text=f"conv2d used {name}, which is ruled out") for name in ("fold", "unfold")]
    some = [replace(records.record("ada", "Ada"), flags=tuple(flags)), *records.a_class(3)]
    text = read(some).text
    assert "1 Used a name that is ruled out Ada conv2d used fold, which is ruled out. conv2d used unfold" in text


def test_every_student_has_a_row_and_a_link(page, mixed):
    """All students, by name, with score, points by exercise and the way to their page."""
    body = page.source.split('class="students"')[1]
    assert body.count("<tr>") == len(mixed) + 1
    assert 'href="feedback/grace.html"' in body
    assert "<b>47.7</b>" in body
    assert '<b class="h">held</b>' in body


def test_links_that_are_none_are_dropped(mixed):
    """A link that would run something is not made."""
    page = read(mixed[:1], link=lambda _: "javascript:alert(1)")
    assert "javascript:" not in page.source


def test_the_same_records_give_the_same_page(mixed):
    """Neither the order of the records nor the time changes a byte."""
    assert class_report(mixed, **TITLES) == class_report(mixed[::-1], **TITLES)


def test_two_thousand_students_fit_in_a_megabyte():
    """The page for 2 000 students with links stays under 1 MB."""
    page = class_report(
        records.a_class(2000), **TITLES, link=lambda r: f"softmax-regression/{r.submission.student}.html"
    )
    assert len(page.encode()) < 1_000_000


@pytest.mark.parametrize("some", [[], [records.held()], [records.full_marks()], [records.broken_file()] * 2], ids=len)
def test_small_classes_have_a_report(some):
    """No record, only a held one, one, or two of the same score: there is a page."""
    assert read(some).open == []
