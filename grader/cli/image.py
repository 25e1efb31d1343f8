"""``grader image build``: the image of the docker sandbox."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

__all__ = ["image"]


@click.command()
@click.argument("action", type=click.Choice(["build"]))
@click.option("--base", metavar="IMAGE", help="An image with Python 3.11 or newer and venv, instead of Python's own.")
@click.option(
    "--rootfs",
    metavar="TAR|DIR|auto",
    help="A Debian root file system to build on, where no registry can be reached; auto makes one with mmdebstrap.",
)
@click.option("--tag", metavar="NAME", help="Another name than grader-guest:latest.")
def image(action: str, base: str | None, rootfs: str | None, tag: str | None) -> int:
    """Build the image that the docker sandbox runs student code in.

    `grader image build` collects the packages that are installed here with pip and needs a Docker engine. Build it
    again after every update of the grader: an outdated image is refused.
    """
    del action
    from grader.sandbox import docker_engine, docker_image

    def say(text: str) -> None:
        click.echo(f"• {text}", err=True)

    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = tag or docker_engine.IMAGE
    docker_image.build(tag=name, base=base, rootfs=rootfs, say=say, cache=Path(home) / "grader")
    click.echo(f"built {name}", file=sys.stdout)
    return 0
