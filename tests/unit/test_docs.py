"""The documentation says what is: references are current, nothing is missing, examples run, links lead somewhere."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from textwrap import dedent

import click
import pytest

import grader.checks
from grader.audit import Subject, judge, planned, run
from grader.cli import COMMANDS, cli
from grader.config import load_course
from grader.config.reference import reference as course_reference
from grader.jobs import mark
from grader.model import RecordStatus, Verdict
from grader.release import release

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
BY_HAND = [page for page in PAGES if page.name not in ("cli.md", "course-yaml.md")]
EXAMPLE = DOCS / "writing-an-assignment.md"
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_BYTES_OF_A_PICTURE = 300_000


def text_of(pages):
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def prose(page):
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page, language):
    return [dedent(body) for _, kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def command(name):
    return cli.get_command(click.Context(cli), name)


def options(name):
    return {option for each in command(name).params if isinstance(each, click.Option) for option in each.opts}


def test_command_reference_is_current():
    """docs/cli.md is what scripts/cli_reference.py makes of the commands."""
    place = ROOT / "scripts" / "cli_reference.py"
    spec = importlib.util.spec_from_file_location("cli_reference", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == module.reference(), f"run: python {place.relative_to(ROOT)}"


def test_course_reference_is_current():
    """docs/course-yaml.md is what the models say, so every key of course.yaml is in it."""
    text = (DOCS / "course-yaml.md").read_text(encoding="utf-8")
    assert text == course_reference(), "run: python -m grader.config"


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_explained(name):
    """Every command is shown in a guide, not in the reference only, and every option is in the reference."""
    assert re.search(rf"\bgrader {name}\b", text_of(BY_HAND))
    section = (DOCS / "cli.md").read_text(encoding="utf-8").split(f"\n## grader {name}\n")[1].split("\n## ")[0]
    assert {option for option in options(name) if f"`{option}`" not in section} == set()


@pytest.mark.parametrize("page", ["student.md", "instructor.md"])
@pytest.mark.parametrize("word", [*Verdict, *RecordStatus])
def test_verdicts_are_explained(page, word):
    """Students and instructors find every verdict and every status of a record on their page."""
    assert f"`{word}`" in (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("tool", grader.checks.__all__)
def test_check_tools_are_explained(tool):
    """Everything that a check file can import is on the page about checks."""
    assert re.search(rf"`[^`\n]*\b{tool}\b[^`\n]*`", prose(DOCS / "writing-checks.md"))


def test_every_flag_is_explained():
    """Every flag that a record can carry is in the instructors' table."""
    flags = {
        keyword.value.value
        for path in (ROOT / "grader").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Flag"
        for keyword in node.keywords
        if keyword.arg == "id" and isinstance(keyword.value, ast.Constant)
    }
    assert len(flags) > 5
    text = (DOCS / "instructor.md").read_text(encoding="utf-8")
    assert {flag for flag in flags if f"| `{flag}`" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_can_be_typed(page):
    """Every command line on a page names a command that there is, with options that it has."""
    lines = [line for kind in ("", "bash") for body in blocks(page, kind) for line in body.split("\n")]
    lines += re.findall(r"`(grader [^`\n]*)`", prose(page))
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True) if "grader " in line else []
        if words[:1] != ["grader"] or len(words) < 2 or words[1].startswith(("-", "…")):
            continue
        assert words[1] in COMMANDS, line
        given = {word for word in words[2:] if word.startswith("-")}
        assert given - options(words[1]) - {"-h", "--help"} == set(), line


def test_python_examples_compile():
    """Every example in Python is Python."""
    for page in PAGES:
        for body in blocks(page, "python"):
            compile(body, str(page), "exec")


@pytest.mark.parametrize("page", [DOCS / "instructor.md", EXAMPLE], ids=lambda page: page.name)
def test_course_examples_are_accepted(page, tmp_path):
    """Every course.yaml on a page is one that the grader takes."""
    found = [body for body in blocks(page, "yaml") if "assignments:" in body]
    assert found
    for body in found:
        (tmp_path / "course.yaml").write_text(body, encoding="utf-8")
        load_course(tmp_path / "course.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every link to a file or to a heading of the project's has its target."""
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def _anchors(page):
    """The anchors that the headings of a page get, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_pictures_are_small():
    """Pictures of the pages are PNGs that load quickly."""
    pictures = sorted((DOCS / "img").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < MOST_BYTES_OF_A_PICTURE


def test_design_notes_are_numbered_and_say_what_tests_cannot_see():
    """Notes have a number each; each names its problem, the choice, and the tests' blind spot."""
    notes = sorted((DOCS / "design").glob("*.md"))
    numbers = [note.name[:4] for note in notes]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\d{3}-", number) for number in numbers)
    for note in notes:
        text = note.read_text(encoding="utf-8")
        assert text.startswith(f"# {note.name[:3]}: ")
        for part in ("**Problem.**", "**Chosen.**", "**What the tests cannot see.**"):
            assert part in text, (note.name, part)


def test_the_example_assignment_works(tmp_path):
    """The assignment that the guide writes out can be released; variants and starter get what the guide says."""
    files = dict(NAMED_FILE.findall(EXAMPLE.read_text(encoding="utf-8")))
    assert len(files) == 11
    for name, text in files.items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    course = load_course(tmp_path / "course.yaml")
    (assignment,) = course.assignments
    made = release(course, assignment)
    assert (made.cells, made.exercises) == (6, 2)

    submissions = {"starter": made.path.read_text(encoding="utf-8")}
    for variant in ("correct/norm.py", "wrong/unbiased.py"):
        # A percent-format script is a notebook too: the solution with the variant in a last cell.
        source = files["solutions/standardise/standardise.py"]
        submissions[Path(variant).stem] = f"{source}\n# %%\n{files[f'solutions/standardise/{variant}']}"
    for student, text in submissions.items():
        place = tmp_path / "submitted" / student / "standardise"
        place.mkdir(parents=True)
        (place / "standardise.ipynb").write_text(text, encoding="utf-8")

    outcome = mark(course, assignment, seed=1, workers=2)
    assert {record.submission.student: record.score for record in outcome.records} == {
        "norm": 7.0,
        "starter": 0.0,
        "unbiased": 0.0,
    }
    (wrong,) = (record for record in outcome.records if record.submission.student == "unbiased")
    caught = {result.check.id: result.misconception for result in wrong.checks if result.verdict is Verdict.FAIL}
    assert caught == {"standardise_values": "the squares were divided by n − 1 instead of n"}
    (right,) = (record for record in outcome.records if record.submission.student == "norm")
    assert {cell.status for cell in right.cells} <= {"ok", "text", "skipped"}

    subject = Subject.of(course, assignment)
    trials = planned(subject, seeds=[1, 2])
    report = judge(subject, trials, run(subject, trials))
    assert "\n".join(problem.what for problem in report.problems) == ""
