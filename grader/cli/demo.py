"""``grader demo``: mark a sample class and show what comes out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader.cli.options import assignment_argument, course_option, open_course, stdout

if TYPE_CHECKING:
    from grader.config import Assignment, Course

__all__ = ["demo"]

RIGHT = 5
NAMES = ("olga", "amara", "ben", "chiara", "dmitri", "elif", "femi", "greta", "hana", "ivan", "jonas", "keiko", "luis",
         "mei", "noah", "pavel", "quinn", "rosa")  # fmt: skip


@click.command()
@assignment_argument
@click.option("--assignment", "named", metavar="ASSIGNMENT", help="The same, as an option.")
@course_option
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True)
@click.option("--sandbox", type=click.Choice(["auto", "bubblewrap", "docker", "none"]), help="Overrides course.yaml.")
def demo(assignment: str | None, named: str | None, course_path: Path, to: Path, sandbox: str | None) -> int:
    """Mark the sample class of ASSIGNMENT in the sandbox and show where marks, pages and report lie."""
    from grader.cli.feedback import write_pages
    from grader.cli.grade import mark_class, sentence
    from grader.cli.report import TITLES, write_report
    from grader.cli.table import class_table

    course, chosen = open_course(course_path, named or assignment)
    students = set_up(course, chosen, to)
    there, sample = open_course(to / "course.yaml", chosen.name)
    console = stdout()
    outcome = mark_class(there, sample, force=True, sandbox=sandbox)
    pages = write_pages(there, sample)
    reports = write_report(there, sample)
    console.print(class_table(outcome.records, console.width))
    console.print(sentence(outcome))
    shown = {
        f"Feedback pages ({len(pages)})": next(iter(pages.values())).parent,
        **{TITLES[what]: path for what, path in reports.items()},
        "Gradebook (nbgrader's)": there.gradebook_url,
        "Journal": there.journal,
    }
    width = max(map(len, shown))
    for what, place in shown.items():
        console.print(f"{what:<{width}}  {place}", soft_wrap=True, markup=False)
    return 0 if len(outcome.records) == students else 8


def set_up(course: Course, assignment: Assignment, to: Path) -> int:
    """Lay the sample class out as a course of its own; how many students it has."""
    from grader.errors import UsageError

    sample = assignment.solution_folder / "class"
    folders = sorted(path for path in sample.iterdir() if path.is_dir()) if sample.is_dir() else []
    made_up = {} if folders else _made_up(course, assignment)
    if to.exists() and any(to.iterdir()) and not (to / "course.yaml").is_file():
        raise UsageError(f"{to} is not empty and is no demo", remedy="choose another folder with --to")
    for name in ("assignments", "solutions", "submitted"):
        shutil.rmtree(to / name, ignore_errors=True)
    to.mkdir(parents=True, exist_ok=True)
    shutil.copy2(course.file, to / "course.yaml")
    for each in course.assignments:
        if each is assignment or (each.folder.is_dir() and each.solution_folder.is_dir()):
            shutil.copytree(each.folder, to / "assignments" / each.name)
            shutil.copytree(each.solution_folder, to / "solutions" / each.name, ignore=shutil.ignore_patterns("class"))
    for folder in folders:
        shutil.copytree(folder, to / "submitted" / folder.name / assignment.name)
    for student, data in made_up.items():
        place = to / "submitted" / student / assignment.name
        place.mkdir(parents=True)
        (place / f"{assignment.name}.ipynb").write_bytes(data)
    return len(folders) + len(made_up)


def _made_up(course: Course, assignment: Assignment) -> dict[str, bytes]:
    """A class from the assignment's variants: some right, a wrong one for every exercise, one untouched."""
    from grader.audit import Subject
    from grader.errors import UsageError

    subject = Subject.of(course, assignment)
    right = [variant for variant in subject.variants if variant.right][:RIGHT]
    wrong = [
        next(variant for variant in subject.variants if variant.exercise == exercise)
        for exercise in subject.exercises
        if any(variant.exercise == exercise for variant in subject.variants)
    ]
    if not right + wrong:
        remedy = "write variants in solutions/, or a class/ folder; docs/writing-an-assignment.md shows how"
        raise UsageError(f"{assignment.name} has no sample class", remedy=remedy)
    handed_in = [subject.starter(), subject.notebook(), *map(subject.handed_in, right + wrong)]
    return dict(zip(NAMES, handed_in, strict=False))
