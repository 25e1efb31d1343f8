"""Pages as files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import records_for_reports as records

from grader.errors import UsageError
from grader.reports import write_class_report, write_feedback
from grader.reports.files import page_name

TITLES = {"course_title": "Deep Learning", "assignment_title": "Softmax regression"}


def of(student):
    record = records.broken_file()
    return replace(record, submission=replace(record.submission, student=student))


@pytest.mark.parametrize("key", ["ada", "s-123_4.x", "U1234567", "softmax-regression"])
def test_plain_ids_are_file_names(key):
    """An ordinary id is its file's name."""
    assert page_name(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        ".hidden",
        "nul",
        "COM1.txt",
        "x\x00",
        "ü",
        "a" * 300,
        "a b",
        "x.",
        "\ud800",
    ],
)
def test_other_ids_become_plain_and_stay_apart(key):
    """Nothing of an id can leave the folder, and no plain id gives the same name."""
    name = page_name(key)
    assert "~" in name
    assert name.isascii()
    assert not set(name) & set("/\\\x00 .:")
    assert page_name(name) != name
    assert len(name) < 60


def test_each_student_gets_a_page_in_the_assignments_folder(tmp_path):
    """Pages lie in <folder>/<assignment>/<student>.html; nothing else is left there."""
    pages = write_feedback([records.partial(), records.hostile()], tmp_path, **TITLES)
    assert pages["grace"] == tmp_path / "softmax-regression" / "grace.html"
    assert sorted(tmp_path.rglob("*.html")) == sorted(pages.values())
    assert len(list((tmp_path / "softmax-regression").iterdir())) == 2
    assert "Grace Hopper" in pages["grace"].read_text(encoding="utf-8")


def test_ids_that_differ_in_case_only_get_two_pages(tmp_path):
    """On a file system that ignores case, Ada does not overwrite ada."""
    pages = write_feedback([of("ada"), of("Ada")], tmp_path, **TITLES)
    assert len({path.name.casefold() for path in pages.values()}) == 2


def test_a_page_is_replaced_not_appended(tmp_path):
    """Writing again gives the new page in the same place, and no draft stays behind."""
    first = write_feedback([records.partial()], tmp_path, **TITLES)
    again = write_feedback([replace(records.partial(), score=60.0)], tmp_path, **TITLES, policy="minimal")
    assert first == again
    assert ">60<" in again["grace"].read_text(encoding="utf-8")
    assert [path.name for path in again["grace"].parent.iterdir()] == ["grace.html"]


def test_a_symbolic_link_in_the_way_is_replaced_not_followed(tmp_path):
    """Where a page should be, a link to somewhere else does no harm to somewhere else."""
    elsewhere = tmp_path / "gradebook.db"
    elsewhere.write_text("precious")
    (tmp_path / "softmax-regression").mkdir()
    (tmp_path / "softmax-regression" / "grace.html").symlink_to(elsewhere)
    write_feedback([records.partial()], tmp_path, **TITLES)
    assert elsewhere.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path):
    """A file where the folder should be: what, where, and what to do."""
    (tmp_path / "feedback").write_text("")
    with pytest.raises(UsageError) as caught:
        write_feedback([records.partial()], tmp_path / "feedback", **TITLES)
    assert str(tmp_path / "feedback" / "softmax-regression" / "grace.html") in str(caught.value)
    assert "choose a folder that you may write to" in str(caught.value)


def test_the_report_links_to_the_pages(tmp_path):
    """Links are relative and quoted; a student without a page has none."""
    odd = of("a b%?#")
    pages = write_feedback([records.partial(), odd], tmp_path / "feedback dir", **TITLES)
    report = write_class_report(
        [records.partial(), odd, records.held()], tmp_path / "reports" / "softmax.html", **TITLES, pages=pages
    )
    html = report.read_text(encoding="utf-8")
    assert 'href="../feedback%20dir/softmax-regression/grace.html"' in html
    assert f'href="../feedback%20dir/softmax-regression/{page_name("a b%?#")}.html"' in html
    assert "alan.html" not in html
