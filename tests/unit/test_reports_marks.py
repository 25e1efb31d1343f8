"""The marks of a class as CSV."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import pytest
import records_for_reports as records

from grader.reports import marks_csv, write_marks

CALCULATED = re.compile("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


def rows(some):
    return list(csv.DictReader(marks_csv(some).splitlines()))


def test_everybody_has_a_row_with_the_points_of_each_exercise():
    """Sorted by id; the columns of the exercises add up, with what a late one lost."""
    some = records.a_class(12)
    table = rows(some[::-1])
    assert [row["student"] for row in table] == sorted(record.submission.student for record in some)
    for record, row in zip(sorted(some, key=lambda each: each.submission.student), table, strict=True):
        assert float(row["score"]) == pytest.approx(record.score)
        assert float(row["max_score"]) == record.max_score
        for each in record.exercises:
            assert float(row[f"{each.exercise.id} (of {each.exercise.points:g})"]) == pytest.approx(each.earned)
        assert row["flags"].split() == list(dict.fromkeys(flag.id for flag in record.flags))


def test_a_held_submission_has_no_points():
    """Empty cells: neither a total nor an exercise that could be taken for a 0."""
    (row,) = rows([records.held()])
    assert row["status"] == "held"
    assert [value for name, value in row.items() if name == "score" or "(of " in name] == [""] * (
        1 + len(records.held().exercises)
    )


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "a;=1+1", 'a",=1+1', "a, -b", "＝1", "\r\n=1", "'=1", "\ufeff=1"],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_calculated(name, delimiter):
    """Whatever a name is, and whichever delimiter a spreadsheet takes; a name stays on its line."""
    record = records.record("ada", name)
    record = replace(record, submission=replace(record.submission, student=name, name=name, received_at=name))
    lines = marks_csv([record]).splitlines()
    assert len(lines) == 2
    for row in csv.reader(lines, delimiter=delimiter):
        assert [cell for cell in row if CALCULATED.match(cell)] == []


def test_spreadsheets_and_programs_read_it(tmp_path):
    """UTF-8 with a mark, one row each for two thousand students, the same for the same records."""
    some = [*records.a_class(2000), records.held(), records.hostile()]
    path = write_marks(some, tmp_path / "reports" / "a.csv")
    assert path.read_bytes().startswith(b"\xef\xbb\xbfstudent,name,status,")
    assert len(list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))) == 2002
    assert marks_csv(some) == marks_csv(some[::-1])
