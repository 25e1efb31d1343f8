"""GPUs of this machine: what there is, what hands it to guests, and whether an assignment gets it.

Theory of operation. A run uses one GPU: the first of ``CUDA_VISIBLE_DEVICES``, or number 0. What a process needs of
the host for it is device nodes, the driver's own libraries (``libcuda``, which no wheel brings) and, read-only, what
the driver tells in ``/sys``; ``/proc/driver/nvidia`` is part of every ``/proc``. CUDA itself comes with torch. The
libraries lie where the linker's cache says, or in a folder of ``LD_LIBRARY_PATH``; in the second case guests get that
variable too. Name, driver and memory come from ``nvidia-smi``, which every driver brings.

The grader itself never uses a GPU (``hide``): with one in sight, torch's autograd starts threads in the process that
every submission is forked from, and none of the forks could differentiate any more.

**Not defended**: the driver. It is a large part of the kernel that a guest with a GPU may speak to, and no filter of
ours looks into what is said. With bubblewrap the other GPUs of the machine can be reached by who unsets the variable.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.errors import Place, SandboxUnavailable
from grader.sandbox.filesystem import is_system, parents, relocated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Card", "Gpu", "NoGpu", "bind_arguments", "discover", "environment", "find", "hide", "wanted"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER = "libcuda.so.1"
_NODES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-caps")
_SYS = ("/sys/bus/pci", "/sys/devices/pci*", "/sys/devices/system/cpu", "/sys/devices/system/memory",
        "/sys/devices/system/node", "/sys/module/nvidia*")  # fmt: skip
_USUAL = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/run/opengl-driver/lib")
"""Where driver containers and NixOS put the libraries."""
_QUERY = "index,uuid,name,driver_version,memory.total"
_ASK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One line of ``nvidia-smi``."""

    index: str
    uuid: str
    name: str
    driver: str
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The GPU that guests get, and what they need for it."""

    visible: str
    """For ``CUDA_VISIBLE_DEVICES``: an index or a UUID."""
    nodes: tuple[str, ...]
    """Paths below /dev."""
    libraries: tuple[str, ...] = ()
    """Folders with the driver's libraries that the linker's cache does not name."""
    name: str = "NVIDIA GPU"
    driver: str = "unknown"
    memory_bytes: int | None = None
    """All of its memory, where it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoGpu:
    """Why guests can have none here, and what to do."""

    what: str
    remedy: str


@functools.cache
def find() -> Gpu | NoGpu:
    """The GPU of this machine. Asked once a process, and before ``hide``."""
    if not os.path.exists("/dev/nvidiactl"):
        return discover(dev="/dev", environ=os.environ, cache="", smi="")
    cache = _said(shutil.which("ldconfig") or "/sbin/ldconfig", "-p")
    smi = _said(shutil.which("nvidia-smi") or "nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
    return discover(dev="/dev", environ=os.environ, cache=cache, smi=smi, usual=_USUAL)


def hide() -> None:
    """Keep this process, and all that it starts, away from the GPUs. ``find`` has to be called before."""
    os.environ[VISIBLE] = ""


def discover(*, dev: str, environ: Mapping[str, str], cache: str, smi: str, usual: Iterable[str] = ()) -> Gpu | NoGpu:
    """What the parts of a machine say about its GPU.

    Args:
        dev: the folder of device nodes.
        environ: variables of the user who grades.
        cache: what ``ldconfig -p`` prints.
        smi: what ``nvidia-smi`` prints for our query; empty where there is none.
        usual: folders to look for the driver's libraries in, besides ``LD_LIBRARY_PATH``.
    """
    asked = environ.get(VISIBLE)
    if asked is not None and asked.split(",")[0].strip() in ("", "-1", "NoDevFiles"):
        return NoGpu(what=f"{VISIBLE} is set to {asked!r}, which hides all GPUs", remedy=f"unset {VISIBLE}")
    nodes = sorted({path for pattern in _NODES for path in glob.glob(os.path.join(dev, pattern))})
    names = {os.path.basename(path) for path in nodes}
    if not any(name.removeprefix("nvidia").isdigit() for name in names) or "nvidiactl" not in names:
        remedy = "a machine with an NVIDIA GPU and its driver; inside a container: docker run --gpus all"
        return NoGpu(what=f"there is no NVIDIA GPU in {dev}", remedy=remedy)
    if "nvidia-uvm" not in names:
        return NoGpu(
            what=f"there is no {dev}/nvidia-uvm, without which CUDA cannot start", remedy="sudo nvidia-modprobe -u -c 0"
        )
    closed = [path for path in nodes if not os.path.isdir(path) and not _is_open(path)]
    if closed:
        remedy = "its node must be readable and writable to guests, as the driver makes it: sudo chmod a+rw"
        return NoGpu(what=f"guests may not use {', '.join(closed)}", remedy=f"{remedy} {' '.join(closed)}")
    libraries = _libraries(cache, environ.get("LD_LIBRARY_PATH", ""), usual)
    if libraries is None:
        remedy = f"install the driver's libraries, or name their folder in LD_LIBRARY_PATH ({DRIVER} lies there)"
        return NoGpu(what=f"the driver's library {DRIVER} is not found", remedy=remedy)
    visible = "0" if asked is None else asked.split(",")[0].strip()
    card = _chosen(visible, _cards(smi))
    gpu = Gpu(visible=visible, nodes=tuple(nodes), libraries=libraries)
    if card is None:
        return gpu
    return Gpu(
        visible=visible,
        nodes=gpu.nodes,
        libraries=libraries,
        name=card.name,
        driver=card.driver,
        memory_bytes=card.memory_bytes,
    )


def wanted(gpu: str, assignment: str, found: Gpu | NoGpu) -> Gpu | None:
    """The GPU that an assignment's guests get, from its key ``gpu``.

    Raises:
        SandboxUnavailable: it is required, and there is none.
    """
    if gpu == "never":
        return None
    if isinstance(found, Gpu):
        return found
    if gpu == "required":
        raise refused(assignment, found.what, found.remedy)
    return None


def refused(assignment: str, what: str, remedy: str | None) -> SandboxUnavailable:
    """The error that nothing is marked with where a GPU is required."""
    place = Place(file="course.yaml", key=f"{assignment}.gpu")
    otherwise = "`gpu: preferred` marks without one"
    return SandboxUnavailable(
        f"a GPU is required, and guests can have none here: {what}",
        place=place,
        remedy=f"{remedy}; {otherwise}" if remedy else otherwise,
    )


def bind_arguments(gpu: Gpu | None) -> list[str]:
    """Bubblewrap's arguments that hand the GPU over; none for None. To stand behind ``--dev /dev``."""
    if gpu is None:
        return []
    arguments = []
    for node in gpu.nodes:
        arguments += ["--dev-bind", node, node]
    read = [(folder, relocated(folder)) for folder in gpu.libraries if not is_system(f"{folder}/")]
    read += sorted((path, path) for pattern in _SYS for path in glob.glob(pattern))
    for parent in parents([place for _, place in read]):
        arguments += ["--dir", parent]  # left to bubblewrap they would be closed to nobody
    for source, place in read:
        arguments += ["--ro-bind", os.path.realpath(source), place]
    return arguments


def environment(gpu: Gpu | None, *, place: Callable[[str], str] = str) -> dict[str, str]:
    """What guests are told: the number of their GPU, or that there is none.

    Args:
        gpu: theirs, if they get one.
        place: where a folder of the host's lies inside.
    """
    if gpu is None:
        return {VISIBLE: ""}
    told = {VISIBLE: gpu.visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # nvidia-smi's order, not CUDA's own
    return {**told, "LD_LIBRARY_PATH": ":".join(map(place, gpu.libraries))} if gpu.libraries else told


def _said(*command: str) -> str:
    """What a tool prints; nothing where it is missing, fails or hangs."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - tools of the system, with our words
            command, capture_output=True, text=True, errors="replace", timeout=_ASK_S, check=False
        )
        return done.stdout if done.returncode == 0 else ""
    return ""


def _cards(smi: str) -> list[Card]:
    """The lines of ``nvidia-smi``; what it does not know (``[N/A]``) stays open."""
    found = []
    for line in smi.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == _QUERY.count(",") + 1:
            index, uuid, name, driver, mib = parts
            memory = int(mib) << 20 if mib.isdigit() else None
            found.append(Card(index=index, uuid=uuid, name=name, driver=driver, memory_bytes=memory))
    return found


def _chosen(visible: str, cards: list[Card]) -> Card | None:
    """The card that a word in ``CUDA_VISIBLE_DEVICES`` means: an index, or the beginning of a UUID."""
    matches = (card for card in cards if visible == card.index or card.uuid.startswith(visible))
    return next(matches, None)


def _is_open(path: str) -> bool:
    """Whether a guest may open a node: as root's guests are nobody, everybody must be allowed to."""
    if os.geteuid() != 0:
        return os.access(path, os.R_OK | os.W_OK)
    return os.stat(path).st_mode & (stat.S_IROTH | stat.S_IWOTH) == stat.S_IROTH | stat.S_IWOTH


def _libraries(cache: str, variable: str, usual: Iterable[str]) -> tuple[str, ...] | None:
    """Folders for a guest's ``LD_LIBRARY_PATH``: none if the linker finds the driver by itself; None if nobody does."""
    for line in cache.splitlines():
        name, _, path = line.strip().partition(" => ")
        if name.split(" ")[0] == DRIVER and is_system(path) and os.path.exists(path):
            return ()
    cached = (line.rpartition(" => ")[2] for line in cache.splitlines() if line.strip().startswith(f"{DRIVER} "))
    folders = [*variable.split(":"), *usual, *map(os.path.dirname, cached)]
    found = [folder for folder in dict.fromkeys(folders) if folder and os.path.exists(os.path.join(folder, DRIVER))]
    return tuple(found[:1]) or None
