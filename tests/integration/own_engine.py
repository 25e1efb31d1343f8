"""A Docker engine of the tests' own, for as long as they need it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tiny_class import command

from grader.errors import SandboxUnavailable
from grader.sandbox import docker_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grader"
START_S = 180
REFUSES_S = 10
"""An engine that ends sooner cannot run here; one that ends later has waited for its parts in vain."""
PLACES = f"{os.environ['PATH']}:/usr/sbin:/sbin"
RUNTIMES = {"crun": "crun", "usual-by-name": "runc", "nvidia": "runc"}
"""What the engine knows besides its usual runtime: name to program."""
HOOK = """#!/bin/sh
# Called by the container runtime as NVIDIA's own is: it reads the state, which names the bundle.
bundle=$(sed 's/.*"bundle": *"\\([^"]*\\)".*/\\1/')
# Containers start side by side, and cp does not bear that another makes the same file.
cp "$bundle/config.json" {folder}/handed-over.$$
mv {folder}/handed-over.$$ {folder}/handed-over.json
"""
"""In place of the tool by which NVIDIA puts a GPU into a container: writes down what the engine was asked for."""


def can_be_started() -> bool:
    """Whether this user may start an engine, and there is one."""
    return os.geteuid() == 0 and shutil.which("dockerd", path=PLACES) is not None


class Engine:
    """A Docker engine of these tests' own. Its images stay; everything else goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.handed_over = folder / "handed-over.json"
        """The configuration of the last container that a GPU was requested for."""
        hook = folder / "bin" / "nvidia-container-runtime-hook"
        hook.parent.mkdir()
        hook.write_text(HOOK.format(folder=folder), encoding="utf-8")
        hook.chmod(0o755)
        self.places = f"{hook.parent}:{PLACES}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises SandboxUnavailable when it does not.

        It gives up by itself when its own parts are slow to come, as on a busy machine or after a kill: then once more.
        """
        deadline = time.monotonic() + START_S
        while True:
            begun = time.monotonic()
            self._launch()
            while self.process is not None and self.process.poll() is None:
                try:
                    docker_engine.connect().close()
                except SandboxUnavailable:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
                else:
                    return
            if time.monotonic() > deadline or time.monotonic() < begun + REFUSES_S:
                raise SandboxUnavailable("the Docker engine ended as soon as it was started")

    def _launch(self) -> None:
        said = (self.folder / "said").open("ab")
        places = {"data-root": CACHE / "docker", "exec-root": self.folder / "exec", "pidfile": self.folder / "pid"}
        options = [f"--{name}={place}" for name, place in places.items()]
        options += [f"--host=unix://{self.socket}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        for name, program in RUNTIMES.items():
            if found := shutil.which(program, path=PLACES):
                options += [f"--add-runtime={name}={found}"]
        with said:
            self.process = subprocess.Popen(
                ["dockerd", *options], stdout=said, stderr=said, env={**os.environ, "PATH": self.places}
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def with_image() -> None:
    """See that the engine has the grader's image. Raises CalledProcessError when it cannot be built."""
    with contextlib.closing(docker_engine.connect(timeout_s=600)) as client:
        try:
            docker_engine.find_image(client)
        except SandboxUnavailable:
            subprocess.run(command("image", "build", "--rootfs", "auto"), check=True)


@contextlib.contextmanager
def own_engine() -> Iterator[Engine]:
    """A running engine, which ``DOCKER_HOST`` names meanwhile. Raises SandboxUnavailable with what it said."""
    CACHE.mkdir(parents=True, exist_ok=True)
    before = os.environ.get("DOCKER_HOST")
    with (
        tempfile.TemporaryDirectory(prefix="grader-docker-", ignore_cleanup_errors=True) as folder,
        (CACHE / "docker.lock").open("w") as lock,
    ):
        made = Engine(Path(folder))
        os.environ["DOCKER_HOST"] = f"unix://{made.socket}"
        fcntl.flock(lock, fcntl.LOCK_EX)  # one engine at a time on these images
        try:
            try:
                made.start()
            except SandboxUnavailable as error:
                said = (made.folder / "said").read_text()[-300:]
                raise SandboxUnavailable(f"{error.what}: {said}") from error
            yield made
        finally:
            if made.process is not None:
                made.stop()
            # An engine that was killed has left its folder mounted on itself.
            subprocess.run(["umount", CACHE / "docker"], capture_output=True, check=False)
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before
