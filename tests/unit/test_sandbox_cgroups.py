"""Control groups of either version on a folder tree that answers as the kernel's would.

A machine offers one version; the other one's file names and formats are held here. The real thing runs in
``tests/integration/test_sandbox.py``.
"""

import os
import shutil
from pathlib import Path

import pytest

from grader.sandbox import cgroups
from grader.sandbox.base import Limits, Usage

FILES = {
    "cgroup.procs": "",
    "cgroup.subtree_control": "",
    "cgroup.controllers": "cpu memory pids\n",
    "cgroup.kill": "",
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.current": "4096\n",
    "memory.peak": "8192\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n",
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\n",
    "pids.max": "max\n",
    "pids.current": "2\n",
    "memory.limit_in_bytes": "0\n",
    "memory.memsw.limit_in_bytes": "0\n",
    "memory.usage_in_bytes": "4096\n",
    "memory.max_usage_in_bytes": "8192\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "cpuacct.usage": "1500000000\n",
}


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """A folder in which new folders come with control files and can be removed with them, as in the kernel's."""
    mkdir, rmdir = Path.mkdir, Path.rmdir

    def populate(folder, *args, **kwargs):
        mkdir(folder, *args, **kwargs)
        if folder.is_relative_to(tmp_path):
            for name, text in FILES.items():
                if not (folder / name).exists():
                    (folder / name).write_text(text)

    def remove(folder):
        if folder.is_relative_to(tmp_path) and folder.exists():
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
        rmdir(folder)

    monkeypatch.setattr(Path, "mkdir", populate)
    monkeypatch.setattr(Path, "rmdir", remove)
    return tmp_path


@pytest.fixture
def roots(kernel):
    return {name: kernel / name for name in ("memory", "pids", "cpuacct")}


def test_version_2_limits_and_counts(kernel):
    """Limits are written, figures are read in their units, and the folder goes."""
    root = kernel / "root"
    root.mkdir()
    hierarchy = cgroups.Version2(root)
    hierarchy.open()
    group = hierarchy.make("7", Limits(memory_bytes=1000, processes=5))
    (run,) = root.glob("grader-*")
    assert (run / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (run / "7" / "memory.max").read_text() == "1000"
    assert (run / "7" / "memory.swap.max").read_text() == "0"
    assert (run / "7" / "pids.max").read_text() == "5"
    group.add(123)
    assert (run / "7" / "cgroup.procs").read_text() == "123"
    usage = group.sample()
    assert (usage.cpu_s, usage.memory_bytes, usage.peak_memory_bytes) == (1.5, 4096, 8192)
    assert (usage.processes, usage.oom_kills) == (2, 1)
    (run / "7" / "cgroup.procs").write_text("")
    group.close()
    group.close()
    hierarchy.close()
    assert not list(root.glob("grader-*"))


def test_version_1_limits_and_counts(roots):
    """The three hierarchies are used together."""
    for root in roots.values():
        root.mkdir()
    hierarchy = cgroups.Version1(roots)
    hierarchy.open()
    group = hierarchy.make("7", Limits(memory_bytes=1000, processes=5))
    (memory,) = roots["memory"].glob("grader-*")
    (pids,) = roots["pids"].glob("grader-*")
    assert (memory / "7" / "memory.limit_in_bytes").read_text() == "1000"
    assert (pids / "7" / "pids.max").read_text() == "5"
    usage = group.sample()
    assert (usage.cpu_s, usage.memory_bytes, usage.peak_memory_bytes) == (1.5, 4096, 8192)
    assert (usage.processes, usage.oom_kills) == (2, 1)
    group.close()
    hierarchy.close()
    assert not [left for root in roots.values() for left in root.glob("grader-*")]


def test_figures_stand_when_the_folder_is_gone(roots):
    """A sample taken after the group was removed repeats the last figures instead of failing."""
    for root in roots.values():
        root.mkdir()
    hierarchy = cgroups.Version1(roots)
    hierarchy.open()
    group = hierarchy.make("7", Limits())
    before = group.sample()
    for root in roots.values():
        shutil.rmtree(root)
    assert group.sample() == before


def test_leftovers_of_dead_runs_are_swept(roots):
    """A folder whose owner is gone is removed at the next start; ours and foreign ones stay."""
    for root in roots.values():
        root.mkdir()
    dead, alive, foreign = "grader-1-1-0", f"grader-{cgroups.owner_tag()}", "grader-supervisor"
    for name in (dead, f"{dead}/3", alive, foreign):
        (roots["memory"] / name).mkdir()
    hierarchy = cgroups.Version1(roots)
    hierarchy.open()
    left = {folder.name for folder in roots["memory"].glob("grader-*")}
    assert dead not in left
    assert {alive, foreign} <= left
    hierarchy.close()


def test_find_prefers_what_really_works(kernel, roots):
    """A hierarchy that is mounted but cannot be written is passed over."""
    mounts, own = kernel / "mounts", kernel / "own"
    lines = [f"cgroup {root} cgroup rw,{name} 0 0" for name, root in roots.items()]
    (kernel / "unified").mkdir()
    lines.append(f"cgroup2 {kernel / 'unified'} cgroup2 rw 0 0")
    mounts.write_text("\n".join(lines))
    own.write_text("0::/\n")
    found = cgroups.find(mounts=mounts, own=own)  # version 1 is listed, but its folders do not exist
    assert found is not None
    assert found.how == "cgroup v2"
    for root in roots.values():
        root.mkdir()
    found = cgroups.find(mounts=mounts, own=own)
    assert found is not None
    assert found.how == "cgroup v1"
    mounts.write_text("")
    assert cgroups.find(mounts=mounts, own=own) is None


def test_a_borrowed_group_counts_from_now_on(kernel, roots):
    """The group of a container is read, whatever the version: from now on, without cached files, never removed."""
    proc = kernel / "proc"
    (proc / "7").mkdir(parents=True)
    stat = "anon 1000\nactive_file 512\ninactive_file 512\ntotal_active_file 512\ntotal_inactive_file 512\n"
    unified = kernel / "unified"
    cases = [
        (f"none {unified} cgroup2 rw 0 0\n", "0::/docker/x\n", [unified / "docker/x"]),
        (
            "".join(f"none {root} cgroup rw,{name} 0 0\n" for name, root in roots.items()),
            "3:memory:/docker/x\n2:pids:/docker/x\n1:cpu,cpuacct:/docker/x\n",
            [root / "docker/x" for root in roots.values()],
        ),
    ]
    for lines, own, folders in cases:
        (kernel / "mounts").write_text(lines)
        (proc / "7/cgroup").write_text(own)
        for folder in folders:
            folder.mkdir(parents=True)
            (folder / "memory.stat").write_text(stat)
        group = cgroups.of_process(7, mounts=kernel / "mounts", proc=proc)
        assert group.held_bytes == 4096 - 1024
        assert group.sample() == Usage(cpu_s=0, memory_bytes=0, peak_memory_bytes=0, processes=2, oom_kills=0)
        for folder in folders:
            for name in ("memory.current", "memory.usage_in_bytes"):
                (folder / name).write_text("6096\n")
            for name in ("memory.peak", "memory.max_usage_in_bytes"):
                (folder / name).write_text("9096\n")
        used = group.sample()
        assert (used.memory_bytes, used.peak_memory_bytes) == (2000, 5000)
        group.close()
        assert all(folder.exists() for folder in folders)
    (proc / "7/cgroup").write_text("0::/elsewhere\n")
    assert cgroups.of_process(7, mounts=kernel / "mounts", proc=proc) is None


def test_priming_moves_a_process_to_where_it_is(kernel):
    """The kernel's lock is taken by a move that changes nothing, in the hierarchy that counts memory."""
    mounts, own = kernel / "mounts", kernel / "own"
    (kernel / "v1/memory/session").mkdir(parents=True)
    (kernel / "v2/user/scope").mkdir(parents=True)
    own.write_text("5:memory:/session\n2:cpu,cpuacct:/other\n0::/user/scope\n")
    mounts.write_text(f"cgroup {kernel}/v1/memory cgroup rw,memory 0 0\ncgroup2 {kernel}/v2 cgroup2 rw 0 0\n")
    cgroups.prime(mounts=mounts, own=own)
    assert (kernel / "v1/memory/session/cgroup.procs").read_text() == "0"
    assert (kernel / "v2/user/scope/cgroup.procs").read_text() == ""

    mounts = kernel / "mounts of version 2"
    mounts.write_text(f"cgroup2 {kernel}/v2 cgroup2 rw 0 0\n")
    cgroups.prime(mounts=mounts, own=own)
    assert (kernel / "v2/user/scope/cgroup.procs").read_text() == "0"
    cgroups.prime(mounts=kernel / "there is none", own=own)


def test_owner_tags_tell_the_dead_from_the_living():
    """A tag speaks of one process: the same pid with another start time is another process."""
    tag = cgroups.owner_tag()
    assert tag != cgroups.owner_tag()
    assert not cgroups.owner_is_gone(tag)
    assert cgroups.owner_is_gone(f"{os.getpid()}-1-0")
    assert not cgroups.owner_is_gone("supervisor")
