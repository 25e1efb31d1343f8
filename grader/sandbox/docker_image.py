"""Build the image that the docker backend's guests run in.

Theory of operation. Nothing is fetched while the image is built, so the build needs no network: pip collects the
wheels on this machine, in the versions that are installed here, into the build's context. The base is a Python image
from a registry, or, on a machine without one, a Debian root file system: given as a file or folder, or made with
``mmdebstrap``. Wheels and root file systems are kept in the user's cache, Docker keeps its own layers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from grader.errors import SandboxUnavailable, UsageError
from grader.sandbox import cgroups
from grader.sandbox.docker_engine import CONTENT, IMAGE, PACKAGES, connect, content, has_image, inspect, recipe, said
from grader.sandbox.zygotes import FOLDER, GUEST_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

__all__ = ["build"]

_BASE = "grader-base"
_SUITE = "bookworm"
_IN_ROOTFS = "python3,python3-venv,libgomp1,libstdc++6"
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def build(
    *, tag: str = IMAGE, base: str | None = None, rootfs: str | None = None, say: Callable[[str], None], cache: Path
) -> str:
    """Build the image; its id.

    Args:
        tag: its name.
        base: an image with Python and venv; None takes the Python image of this Python's version.
        rootfs: a Debian root file system to use as the base: a tar file, a folder, or ``auto``.
        say: told what is being done.
        cache: a folder that is kept.

    Raises:
        SandboxUnavailable: the engine, the base or the packages cannot be had, or the build fails.
        UsageError: both a base and a root file system were given, or the latter is not there.
    """
    if base and rootfs:
        raise UsageError("--base and --rootfs exclude each other")
    from docker.errors import DockerException

    client = connect(timeout_s=600)
    try:
        with ThreadPoolExecutor(1) as beside:  # most often the base has the same Python as we
            ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
            likely = beside.submit(_wheels, ours, say, cache)
            name = base or f"python:{ours}-slim"
            name = _imported(client, rootfs, say, cache) if rootfs else _pulled(client, name, say)
            version = _python_of(client, name)
            wheels = likely.result() if version == ours else _wheels(version, say, cache)
        say(f"building {tag} from {name} with Python {version}")
        with _scratch() as folder:
            context = Path(folder)
            shutil.copy(recipe(), context / "Dockerfile")
            (context / "guest").mkdir()
            for path in GUEST_FOLDER.glob("*.py"):
                shutil.copy(path, context / "guest")
            (context / "wheels").mkdir()
            for path in wheels:
                _link(path, context / "wheels" / path.name)
            return _run_build(client, context, tag, name, say)
    except DockerException as error:
        raise SandboxUnavailable(f"the image cannot be built: {said(error)}") from error
    finally:
        client.close()


def _run_build(client: APIClient, context: Path, tag: str, base: str, say: Callable[[str], None]) -> str:
    """Have the engine build what lies in ``context``; the image's id. The image before it goes."""
    from docker.errors import APIError

    lines = client.build(
        path=str(context),
        tag=tag,
        buildargs={"BASE": base},
        labels={CONTENT: content()},
        network_mode="none",
        rm=True,
        forcerm=True,
        decode=True,
        use_config_proxy=False,
    )
    before = str(inspect(client, tag)["Id"]) if has_image(client, tag) else None
    output: list[str] = []
    for line in lines:
        text = str(line.get("error") or line.get("stream") or "").strip()
        output += [text] if text else []
        if text.startswith("Step "):
            say(text)
        if "error" in line:
            raise SandboxUnavailable("the image cannot be built: " + "\n".join(output[-8:]))
    made = str(inspect(client, tag)["Id"])
    if before not in (None, made):
        with contextlib.suppress(APIError):  # a run still uses it
            client.remove_image(before)
    return made


def _pulled(client: APIClient, name: str, say: Callable[[str], None]) -> str:
    """A base image that is there, or that a registry gives."""
    from docker.errors import APIError

    if not has_image(client, name):
        say(f"fetching {name}")
        try:
            client.pull(name)
        except APIError as error:
            remedy = "without a registry: grader image build --rootfs auto"
            raise SandboxUnavailable(f"the base image {name} cannot be fetched", remedy=remedy) from error
    return name


def _imported(client: APIClient, rootfs: str, say: Callable[[str], None], cache: Path) -> str:
    """A base image made of a root file system; imported once for each content."""
    path = _debian(say, cache) if rootfs == "auto" else Path(rootfs)
    if not path.exists():
        raise UsageError(f"there is no root file system at {path}")
    with _scratch() as folder:
        if path.is_dir():
            packed = Path(folder) / "rootfs.tar"
            with tarfile.open(packed, "w") as archive:
                archive.add(path, arcname=".")
            path = packed
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        name = f"{_BASE}:{digest}"
        if not has_image(client, name):
            say(f"importing {path.name}")
            answer = client.import_image_from_file(str(path), repository=_BASE, tag=digest)
            if "error" in answer:
                why = json.loads(answer.splitlines()[-1]).get("error", answer)
                raise SandboxUnavailable(f"the root file system cannot be imported: {why}")
    return name


def _debian(say: Callable[[str], None], cache: Path) -> Path:
    """A small Debian with Python; made once."""
    digest = hashlib.sha256(_IN_ROOTFS.encode()).hexdigest()[:8]
    place = cache / f"rootfs-{_SUITE}-{digest}.tar"
    if place.exists():
        return place
    tool = shutil.which("mmdebstrap")
    if tool is None:
        raise SandboxUnavailable("mmdebstrap is not installed", remedy="sudo apt install mmdebstrap")
    say(f"making a Debian root file system ({_SUITE})")
    cache.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{os.getpid()}.tar")
    command = [tool, "--quiet", "--variant=essential", f"--include={_IN_ROOTFS}", '--aptopt=Acquire::Languages "none"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [*command, _SUITE, str(part)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        part.unlink(missing_ok=True)
        why = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise SandboxUnavailable(f"mmdebstrap made no root file system: {why}")
    part.rename(place)
    return place


def _python_of(client: APIClient, image: str) -> str:
    """Major and minor version of the Python in an image, by asking it."""
    from docker.errors import APIError

    made = client.create_container(
        image,
        ["python3", "-c", _VERSION],
        host_config=client.create_host_config(network_mode="none"),
        use_config_proxy=False,
    )
    try:
        client.start(made)
        code = client.wait(made)["StatusCode"]
        version = client.logs(made).decode().strip()
    except APIError as error:
        raise SandboxUnavailable(f"{image} has no python3: {error.explanation}") from error
    finally:
        client.remove_container(made, force=True, v=True)
    if code != 0 or not version.startswith("3."):
        raise SandboxUnavailable(f"{image} has no Python that runs: {version}")
    if tuple(map(int, version.split("."))) < (3, 11):
        raise SandboxUnavailable(f"{image} has Python {version}", remedy="3.11 or newer is needed")
    return version


def _wheels(version: str, say: Callable[[str], None], cache: Path) -> list[Path]:
    """Wheels of everything the guest imports, for a version of Python; collected once for each set of versions."""
    pins = sorted({f"{each.name}=={each.version}" for each in metadata.distributions() if each.name != "grader"})
    wanted = [pin for pin in pins if pin.partition("==")[0].lower() in PACKAGES]
    digest = hashlib.sha256("\n".join([version, *pins]).encode()).hexdigest()[:16]
    place = cache / f"wheels-{digest}"
    if not place.is_dir():
        say(f"collecting packages ({', '.join(wanted)})")
        cache.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="wheels-", dir=cache))
        pinned = part / "pins.txt"
        pinned.write_text("\n".join(pins))
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        command += ["--dest", str(part), "--only-binary", ":all:", "--python-version", version]
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [*command, "--constraint", str(pinned), *wanted], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            shutil.rmtree(part)
            why = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise SandboxUnavailable(f"pip cannot collect the guest's packages: {why}")
        pinned.unlink()
        if place.is_dir():  # another run was faster
            shutil.rmtree(part)
        else:
            part.rename(place)
    return sorted(place.glob("*.whl"))


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for a moment, named so that the next run removes it if this one is killed."""
    return tempfile.TemporaryDirectory(prefix=f"{FOLDER}{cgroups.owner_tag()}-")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
