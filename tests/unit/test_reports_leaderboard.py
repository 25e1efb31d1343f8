"""The leaderboard: who stands where, under which name, and what it does not tell."""

from __future__ import annotations

from dataclasses import replace

import pytest
import records_for_reports as records
from page_reader import Page

from grader.model import CellResult, CheckResult, CheckSpec, Measurement, Verdict, Visibility
from grader.reports import leaderboard
from grader.reports.leaderboard import alias

TITLES = {"course_title": "Deep Learning", "assignment_title": "Softmax regression"}


def cell(source):
    return CellResult(index=90, cell_type="code", source=source)


def raced(student, ratio, chosen=None, name="", verdict=Verdict.PASS):
    """A record with one race, in cross_entropy."""
    spec = CheckSpec(
        id="race", exercise="cross_entropy", points=1.0, line="Fast.", visibility=Visibility.HIDDEN, timed=True
    )
    time = Measurement(kind="time", of="cross_entropy", unit="× the reference", value=ratio)
    memory = Measurement(kind="memory", of="cross_entropy", unit="× the reference", value=0.001)
    result = CheckResult(check=spec, verdict=verdict, earned=1.0, measurements=(time, memory))
    record = records.record(student, name or student)
    source = () if chosen is None else (cell(f"leaderboard_alias = {chosen!r}"),)
    return replace(record, checks=(*record.checks, result), cells=(*record.cells, *source))


def rows(*some):
    """(place, alias, ratio), as the page has them."""
    page = Page(leaderboard(some, **TITLES))
    table = page.source.partition("<tbody>")[2].partition("</tbody>")[0]
    found = [Page(f"{row}</tr>").text.split() for row in table.split("</tr>") if row.strip()]
    return [(int(row[0]), " ".join(row[1:-1]), row[-1]) for row in found]


def test_the_fastest_is_first_and_equal_times_share_a_place():
    """Places follow the ratio, to two digits; memory and other measurements do not count."""
    found = rows(raced("c", 12.04, "Cleo"), raced("a", 3.3, "Ann"), raced("b", 0.7, "Bo"), raced("d", 11.96, "Dot"))
    assert found == [(1, "Bo", "0.7×"), (2, "Ann", "3.3×"), (3, "Cleo", "12×"), (3, "Dot", "12×")]


def test_the_order_of_the_records_does_not_matter():
    """The same class gives the same page."""
    some = [raced("a", 2.0), raced("b", 2.0, "Bo"), raced("c", 1.0, "Bo")]
    assert leaderboard(some, **TITLES) == leaderboard(some[::-1], **TITLES)


def test_who_does_not_hold_the_race_is_not_on_it():
    """A race that is lost, one that never ran, and a held record are counted, not named."""
    lost = raced("a", 50.0, "Slow", verdict=Verdict.FAIL)
    page = Page(leaderboard([lost, records.held(), records.partial(), raced("b", 1.0, "Bo")], **TITLES))
    assert "Slow" not in page.text
    assert "3 students do not hold every race yet" in page.text
    assert "Nobody holds" in Page(leaderboard([lost], **TITLES)).text


def test_it_tells_nobody_s_name():
    """Ids, names and scores of students are not on the page, and nothing that could run or be fetched."""
    some = [raced("s-1815", 1.0, name="Ada Lovelace"), raced("s-1906", 2.0, "<b>Grace</b>", name="Grace Hopper")]
    page = Page(leaderboard(some, **TITLES))
    for word in ("s-1815", "s-1906", "Lovelace", "Hopper", "<b>Grace"):
        assert word not in page.source
    assert "<b>Grace</b>" in page.text
    assert "unnamed" in page.text
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "form", "img"}
    assert "default-src &#39;none&#39;" in page.source


def test_somebody_else_s_name_is_no_alias():
    """Neither the id nor the name of another student; one's own is."""
    found = rows(
        raced("ada", 1.0, "Bob Ross", name="Ada"), raced("bob", 2.0, "bob", name="Bob Ross"), raced("eve", 3.0, "ADA")
    )
    assert [row[1] for row in found] == ["unnamed", "bob", "unnamed"]


def test_two_of_one_alias_are_told_apart():
    """The second, in the order of the class list, has a number."""
    assert [row[1] for row in rows(raced("a", 2.0, "Zed"), raced("b", 1.0, "zed"))] == ["zed (2)", "Zed"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("leaderboard_alias = 'Gradient Ascetic'", "Gradient Ascetic"),
        ("%matplotlib inline\nx = 1\nleaderboard_alias = 'Zed'", "Zed"),
        ("leaderboard_alias = 'A'\nleaderboard_alias = 'B'", "B"),
        ("leaderboard_alias = '  many \\n  blanks\\u202e '", "many blanks"),
        ("leaderboard_alias = '" + "x" * 500 + "'", "x" * 31 + "…"),
        ("leaderboard_alias = ''", None),
        ("leaderboard_alias = print('x')", None),
        ("leaderboard_alias = 7", None),
        ("def f():\n    leaderboard_alias = 'Zed'", None),
        ("leaderboard_alias = ", None),
    ],
)
def test_an_alias_is_read_and_not_run(source, found):
    """A text that a cell assigns, on one line and short."""
    record = records.record("a", "A")
    assert alias(replace(record, cells=(*record.cells, cell(source)))) == found
