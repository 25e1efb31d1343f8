"""The command line: the only place that catches GraderError and prints.

Results go to stdout, talk goes to stderr, ``--json`` gives machine-readable results. Exit codes: 0 when everything
asked for was done; 1 with ``--strict`` when a student's check failed; 2 and up for errors, one code a class
(``grader.errors``). Commands are imported when they are called: ``grader --help`` imports Click and nothing else.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("grader.cli.demo:demo", "Mark a sample class and show where everything lies."),
    "image": ("grader.cli.image:image", "Build the image of the docker sandbox."),
    "doctor": ("grader.cli.doctor:doctor", "Say what this machine can enforce, and how to get the rest."),
    "release": ("grader.cli.release:release", "Make the students' notebook and prove that nothing hidden is in it."),
    "audit": ("grader.cli.audit:audit", "Prove that an assignment is fair, before it is released."),
    "check": ("grader.cli.check:check", "Run the public checks on your notebook (for students)."),
    "grade": ("grader.cli.grade:grade", "Mark the submissions of an assignment."),
    "regrade": ("grader.cli.regrade:regrade", "Mark a selection again and show what would change."),
    "feedback": ("grader.cli.feedback:feedback", "Write the students' feedback pages."),
    "report": ("grader.cli.report:report", "Write the class report."),
    "ci": ("grader.cli.ci:ci", "Mark what a pull request hands in, and tell the marks."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="grader")
def cli() -> None:
    """A deep-learning course in PyTorch and the machine that marks it."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """Run one command; its exit code. Every error that a person can mend ends here, as a sentence."""
    from grader.errors import GraderError

    as_json = "--json" in argv or "--events" in argv
    try:
        result: Any = cli.main(args=argv, prog_name="grader", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 7
    except click.ClickException as error:
        if as_json:
            _echo_error("UsageError", error.format_message())
        error.show()
        return 2
    except GraderError as error:
        if as_json:
            place = None if error.place is None else str(error.place)
            _echo_error(type(error).__name__, error.what, place, error.remedy)
        from grader.cli.options import harmless

        click.echo(harmless(f"grader: {error}"), err=True)  # may quote a file's name, or what a guest said
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
        return 7
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - a fault of ours must not look like a student's (exit code 1)
        import traceback

        if as_json:
            _echo_error("InternalError", f"{type(error).__name__}: {error}")
        from grader.cli.options import harmless

        click.echo(harmless(traceback.format_exc()), err=True)
        click.echo("grader: this is a fault of the grader itself; please report the lines above", err=True)
        return 8
    return result if isinstance(result, int) else 0


def _echo_error(error: str, what: str, place: str | None = None, remedy: str | None = None) -> None:
    """An error for other programs."""
    from grader.cli.options import echo_json

    echo_json({"error": error, "what": what, "place": place, "remedy": remedy})
