"""What of the host's file system a guest sees: the system's libraries and this Python, read-only, and nothing else.

Pure functions from where Python lies to bubblewrap's arguments. Not bound, so not there: the course, the checkout,
home folders, ``/etc`` (but for the linker's cache and an invented ``passwd``), ``/var``, ``/run``, ``/sys``. A virtual
environment inside the course is bound by its ``bin`` and ``lib`` only; an installed ``grader`` package in it is
covered by an empty folder, since a guest sees of it ``grader/guest`` alone.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = [
    "GUEST_ROOT",
    "installed_packages",
    "interpreter",
    "is_system",
    "parents",
    "python_binds",
    "relocated",
    "system_arguments",
]

GUEST_ROOT = "/guest"
"""Where ``grader/guest`` is bound inside: the first entry of a guest's PYTHONPATH."""

_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_INSIDE_SYSTEM = tuple(f"{folder}/" for folder in _SYSTEM_FOLDERS)
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime")
_PYTHON_PARTS = ("bin", "lib", "lib64", "pyvenv.cfg")


def system_arguments() -> list[str]:
    """Bubblewrap's arguments for the system folders, as links where the host has links."""
    arguments = []
    for folder in _SYSTEM_FOLDERS:
        if os.path.islink(folder):
            arguments += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            arguments += ["--ro-bind", folder, folder]
    for file in _SYSTEM_FILES:
        if os.path.exists(file):
            arguments += ["--ro-bind", os.path.realpath(file), file]
    return arguments


def is_system(path: str) -> bool:
    """Whether guests see a path because it lies in a system folder."""
    return path.startswith(_INSIDE_SYSTEM)


_COVERED = ("/tmp", "/dev", "/proc", "/home/student")  # noqa: S108 - inside
_ELSEWHERE = "/outside"


def interpreter() -> str:
    """This Python, as a path whose folder is free of links (its own last link tells Python which prefix is meant)."""
    folder, name = os.path.split(sys.executable)
    return os.path.join(os.path.realpath(folder), name)


def relocated(place: str) -> str:
    """Where a path of the host's lies inside: elsewhere if a guest's own file systems would cover it.

    A virtual environment in ``/tmp`` finds its packages beside its interpreter, wherever that is.
    """
    covered = any(place == folder or place.startswith(folder + "/") for folder in _COVERED)
    return _ELSEWHERE + place if covered else place


def python_binds(modules: tuple[str, ...]) -> list[tuple[str, str]]:
    """Source and place of everything that this interpreter and ``modules`` need outside the system folders.

    Args:
        modules: top-level packages that a guest imports; the site folders that hold them are bound.
    """
    binds: dict[str, str] = {}
    for prefix in dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)):
        for place in dict.fromkeys((prefix, os.path.realpath(prefix))):
            for part in _PYTHON_PARTS:
                _add(binds, os.path.join(place, part))
    link = interpreter()
    while os.path.islink(link):  # a link may lead on through folders that are no prefix (uv, pyenv)
        link = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
        _add(binds, link)
    for name in modules:
        spec = PathFinder.find_spec(name)
        if spec is None or not spec.origin:
            continue
        site = Path(spec.origin).parent.parent if spec.submodule_search_locations else Path(spec.origin).parent
        if site.name in ("site-packages", "dist-packages"):
            _add(binds, str(site))
    return [(source, place) for place, source in sorted(binds.items())]


def _add(binds: dict[str, str], place: str) -> None:
    inside = (*_SYSTEM_FOLDERS, *binds)
    if os.path.exists(place) and not any(place == folder or place.startswith(folder + "/") for folder in inside):
        binds[place] = os.path.realpath(place)


def parents(places: list[str]) -> list[str]:
    """All folders above ``places``, each before what lies in it, without those that the system folders bring."""
    above = {str(parent) for place in places for parent in Path(place).parents}
    return sorted(folder for folder in above - {"/"} if not f"{folder}/".startswith(_INSIDE_SYSTEM))


def installed_packages(name: str, binds: list[tuple[str, str]]) -> list[str]:
    """Folders called ``name`` in the site folders that a guest would see: they are to be covered.

    Args:
        name: a top-level package.
        binds: what ``python_binds`` gave.
    """
    places = [place for _, place in binds] + ["/usr"]
    found = []
    for entry in dict.fromkeys(sys.path):
        folder = os.path.join(os.path.realpath(entry), name)
        is_seen = any(folder.startswith(place + "/") for place in places)
        if entry and is_seen and os.path.isdir(folder):
            found.append(folder)
    return found
