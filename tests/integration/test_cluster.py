"""``grader grade --cluster`` on a real Ray cluster on this machine; one of its nodes dies in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tiny_class import HANGS_S, command, grader, hand_in, journal_lines, lay_out, notebook

from grader.errors import UsageError
from grader.sandbox.bubblewrap import obstacle

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}"),
]

SEED = 5
SLOW = "import time\ntime.sleep(0.4)"
KINDS = (
    {},
    {"scale": "def scale(x, factor):\n    return x + factor"},
    {"total": "def total(numbers):\n    return sum(numbers)"},
    {"first": "import os\nos._exit(0)"},
)


class Nodes:
    """The cluster's process."""

    def __init__(self, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONWARNINGS": ""},
        )  # fmt: skip
        self.address = self.process.stdout.readline().strip()

    def kill_one(self) -> None:
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "killed"

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nodes():
    nodes = Nodes(2)
    try:
        if not nodes.address:
            pytest.skip("this machine is too busy for Ray, which gives a node 30 s to start")
        yield nodes
    finally:
        nodes.close()


@pytest.fixture
def course(tmp_path):
    course = lay_out(tmp_path)
    for number in range(16):
        answers = {"first": SLOW, **KINDS[number % len(KINDS)]}
        hand_in(course, f"s{number:02}", notebook(**answers))
    return course


def marks(course):
    """By student: score, and the verdict of each check."""
    return {
        line["submission"]["student"]: (line["score"], [(r["check"]["id"], r["verdict"]) for r in line["checks"]])
        for line in journal_lines(course)
    }


def test_a_node_that_dies_costs_nothing(nodes, course, tmp_path):
    """Two nodes mark a class, one is killed under its work: everybody has the mark of an undisturbed run, once."""
    running = subprocess.Popen(
        command("grade", "--cluster", nodes.address, "--seed", SEED, "--events"),
        cwd=course, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": ""},
    )  # fmt: skip
    seen = []
    killed = False
    for line in running.stdout:
        seen.append(json.loads(line))
        if not killed and seen[-1]["event"] == "record" and seen[-1]["done"] == 4:
            nodes.kill_one()
            killed = True
    _, said = running.communicate(timeout=HANGS_S)
    assert (running.returncode, killed) == (0, True), said
    assert (seen[-1]["event"], seen[-1]["marked"], seen[-1]["held"]) == ("end", 16, 0)
    assert "was lost" in said

    local = lay_out(tmp_path / "local")
    for path in sorted((course / "submitted").glob("*/tiny/tiny.ipynb")):
        hand_in(local, path.parts[-3], path.read_bytes())
    assert grader(local, "grade", "--seed", SEED, "--no-gradebook").returncode == 0
    assert marks(course) == marks(local)
    assert set(Counter(line["submission"]["student"] for line in journal_lines(course)).values()) == {1}
    assert {line["sandbox"] for line in journal_lines(course)} == {"bubblewrap"}

    again = json.loads(grader(course, "grade", "--json", "--cluster", nodes.address).stdout)
    assert (again["marked"], again["unchanged"]) == (0, 16)


def test_a_reference_that_fails_is_told_as_on_one_machine(nodes, course):
    """What is wrong with the course is the same error with the same exit code, wherever it was found."""
    solution = course / "solutions" / "tiny" / "tiny.py"
    solution.write_text(solution.read_text().replace("x * factor", "x + factor"))
    done = grader(course, "grade", "--cluster", nodes.address)
    assert done.returncode == 3
    assert "the reference solution does not pass" in done.stderr
    assert not journal_lines(course)


def test_a_node_with_another_version_is_an_error(nodes, course):
    """Driver and nodes must be of one version: else the marks would not be either."""
    code = "import grader.cluster, grader.cli; grader.cluster.__version__ = '0'; grader.cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "grade", "--cluster", nodes.address],
        cwd=course, capture_output=True, text=True, timeout=HANGS_S, check=False,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "of the grader, not 0\n  → install the same version on all of them" in done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "no such place"])
def test_without_a_cluster_there_is_a_remedy(course, address):
    """An address where no cluster is ends in a sentence, at once."""
    from grader.cluster import Cluster
    from grader.config import load_course

    loaded = load_course(course / "course.yaml")
    with (
        pytest.raises(UsageError, match=f"there is no Ray cluster at '{address}': ") as error,
        Cluster({}, address=address, course=loaded, assignment=loaded.assignment("tiny")) as cluster,
    ):
        cluster.ready()
    assert "see that it runs" in (error.value.remedy or "")
