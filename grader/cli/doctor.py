"""``grader doctor``: what this machine can enforce."""

from __future__ import annotations

import click

from grader.cli.options import as_json, echo_json, stdout

__all__ = ["doctor"]


@click.command()
@click.option(
    "--sandbox", type=click.Choice(["auto", "bubblewrap", "docker", "none"]), default="auto", show_default=True
)
@as_json
def doctor(sandbox: str, as_json: bool) -> int:
    """Say which protections hold on this machine and how to get those that do not.

    Exits with 5 when there is no sandbox at all.
    """
    from grader.errors import SandboxUnavailable
    from grader.sandbox.select import select

    try:
        chosen = select(sandbox)
    except SandboxUnavailable as error:
        if as_json:
            echo_json({"sandbox": None, "what": error.what, "remedy": error.remedy})
            return error.exit_code
        raise
    found = chosen.capabilities()
    if as_json:
        about = [{"id": c.id, "holds": c.holds, "how": c.how, "remedy": c.remedy} for c in found]
        echo_json({"sandbox": chosen.name, "capabilities": about})
        return 0
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(f"Sandbox: [bold]{chosen.name}[/]")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for capability in found:
        mark = Text("✔ holds", style="green") if capability.holds else Text("✘ does not", style="red")
        how = Text(capability.how)
        if capability.remedy:
            how.append(f"\n→ {capability.remedy}", style="bold")
        table.add_row(mark, capability.id, how)
    console.print(table)
    missing = [capability.id for capability in found if not capability.holds]
    if missing:
        text = f"An assignment can refuse to be marked without them: `require: [{', '.join(missing)}]` in course.yaml."
        console.print(text, markup=False)
    return 0
