"""``grader doctor``: what this machine can enforce."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from grader.cli.options import as_json, echo_json, stdout

if TYPE_CHECKING:
    from grader.sandbox.base import Capability, Sandbox
    from grader.sandbox.gpus import Gpu, NoGpu

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
    from grader.sandbox import gpus
    from grader.sandbox.select import select

    gpu = gpus.find()
    try:
        chosen = select(sandbox, gpu=gpu if isinstance(gpu, gpus.Gpu) else None)
    except SandboxUnavailable as error:
        if as_json:
            echo_json({"sandbox": None, "what": error.what, "remedy": error.remedy})
            return error.exit_code
        raise
    found = tuple(_tried(each, chosen, gpu) if each.id == "gpu" else each for each in chosen.capabilities())
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


def _tried(line: Capability, sandbox: Sandbox, gpu: Gpu | NoGpu) -> Capability:
    """The line about the GPU: why there is none, or what a guest makes of it, by trying."""
    from grader.sandbox.gpus import NoGpu

    if isinstance(gpu, NoGpu):
        return replace(line, holds=False, how=gpu.what, remedy=gpu.remedy)
    if not line.holds or not any(each.id == "sandbox" and each.holds for each in sandbox.capabilities()):
        return line
    said, is_seen = _ask_a_guest(sandbox)
    if said != "8.0":
        remedy = "torch must be built for this driver's CUDA; docs/gpu.md says what else a guest needs"
        return replace(line, holds=False, how=f"{line.how}; torch in a guest does not find it: {said}", remedy=remedy)
    how = f"{line.how}; torch in a guest finds it"
    if line.remedy is None and not is_seen:
        remedy = "run the grader in the host's pid namespace (docker run --pid=host), where NVML's numbers fit"
        return replace(line, how=f"{how}, but NVML does not see that process: its memory is not watched", remedy=remedy)
    return replace(line, how=how)


def _ask_a_guest(sandbox: Sandbox) -> tuple[str, bool]:
    """What torch says in a guest (``8.0`` when it computes on the GPU), and whether NVML sees that process."""
    import time

    from grader.errors import SandboxUnavailable
    from grader.sandbox.base import Limits
    from grader.sandbox.watch import tree_of
    from grader.wall.faults import SandboxLost, StudentFault
    from grader.wall.host import Wall

    source = "import torch\nprint(torch.ones(8, device='cuda').sum().item())"
    try:
        with sandbox:
            guest = sandbox.spawn(Limits(memory_bytes=8 << 30, gpu_memory_bytes=1 << 30))
            wall = Wall(guest.wall, guest=guest, seconds=120.0)
            result, _ = wall.request("cell", [0, source], options={"output_bytes": 4096})
            watch = getattr(guest, "gpu_watch", None)
            until = time.monotonic() + 5.0
            is_seen = False
            while watch is not None and not is_seen and time.monotonic() < until:
                is_seen = bool(watch.used().keys() & set(tree_of(guest.pid)))
                time.sleep(0.1)
            wall.close()
    except (SandboxUnavailable, SandboxLost, StudentFault) as error:
        return str(error), False
    printed = "".join(str(output.get("text", "")) for output in result["outputs"]).strip()
    return printed or str(result.get("error", {}).get("message", "it said nothing")), is_seen
