"""The Docker engine of this machine: reach it, say why not, tell our images and containers apart from others."""

from __future__ import annotations

import hashlib
import os
import socket
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import SandboxUnavailable
from grader.sandbox import cgroups
from grader.sandbox.zygotes import GUEST_FOLDER

if TYPE_CHECKING:
    from docker import APIClient

__all__ = [
    "IMAGE",
    "PACKAGES",
    "connect",
    "content",
    "find_image",
    "has_image",
    "inspect",
    "owner_labels",
    "recipe",
    "said",
    "sweep",
]

IMAGE = "grader-guest:latest"
PACKAGES = ("torch", "numpy", "safetensors", "ipython", "matplotlib", "scikit-learn")
"""What the image has besides Python, with all that they need, in the versions that are installed here."""
CONTENT = "grader.content"
"""The label of an image that says what went into it."""
_OWNER, _SPACE, _BOOT = "grader.owner", "grader.space", "grader.boot"
_BUILD = "grader image build (without a registry: grader image build --rootfs auto)"


def connect(*, timeout_s: int = 60) -> APIClient:
    """A connection to the engine that ``DOCKER_HOST`` names, or the machine's own.

    Raises SandboxUnavailable: there is none, or we may not use it.
    """
    import docker
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    settings = kwargs_from_env()
    place = str(settings.get("base_url", "unix:///var/run/docker.sock"))
    path = place.removeprefix("unix://")
    if not place.startswith("unix://"):
        raise SandboxUnavailable(
            f"the Docker engine at {place} is not on this machine",
            remedy="unset DOCKER_HOST; guests are watched from the machine that they run on",
        )
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
        return docker.APIClient(base_url=place, timeout=timeout_s)
    except FileNotFoundError as error:
        remedy = "install it and start it (sudo apt install docker.io; sudo systemctl start docker)"
        raise SandboxUnavailable(f"no Docker engine runs here: there is no {path}", remedy=remedy) from error
    except PermissionError as error:
        remedy = "sudo usermod -aG docker $USER, then log in again (members of that group are as good as root)"
        raise SandboxUnavailable(f"you may not use the Docker engine at {path}", remedy=remedy) from error
    except (OSError, DockerException) as error:
        remedy = "sudo systemctl restart docker, and see what `docker info` says"
        raise SandboxUnavailable(f"the Docker engine at {path} does not answer", remedy=remedy) from error


def recipe() -> Path:
    """The Dockerfile."""
    return Path(__file__).with_name("image") / "Dockerfile"


def content() -> str:
    """A digest of what goes into an image: the Dockerfile, the guest's code, the versions of the packages."""
    digest = hashlib.sha256(recipe().read_bytes())
    for path in sorted(GUEST_FOLDER.glob("*.py")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for name in PACKAGES:
        digest.update(f"{name}=={metadata.version(name)}\0".encode())
    return digest.hexdigest()[:16]


def inspect(client: APIClient, name: str) -> dict[str, Any]:
    """What the engine knows of an image. Raises ImageNotFound."""
    found: dict[str, Any] = client.inspect_image(name)  # type: ignore[no-untyped-call]
    return found


def has_image(client: APIClient, name: str) -> bool:
    """Whether the engine has an image of that name."""
    from docker.errors import ImageNotFound

    try:
        inspect(client, name)
    except ImageNotFound:
        return False
    return True


def said(error: BaseException) -> str:
    """The engine's words, without those of the library."""
    return str(getattr(error, "explanation", None) or error)


def find_image(client: APIClient, name: str = IMAGE) -> str:
    """The id of the image. Raises SandboxUnavailable when there is none, or one of another version of the grader."""
    from docker.errors import ImageNotFound

    try:
        image = inspect(client, name)
    except ImageNotFound:
        raise SandboxUnavailable(f"there is no image {name} for guests yet", remedy=_BUILD) from None
    if (image["Config"].get("Labels") or {}).get(CONTENT) != content():
        what = f"the image {name} is outdated: it was built by another version of grader or with other packages"
        raise SandboxUnavailable(what, remedy=_BUILD)
    return str(image["Id"])


def owner_labels(tag: str) -> dict[str, str]:
    """Labels that tell whose a container is: the process, the pid namespace that its pid means, and the boot."""
    return {_OWNER: tag, **_here()}


def _here() -> dict[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {_SPACE: os.readlink("/proc/self/ns/pid"), _BOOT: boot}


def sweep(client: APIClient) -> None:
    """Remove containers of runs that are dead."""
    from docker.errors import APIError

    here = _here()
    for found in client.containers(all=True, filters={"label": _OWNER}):
        labels = found["Labels"]
        rebooted = labels.get(_BOOT) != here[_BOOT]
        if rebooted or (labels.get(_SPACE) == here[_SPACE] and cgroups.owner_is_gone(labels[_OWNER])):
            try:
                client.remove_container(found["Id"], force=True, v=True)
            except APIError as error:
                if error.status_code not in (404, 409):  # another run was faster
                    raise
