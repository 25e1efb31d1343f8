"""What a guest would see of the host, as far as it can be told from bubblewrap's arguments."""

import os
import sys
from pathlib import Path

from grader.sandbox import filesystem


def test_binds_hold_python_and_nothing_of_the_checkout():
    """The interpreter and its libraries are bound; the folder that this package lies in is not."""
    binds = filesystem.python_binds(("torch", "numpy", "IPython"))
    places = [place for _, place in binds] + ["/usr"]

    def is_seen(path):
        return any(path == place or path.startswith(place + "/") for place in places)

    assert is_seen(os.path.realpath(sys.executable))
    assert is_seen(os.path.realpath(filesystem.interpreter()))
    assert not is_seen(str(Path(filesystem.__file__).resolve().parents[2] / "pyproject.toml"))
    assert not is_seen(str(Path.home() / ".ssh"))


def test_nothing_is_bound_twice():
    """No bind lies inside another."""
    places = [place for _, place in filesystem.python_binds(("torch",))]
    assert not [place for place in places for other in places if place.startswith(other + "/")]


def test_a_virtual_environment_in_the_course_shows_only_its_parts(monkeypatch, tmp_path):
    """Of a virtual environment its bin, lib and pyvenv.cfg are bound, not what lies beside them."""
    venv = tmp_path / "course" / ".venv"
    for part in ("bin", "lib", "secrets"):
        (venv / part).mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("")
    for name in ("prefix", "exec_prefix"):
        monkeypatch.setattr(sys, name, str(venv))
    places = {place for _, place in filesystem.python_binds(()) if place.startswith(str(tmp_path))}
    assert places == {str(venv / part) for part in ("bin", "lib", "pyvenv.cfg")}


def test_parents_come_before_what_lies_in_them():
    """Folders above a bind are made from the top, and none where the system's folders are."""
    assert filesystem.parents(["/a/b/c", "/usr/lib/x", "/a/d"]) == ["/a", "/a/b"]


def test_an_installed_package_of_ours_is_found(monkeypatch, tmp_path):
    """A grader installed in a bound site folder is named, so that it can be covered."""
    site = tmp_path / "lib" / "site-packages"
    (site / "grader").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", ["", str(site), str(tmp_path / "elsewhere")])
    bound = [(str(tmp_path / "lib"), str(tmp_path / "lib"))]
    assert filesystem.installed_packages("grader", bound) == [str(site / "grader")]
    assert filesystem.installed_packages("grader", []) == []


def test_what_a_guests_own_file_systems_would_cover_lies_elsewhere():
    """A virtual environment in /tmp is bound outside of /tmp; everything else keeps its place."""
    assert filesystem.relocated("/tmp/clone/.venv/bin/python") == "/outside/tmp/clone/.venv/bin/python"
    assert filesystem.relocated("/home/student") == "/outside/home/student"
    assert filesystem.relocated("/home/students/.venv") == "/home/students/.venv"
    assert filesystem.relocated("/tmpfiles/.venv") == "/tmpfiles/.venv"
