"""course.yaml: what it accepts, and what it says about everything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.config import load_course, reference, schema, schema_text
from grader.config.units import duration_text, parse_bytes, parse_seconds, size_text
from grader.config.yamlfile import parse_yaml
from grader.errors import CourseError, UsageError

ROOT = Path(__file__).parents[2]
SMALL = """\
id: deep
title: Deep Learning
timezone: Europe/Berlin
defaults:
  limits:
    memory: 1 GiB
    cell: 10 s
  late: {percent_per_day: 5}
assignments:
  - name: first
    title: First
    points: 10
    due: 2026-03-01 23:59
    limits: {cell: 30 s}
    exercises:
      - {id: one, title: One, points: 7}
      - {id: two, title: Two, points: 3, manual_points: 1}
  - name: second
    title: Second
    points: 1
    late: none
    exercises:
      - {id: one, title: One, points: 1}
"""


def load(tmp_path, text):
    (tmp_path / "course.yaml").write_text(text, encoding="utf-8")
    return load_course(tmp_path)


def complaint(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_assignment_inherits_defaults(tmp_path):
    """An assignment uses the course's defaults, key by key for limits, unless it says otherwise."""
    first, second = load(tmp_path, SMALL).assignments
    assert (first.limits.memory_bytes, first.limits.cell_s) == (1 << 30, 30.0)
    assert (second.limits.memory_bytes, second.limits.cell_s) == (1 << 30, 10.0)
    assert first.late is not None
    assert first.late.percent_per_day == 5
    assert second.late is None


def test_due_date_without_offset_is_in_the_courses_zone(tmp_path):
    """A due date without an offset is meant in the course's time zone; one with an offset says so itself."""
    course = load(tmp_path, SMALL)
    assert course.assignments[0].due == datetime(2026, 3, 1, 22, 59, tzinfo=UTC)
    course = load(tmp_path, SMALL.replace("2026-03-01 23:59", "2026-03-01T23:59:00+05:00"))
    assert course.assignments[0].due.utcoffset() == timedelta(hours=5)


def test_extensions_are_by_student(tmp_path):
    """Whose work is due later has a time of their own, in the course's zone; ids may be numbers."""
    more = "due: 2026-03-01 23:59\n    extensions:\n      ada: 2026-03-08 23:59\n      '007': 2026-03-03T00:00:00+05:00"
    first, second = load(tmp_path, SMALL.replace("due: 2026-03-01 23:59", more)).assignments
    assert first.extensions["ada"] == datetime(2026, 3, 8, 22, 59, tzinfo=UTC)
    assert first.extensions["007"].utcoffset() == timedelta(hours=5)
    assert second.extensions == {}


def test_places_are_absolute(tmp_path, monkeypatch):
    """Folders and the gradebook's URL are taken from the course's folder wherever grader is started."""
    (tmp_path / "course.yaml").write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    course = load_course(Path("course.yaml"))
    assert course.root == tmp_path
    assert course.assignment("first").folder == tmp_path / "assignments" / "first"
    assert course.assignment("first").solution_folder == tmp_path / "solutions" / "first"
    assert course.gradebook_url == f"sqlite:///{tmp_path}/gradebook.db"
    assert course.submitted == tmp_path / "submitted"


def test_limits_fit_the_sandbox(tmp_path):
    """limits_for_sandbox gives the plain numbers that the sandbox's Limits takes."""
    from grader.sandbox.base import Limits

    limits = Limits(**load(tmp_path, SMALL).assignments[0].limits_for_sandbox())
    assert limits.memory_bytes == 1 << 30


def test_specs_are_words_of_the_domain(tmp_path):
    """An exercise of course.yaml becomes an ExerciseSpec with its manual points."""
    assert [spec.manual_points for spec in load(tmp_path, SMALL).assignments[0].specs] == [0, 1]


def test_unknown_assignment_names_the_known_ones(tmp_path):
    """Asking for an assignment that is not there says which are and which was meant."""
    with pytest.raises(UsageError) as caught:
        load(tmp_path, SMALL).assignment("frist")
    assert str(caught.value) == (
        "there is no assignment 'frist' in course.yaml; did you mean first?\n  → assignments: first, second"
    )


def test_unknown_key(tmp_path, monkeypatch):
    """An unknown key gives file, line, dotted key and what was meant."""
    assert complaint(tmp_path, monkeypatch, SMALL.replace("memory: 1", "memroy: 1")) == (
        "course.yaml:6 defaults.limits.memroy: memroy is no key known here; did you mean memory?\n"
        "  → keys: cell, cells, check, cpu, disk, gpu_memory, memory, output, processes, wall"
    )


def test_wrong_value_in_defaults_is_told_once(tmp_path, monkeypatch):
    """A wrong default is reported at its own line and not again for each assignment that inherits it."""
    assert complaint(tmp_path, monkeypatch, SMALL.replace("memory: 1 GiB", "memory: lots")) == (
        "course.yaml:6 defaults.limits.memory: expected a size such as 512 MiB or 2 GiB, found 'lots'"
    )


def test_several_errors_come_at_once(tmp_path, monkeypatch):
    """Everything that is wrong is told in one go, in the order of the file."""
    text = SMALL.replace("points: 7", "points: seven").replace("title: Second", "titel: Second")
    assert complaint(tmp_path, monkeypatch, text) == (
        "course.yaml:16 assignments[0].exercises[0].points: expected a number of points, 0 or more, found 'seven'\n"
        "course.yaml:18 assignments[1].title: title is missing\n"
        "course.yaml:19 assignments[1].titel: titel is no key known here; did you mean title?\n"
        "  → docs/course-yaml.md explains every key"
    )


def test_points_must_add_up(tmp_path, monkeypatch):
    """Exercises whose points do not add up to the assignment's give the place and the sum."""
    assert complaint(tmp_path, monkeypatch, SMALL.replace("points: 7", "points: 8")) == (
        "course.yaml:12 assignments[0].points: its exercises add up to 11 points, not 10\n  → make the two agree"
    )


def test_bonus_does_not_add_up(tmp_path):
    """The points of a bonus exercise come on top of the assignment's."""
    text = SMALL.replace("points: 7}", "points: 7, bonus: true}").replace("points: 10", "points: 3")
    assert load(tmp_path, text).assignments[0].specs[0].bonus


def test_choice_with_a_typo(tmp_path, monkeypatch):
    """A value that is none of the choices lists them and says which was meant."""
    assert complaint(tmp_path, monkeypatch, SMALL.replace("defaults:", "defaults:\n  sandbox: bublewrap")) == (
        "course.yaml:5 defaults.sandbox: expected one of auto, bubblewrap, docker, none, found 'bublewrap'; "
        "did you mean bubblewrap?"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Deep Learning", "title: ''", "course.yaml:2 title: expected a text; it is empty"),
        ("Europe/Berlin", "Europe/Berln", "course.yaml:3 timezone: expected the name of a time zone"),
        ("2026-03-01 23:59", "2026-03-01", "course.yaml:13 assignments[0].due: expected a date and a time"),
        ("2026-03-01 23:59", "2026-13-01 23:59", "course.yaml:13 assignments[0].due: expected a date and a time"),
        (
            "2026-03-01 23:59",
            "2026-03-01 23:59\n    extensions: {ada: 2026-02-28 23:59}",
            "course.yaml:14 assignments[0].extensions.ada: this is before first is due",
        ),
        ("2026-03-01 23:59", "2026-03-01 23:59\n    extensions: {ada: soon}", "expected a date and a time"),
        (
            "title: Second",
            "title: Second\n    extensions: {ada: 2026-03-01 23:59}",
            "course.yaml:20 assignments[1].extensions.ada: there is no due date to extend",
        ),
        ("name: second", "name: ../second", "course.yaml:18 assignments[1].name: expected a folder name"),
        ("name: second", "name: first", "course.yaml:18 assignments[1].name: there are two assignments called first"),
        ("id: two", "id: one", "course.yaml:17 assignments[0].exercises[1].id: there are two exercises called one"),
        ("manual_points: 1", "manual_points: 4", "exercises[1].manual_points: manual_points (4) are more than points"),
        ("cell: 30 s", "cell: 30 parsecs", "parsecs is no unit known here"),
        ("cell: 30 s", "cell: 1 h", "cell is longer than cells, the time for all of them (1 h > 2 min)"),
        ("cell: 30 s", "processes: 1.5", "assignments[0].limits.processes: expected a whole number, found 1.5"),
        ("cell: 30 s", "processes: true", "assignments[0].limits.processes: expected a whole number, found true"),
        ("cell: 30 s", "cell: 0 s", "assignments[0].limits.cell: expected a number greater than 0"),
        ("points: 7", "points: .nan", "assignments[0].exercises[0].points: expected a number of points"),
        ("points: 7", "points: 1e400", "assignments[0].exercises[0].points: expected a number of points"),
        ("points: 7", "points: " + "9" * 5000, "assignments[0].exercises[0].points: expected a number of points"),
        ("late: none", "late: never", "course.yaml:21 assignments[1].late: expected key: value lines, found 'never'"),
        (
            "percent_per_day: 5",
            "percent_per_day: 500",
            "defaults.late.percent_per_day: expected a number of at most 100",
        ),
        ("title: First", "name: first", "course.yaml:11 assignments[0].name: the key is here twice (first on line 10)"),
        ("title: First", "\ttitle: First", "course.yaml:11: this is not YAML: a tab is used for indentation"),
        ("title: First", " title: First", "course.yaml:11: this is not YAML"),
        ("title: First", "title: First: again", "course.yaml:11: this is not YAML"),
        ("title: First", "title: &a First", "assignments[0].title"),
        ("title: First", "title: *a", "course.yaml:11: aliases (*a) are not used here"),
        ("title: First", "title: !!python/object/apply:os.system [ls]", "tags such as !!python/object"),
        ("title: First", "title: !!binary aGk=", "tags such as !!binary"),
        ("title: First", "? [a]\n    : b", "expected a key"),
        ("id: deep", "--- {}\n---\nid: deep", "a second document begins here"),
        (SMALL, "", "course.yaml: the file is empty"),
        (SMALL, "- a\n- b", "course.yaml:1: expected lines such as"),
        (SMALL, "[" * 10_000, "course.yaml:1: nested more than 30 deep"),
        (SMALL, "id: \x01", "course.yaml:1: there is a character here that YAML does not allow"),
        (SMALL, "a: " + "x" * 600_000, "course.yaml: it is larger than 512 KiB"),
        (SMALL, "a: [" + "1," * 30_000 + "]", "more than 20000 values"),
    ],
)
def test_wrong_course(tmp_path, monkeypatch, old, new, message):
    """What is wrong in a course is told with its place, whatever it is."""
    text = SMALL.replace(old, new, 1)
    if "&a" in new:
        assert load(tmp_path, text).assignments[0].title == "First"
    else:
        assert message in complaint(tmp_path, monkeypatch, text)


def test_alias_bomb_costs_nothing(tmp_path, monkeypatch):
    """A billion laughs are refused at the first alias."""
    text = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
    assert "course.yaml:2: aliases (*a) are not used here" in complaint(tmp_path, monkeypatch, text)


def test_missing_and_unreadable_file(tmp_path, monkeypatch):
    """A course.yaml that is not there, or is not text, says so and what to do."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError) as caught:
        load_course(tmp_path)
    assert str(caught.value) == (
        "course.yaml: there is no such file\n  → run grader in the course's folder, or name the course's folder"
    )
    (tmp_path / "course.yaml").write_bytes(b"id: a\ntitle: \xff\xfe")
    with pytest.raises(CourseError) as caught:
        load_course(tmp_path)
    assert str(caught.value) == "course.yaml:2: it is not UTF-8 text\n  → save it as UTF-8"


def test_shipped_course_is_valid():
    """The course.yaml of this repository is valid and is worth what it says."""
    course = load_course(ROOT)
    assert course.assignment("softmax-regression").points == 100
    assert (ROOT / "course.yaml").read_text().startswith("# yaml-language-server: $schema=course.schema.json\n")


def test_generated_files_are_current():
    """course.schema.json and docs/course-yaml.md are what `python -m grader.config` writes."""
    assert (ROOT / "course.schema.json").read_text(encoding="utf-8") == schema_text()
    assert (ROOT / "docs" / "course-yaml.md").read_text(encoding="utf-8") == reference()


def test_schema_agrees_with_the_loader(tmp_path):
    """The JSON Schema takes what the loader takes and refuses an unknown key."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema())
    for text in (SMALL, (ROOT / "course.yaml").read_text()):
        data = json.loads(json.dumps(dict(parse_yaml(text.encode(), "course.yaml").data)))
        assert list(validator.iter_errors(data)) == []
        data["assignments"][0]["limits"] = {"memroy": "1 GiB"}
        assert len(list(validator.iter_errors(data))) == 1


def test_every_key_is_documented():
    """Every key in the schema has a description."""

    def undocumented(node, path):
        for key, field in node.get("properties", {}).items():
            if "description" not in field and "$ref" not in field:
                yield f"{path}.{key}"

    made = schema()
    models = {"Course": made, **made["$defs"]}
    assert [key for name, node in models.items() for key in undocumented(node, name)] == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("2 GiB", 2 << 30), ("256MB", 256 * 10**6), ("1.5 KiB", 1536), (4096, 4096), ("7", 7)],
)
def test_sizes(text, number):
    """Sizes are read in decimal and binary units and as plain bytes."""
    assert parse_bytes(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("20 s", 20), ("500ms", 0.5), ("2 min", 120), ("1 h", 3600), ("3 days", 259200), (0.25, 0.25)]
)
def test_durations(text, number):
    """Durations are read in the usual units and as plain seconds."""
    assert parse_seconds(text) == number


@given(st.integers(min_value=1, max_value=1 << 45), st.integers(min_value=1, max_value=10**7))
def test_sizes_and_durations_survive_being_shown(size, seconds):
    """What size_text and duration_text show is read back as the same number."""
    assert parse_bytes(size_text(size)) == size
    assert parse_seconds(duration_text(seconds)) == seconds


_YAML = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="abid:-[]{},&*!|>'\" \n\t#%@0123456789.~", max_size=200),
    st.lists(st.sampled_from(SMALL.splitlines()), max_size=25).map("\n".join),
    st.builds(
        lambda at, cut, new: SMALL[:at] + new + SMALL[at + cut :],
        st.integers(0, 500),
        st.integers(0, 40),
        st.text(max_size=8),
    ),
)


@settings(max_examples=60, deadline=None)
@given(_YAML)
def test_any_text_gives_a_course_or_a_course_error(tmp_path_factory, text):
    """Whatever course.yaml holds, it is a course or a CourseError with the file's name in it."""
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "course.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_course(folder)
    except CourseError as error:
        assert "course.yaml" in str(error)
        assert error.place is not None
        assert error.place.line is not None or not text.strip() or error.what.startswith(("this is not", "the file is"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_course_error(tmp_path_factory, data):
    """Bytes that are no text at all give a CourseError."""
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    (folder / "course.yaml").write_bytes(data)
    with pytest.raises(CourseError):
        load_course(folder)
