"""``grader audit``: prove that an assignment is fair."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from grader.cli.options import as_json, course_option, echo_json, plain, stderr, stdout

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from grader.audit import Report

__all__ = ["audit"]


@click.command()
@click.argument("assignments", nargs=-1)
@course_option
@click.option("--seeds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Seeds for right answers.")
@click.option("--seed", type=int, help="The first seed; drawn when left out.")
@click.option("--quick", is_flag=True, help="Leave out what seldom finds anything.")
@click.option("--mutants/--no-mutants", default=True, show_default=True, help="Also mutate the solution.")
@click.option("--only", metavar="TEXT", help="Only the variants whose name holds TEXT.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), default=Path("audit"), show_default=True)
@click.option("--sandbox", type=click.Choice(["auto", "bubblewrap", "docker", "none"]), help="Overrides course.yaml.")
@click.option("--workers", type=click.IntRange(1, 256), help="Notebooks at the same time; one per core if left out.")
@as_json
def audit(
    assignments: tuple[str, ...],
    course_path: Path,
    seeds: int,
    seed: int | None,
    quick: bool,
    mutants: bool,
    only: str | None,
    to: Path,
    sandbox: str | None,
    workers: int | None,
    as_json: bool,
) -> int:
    """Prove that ASSIGNMENTS (default: all) are fair: mark right, wrong and mutated solutions and say what to mend.

    Ends with 1 when there is something to mend. The whole matrix is in TO/ASSIGNMENT.html.
    """
    from grader.audit import Subject, audit_page, judge, planned, run
    from grader.config import load_course
    from grader.files import replace_file

    course = load_course(course_path / "course.yaml" if course_path.is_dir() else course_path)
    chosen = [course.assignment(name) for name in assignments] or list(course.assignments)
    first = secrets.randbits(32) if seed is None else seed
    reports = []
    for assignment in chosen:
        subject = Subject.of(course, assignment)
        trials = planned(subject, seeds=range(first, first + seeds), quick=quick, mutants=mutants, only=only)
        with _Ticks(stderr(), assignment.name, len(trials), quiet=as_json) as tick:
            records = run(subject, trials, sandbox=sandbox, workers=workers, progress=tick)
        report = judge(subject, trials, records)
        reports.append(report)
        page = to / f"{assignment.name}.html"
        to.mkdir(parents=True, exist_ok=True)
        replace_file(page, audit_page(report).encode())
        if not as_json:
            _show(stdout(), report, page)
    if as_json:
        echo_json([_plain(report) for report in reports])
    return 1 if any(report.problems for report in reports) else 0


class _Ticks:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, title: str, total: int, *, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[at]}"),
        )  # fmt: skip
        self.live = console.is_terminal and not quiet
        self.console, self.title, self.total, self.quiet = console, title, total, quiet
        self.bar = Progress(*columns, console=console, transient=True)
        self.task = self.bar.add_task(title, total=total, at="the reference")

    def __enter__(self) -> Self:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.bar.stop()

    def __call__(self, done: int, name: str) -> None:
        """One notebook more."""
        if self.live:
            self.bar.update(self.task, completed=done, at=plain(name, 30))
        elif not self.quiet and (done % 50 == 0 or done == self.total):
            self.console.print(f"{self.title}: {done} of {self.total}", highlight=False)


FAR = 100
"""Times a limit beyond which nobody needs to know how far."""


def _show(console: Console, report: Report, page: Path) -> None:
    console.print(f"[bold]{plain(report.title)}[/]")
    if report.rows:
        console.print(_matrix(report, console.width))
    for mutant in report.survivors:
        console.print(f"survives in {plain(mutant.exercise)}, line {mutant.line}:", style="dim")
        console.print(f"  [red]- {plain(mutant.was)}[/]\n  [green]+ {plain(mutant.now)}[/]", soft_wrap=True)
    for fact in report.checks:
        if fact.spec.timed and fact.nearest_right is not None:
            wrong = fact.nearest_wrong
            beyond = "" if wrong is None else f", the nearest wrong one {'far more' if wrong > FAR else f'{wrong:.0%}'}"
            console.print(
                f"[dim]headroom: {plain(fact.spec.id)}: right answers use at most {fact.nearest_right:.0%} of its "
                f"limits{beyond}[/]",
                soft_wrap=True,
            )
    for note in report.notes:
        console.print(f"[dim]look: {plain(note.what, 400)}[/]", soft_wrap=True)
    for problem in report.problems:
        console.print(f"[yellow]mend:[/] {plain(problem.what, 600)}", soft_wrap=True)
        if problem.remedy:
            console.print(f"      [dim]→ {plain(problem.remedy, 300)}[/]", soft_wrap=True)
    wrong = sum(not row.right for row in report.rows)
    parts = [
        f"{report.runs_of_right} runs of right answers over {report.seeds} {'seed' if report.seeds == 1 else 'seeds'}",
        f"{report.flakes} unsteady",
        f"{wrong} wrong {'variant' if wrong == 1 else 'variants'}",
        f"{report.generic} generic wrong answers",
        f"{report.mutants} mutants, {100 * report.kill_rate:.1f} % caught ({report.equivalent} equivalent)",
        f"{len(report.checks)} checks in {report.reference_s:.1f} s",
    ]
    console.print(", ".join(parts), soft_wrap=True)
    verdict = f"[bold red]{len(report.problems)} to mend[/]" if report.problems else "[bold green]fair[/]"
    console.print(f"{plain(report.assignment)}: {verdict}   {plain(str(page), 500)}", soft_wrap=True)


def _matrix(report: Report, width: int) -> Table:
    """Variants × exercises: what each loses."""
    from rich.table import Table

    heads = list(report.exercises)
    narrow = 34 + sum(len(head) + 2 for head in heads) > width
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("variant", no_wrap=True, overflow="ellipsis", max_width=32)
    for number, head in enumerate(heads, 1):
        table.add_column(str(number) if narrow else head, justify="center", no_wrap=True)
    for row in report.rows:
        marks = [
            "[red]✘[/]" if head in row.lost and head in row.due
            else "[bold yellow]✘ ![/]" if head in row.lost
            else "[bold yellow]· ![/]" if head in row.due
            else "[dim]·[/]"
            for head in heads
        ]  # fmt: skip
        name = ("[green]✔[/] " if row.right else "") + plain(row.name)
        table.add_row(name if row.as_declared else f"[yellow]{name}[/]", *marks)
    if narrow:
        table.caption = ", ".join(f"{number} {head}" for number, head in enumerate(heads, 1))
        table.caption_justify = "left"
    return table


def _plain(report: Report) -> dict[str, object]:
    return {
        "assignment": report.assignment,
        "fair": not report.problems,
        "problems": [asdict(problem) for problem in report.problems],
        "notes": [asdict(note) for note in report.notes],
        "survivors": [
            {"exercise": each.exercise, "line": each.line, "was": each.was, "now": each.now}
            for each in report.survivors
        ],
        "mutants": report.mutants,
        "equivalent": report.equivalent,
        "kill_rate": report.kill_rate,
        "flakes": report.flakes,
        "reference_s": report.reference_s,
        "checks": {
            fact.spec.id: {
                "kills": fact.kills,
                "seconds": fact.seconds,
                "nearest_right": fact.nearest_right,
                "nearest_wrong": fact.nearest_wrong,
            }
            for fact in report.checks
        },
    }
