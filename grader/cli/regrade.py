"""``grader regrade``: mark a selection again; what would change is shown before it is written."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from grader.cli.grade import set_behind, stoppable, sync_gradebook
from grader.cli.options import (
    as_json,
    assignment_argument,
    course_option,
    echo_json,
    harmless,
    open_course,
    plain,
    stderr,
    stdout,
)
from grader.model import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from grader.model import Change
    from grader.regrade import Regraded

__all__ = ["regrade"]


@click.command()
@assignment_argument
@course_option
@click.option("--student", "students", multiple=True, metavar="GLOB", help="Only these students (may be repeated).")
@click.option("--exercise", "exercises", multiple=True, metavar="GLOB", help="Only checks of these exercises.")
@click.option("--check", "checks", multiple=True, metavar="GLOB", help="Only these checks.")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    type=click.Choice([verdict.value for verdict in Verdict], case_sensitive=False),
    help="Only checks with this verdict.",
)
@click.option(
    "--reason", required=True, metavar="TEXT", help="Why: kept on each changed record and told to its student."
)
@click.option("--yes", is_flag=True, help="Write the changes without asking.")
@click.option("--sandbox", type=click.Choice(["auto", "bubblewrap", "docker", "none"]), help="Overrides course.yaml.")
@click.option("--seed", type=int, help="Run seed: the same one replays marks exactly.")
@click.option("-j", "--workers", type=click.IntRange(1, 256), help="Submissions at a time.  [default: one a core]")
@click.option("--no-gradebook", is_flag=True, help="Journal only; the gradebook can be made from it later.")
@as_json
def regrade(
    assignment: str | None,
    course_path: Path,
    students: tuple[str, ...],
    exercises: tuple[str, ...],
    checks: tuple[str, ...],
    verdicts: tuple[str, ...],
    reason: str,
    yes: bool,
    sandbox: str | None,
    seed: int | None,
    workers: int | None,
    no_gradebook: bool,
    as_json: bool,
) -> int:
    """Mark a selection of verdicts of ASSIGNMENT again, show what would change, and write it if you agree.

    Every selector can be repeated and may hold * and ?; a verdict has to fit one of each kind. Checks that depend on a
    selected one are run again too; every other verdict stays. Without a terminal to ask at, and without --yes, nothing
    is written.
    """
    from grader.cli.progress import watching
    from grader.regrade import Selection
    from grader.regrade import regrade as run

    course, chosen = open_course(course_path, assignment)
    selection = Selection(
        students=students,
        exercises=exercises,
        checks=checks,
        verdicts=tuple(Verdict(verdict.upper()) for verdict in verdicts),
    )

    def confirm(found: Regraded) -> bool:
        progress.close()  # it would write over the question
        if not as_json:
            _show(found)
        agreed = yes or (bool(found.differences) and not as_json and sys.stdin.isatty() and _ask(found))
        if agreed and found.students:
            set_behind(course, chosen)
        return agreed

    with stoppable(), contextlib.ExitStack() as progress:
        shown = progress.enter_context(watching(stderr(), chosen.title, quiet=as_json))
        done = run(
            course,
            chosen,
            selection,
            reason=reason,
            confirm=confirm,
            sandbox=sandbox,
            seed=seed,
            workers=workers,
            listener=shown,
        )
    if done.written and done.students and not no_gradebook:
        sync_gradebook(course, chosen, as_json)
    if as_json:
        echo_json(_summary(done))
    elif done.written:
        click.echo(f"Written, with the reason. Run seed {done.seed}.")
    else:
        click.echo("Nothing is written." + (" To write it: --yes." if done.differences else ""))
    return 0


def _ask(found: Regraded) -> bool:
    marks = sum(each.before.score != each.after.score for each in found.differences)
    return click.confirm(f"Write this? It changes {marks} score{'' if marks == 1 else 's'}.", err=True)


def _show(found: Regraded) -> None:
    console = stdout()
    for student, why in found.passed_over:
        console.print(f"Not marked again: {plain(student, 40)}: {harmless(why)}")
    if found.differences:
        console.print(_table(found))
    what = f"{found.checks} checks of {found.students} submissions marked again in {found.seconds:.1f} s"
    changed = sum(len(each.checks) for each in found.differences)
    console.print(f"{what}: {f'{changed} would change' if found.differences else 'nothing would change'}.")


def _table(found: Regraded) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("student", no_wrap=True, overflow="ellipsis", max_width=20)
    table.add_column("check", overflow="fold")
    table.add_column("verdict")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    for each in found.differences:
        score = f"{_score(each.before.score)} → {_score(each.after.score)}"
        rows = [(plain(change.check, 60), _verdicts(change), _points(change)) for change in each.checks]
        for number, row in enumerate(rows or [("", "", "")]):
            student = plain(each.after.submission.student, 40) if number == 0 else ""
            table.add_row(student, *row, score if number == 0 else "")
    return table


def _verdicts(change: Change) -> str:
    return f"{change.before or '–'} → {change.after or '–'}"


def _points(change: Change) -> str:
    return f"{change.earned_before:g} → {change.earned_after:g}"


def _score(score: float | None) -> str:
    return "held" if score is None else f"{score:g}"


def _summary(done: Regraded) -> dict[str, Any]:
    """The outcome for other programs."""
    return {
        "assignment": done.assignment,
        "seed": done.seed,
        "seconds": done.seconds,
        "written": done.written,
        "students": done.students,
        "checks": done.checks,
        "passed_over": dict(done.passed_over),
        "changed": [
            {
                "student": each.after.submission.student,
                "score": {"before": each.before.score, "after": each.after.score},
                "checks": [
                    {
                        "check": change.check,
                        "verdict": {"before": change.before, "after": change.after},
                        "points": {"before": change.earned_before, "after": change.earned_after},
                    }
                    for change in each.checks
                ],
            }
            for each in done.differences
        ],
    }
