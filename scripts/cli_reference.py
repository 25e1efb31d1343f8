"""``python scripts/cli_reference.py``: write ``docs/cli.md`` anew from the commands themselves."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader import errors
from grader.cli import COMMANDS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """\
# Commands

<!-- Generated from grader/cli and grader/errors.py by `python scripts/cli_reference.py`; edit the docstrings there. -->

Results go to stdout, talk and progress to stderr. With `--json` the result is one JSON document on stdout, an error
too: `{"error": …, "what": …, "place": …, "remedy": …}`. `NO_COLOR` is respected. How the commands are used:
[students](student.md), [instructors](instructor.md), [authors of assignments](writing-an-assignment.md).
"""
STRICT = "1 | with `--strict`: a check did not hold. Never used for an error"
NOTES = """\
What is wrong with a *submission* is never an error of the command: it is a verdict on the record, and the exit code
is 0.
"""


def reference() -> str:
    """What ``docs/cli.md`` holds."""
    parts = [HEAD, "| command | |", "| --- | --- |"]
    parts += [f"| [`grader {name}`](#grader-{name}) | {line} |" for name, (_, line) in COMMANDS.items()]
    parts += ["", "`grader --version` shows the version; `-h` or `--help`, also after a command, explains it.", ""]
    for name in COMMANDS:
        parts += _command(name)
    parts += ["## Exit codes", "", "| code | |", "| --- | --- |", "| 0 | what was asked for is done |", f"| {STRICT} |"]
    parts += [f"| {cls.exit_code} | `{cls.__name__}`: {_first_line(cls)} |" for cls in _errors()]
    return "\n".join([*parts, "", NOTES])


def _command(name: str) -> Iterator[str]:
    context = click.Context(cli, info_name="grader")
    command = cli.get_command(context, name)
    assert command is not None
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option)]
    usage = " ".join([f"grader {name}", "[OPTIONS]" if options else "", *map(_placeholder, arguments)])
    yield from (f"## grader {name}", "", "```", usage, "```", "", _text(command.help or ""), "")
    yield from ("| option | value | default | |", "| --- | --- | --- | --- |")
    for option in options:
        names = ", ".join(f"`{each}`" for each in option.opts)
        yield f"| {names} | {_value(option)} | {_default(option)} | {_cell(option.help or '')} |"
    yield ""


def _placeholder(argument: click.Argument) -> str:
    name = (argument.name or "").upper()
    name = f"{name}…" if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    kind = option.type
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{each}`" for each in kind.choices)
    if isinstance(kind, click.IntRange):
        return f"{kind.min} to {kind.max}"
    text = option.metavar or kind.name
    return f"{text.lower()}, may be repeated" if option.multiple else text.lower()


def _default(option: click.Option) -> str:
    return f"`{option.default}`" if option.show_default and option.default is not None else ""


def _text(help_text: str) -> str:
    """A help text as Markdown: what stands in angle brackets is no HTML."""
    return inspect.cleandoc(help_text).replace("<", "\\<")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _errors() -> list[type[errors.GraderError]]:
    found = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.GraderError) and each is not errors.GraderError
    ]
    return sorted(found, key=lambda each: each.exit_code)


def _first_line(cls: type) -> str:
    return _cell((cls.__doc__ or "").strip().split("\n")[0]).rstrip(".")


def main() -> None:
    """Write the page."""
    PLACE.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
