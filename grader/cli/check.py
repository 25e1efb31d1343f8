"""``grader check``: a student runs the public checks on a notebook."""

from __future__ import annotations

from pathlib import Path

import click

from grader.cli.options import as_json, echo_json

__all__ = ["check"]


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--exercise", help="Only this exercise.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a check does not hold.")
@as_json
def check(notebook: Path, exercise: str | None, strict: bool, as_json: bool) -> int:
    """Run NOTEBOOK from top to bottom and its assignment's public checks on what it defines.

    The checks are those of test_public.py beside the notebook. Your code runs on your own machine with your own
    rights, as it does in Jupyter.
    """
    from grader.errors import UsageError
    from grader.student import check_notebook, describe

    if not notebook.is_file():
        raise UsageError(f"there is no notebook {str(notebook)!r}", remedy="give the path of your .ipynb file")
    cells, results = check_notebook(notebook, exercise)
    if as_json:
        checks = [
            {
                "check": r.check.id,
                "line": r.check.line,
                "verdict": str(r.verdict),
                "rationale": r.rationale,
                "hint": r.check.hint,
            }
            for r in results
        ]
        echo_json({"cells": [{"cell": i + 1, "error": text} for i, text in cells], "checks": checks})
    else:
        for index, text in cells:
            click.echo(f"Cell {index + 1} raised {text}", err=True)
        click.echo(describe(results))
    return 1 if strict and any(result.verdict != "PASS" for result in results) else 0
