"""Marks a small class again and again, does one fault at a random instant each time, and looks what was lost.

    python benchmarks/fault_rounds.py [--rounds N] [--seed N] [--workers N] [--docker]

A round is: a fresh course, ``grader grade``, one fault, and ``grader grade`` again until it says that all is done. The
instant is drawn in two steps, so that short stages get their share: a stage (before the first mark is in the journal,
between the first and the last, after the last), and a moment of the time that it takes in an undisturbed run. After it

* everybody stands in the journal exactly once, and every verdict and score is that of the undisturbed run;
* the gradebook is sound for SQLite, and every grade in it is that of the undisturbed run;
* no error message holds a traceback;
* nothing is left: no process, no file in the temporary folder, no control group, no unfinished file in the course.

The faults: ``kill -9`` of the grader, of the marker process, of one of its forks, of the sandbox's zygote, of a guest;
and a disk that is full from then on until the next run. Without root the full disk is a limit on the size of files.
With ``--docker`` submissions are marked in containers of an engine of our own, and the engine is among what is killed.
Exits with 1 when anything was lost, doubled, wrong or left. ``docs/faults.md`` keeps a table.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "integration"))

from own_engine import Engine, own_engine, with_image
from tiny_class import command, hand_in, lay_out, notebook

from grader.gradebook.journal import Journal
from grader.sandbox import cgroups, docker_engine
from grader.sandbox.conformance.bench import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES = ("before", "between", "after")
"""Of a run: before the first mark is in the journal, between that and the last, and after it (the gradebook)."""
KINDS = ("grader", "marker", "fork", "zygote", "guest", "disk")
KINDS_OF_DOCKER = ("dockerd", "grader", "marker", "fork", "pool")
PATIENCE_S = 300
RERUNS = 3
ANSWERS: dict[str, dict[str, Any]] = {
    "ada": {},
    "ben": {"scale": "def scale(x, factor):\n    return x + factor"},
    "cy": {"total": "def total(numbers):\n    return sum(numbers)"},
    "dee": {"counter": None},
    "eve": {"last": "raise RuntimeError('too late')"},
}
"""A small class: one right, the others wrong in different places. Each notebook takes a quarter of a second."""


@dataclass(slots=True)
class Round:
    """What one round saw."""

    kind: str
    stage: str = "missed"
    """In which of ``STAGES`` it struck; ``missed`` when it found nobody before the run ended."""
    reruns: int = 0
    finished: bool = False
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    """Whatever else is not as it should be, a sentence each."""
    marks: Marks | None = None


@dataclass(slots=True)
class Marks:
    """What a finished course says."""

    verdicts: dict[str, tuple[Any, ...]]
    """By student: score and the verdict of every check."""
    counts: Counter[str]
    """By student: records in the journal."""
    grades: list[tuple[Any, ...]]
    """By student and cell, from the gradebook."""
    integrity: str


def marks_of(course: Path) -> Marks:
    """Everything that was written, read by a process that wrote none of it."""
    verdicts, counts = {}, Counter()
    for record in Journal(course / "journal" / "records.jsonl").records():
        counts[record.submission.student] += 1
        checks = tuple((result.check.id, str(result.verdict)) for result in record.checks)
        verdicts[record.submission.student] = (record.score, str(record.status), checks)
    query = """
        select submitted_assignment.student_id, base_cell.name, grade.auto_score, grade.needs_manual_grade
        from grade join submitted_notebook on submitted_notebook.id = grade.notebook_id
        join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
        join base_cell on base_cell.id = grade.cell_id order by 1, 2
    """
    with contextlib.closing(sqlite3.connect(course / "gradebook.db")) as book:
        (integrity,) = book.execute("pragma integrity_check").fetchone()
        grades = book.execute(query).fetchall()
    return Marks(verdicts=verdicts, counts=counts, grades=grades, integrity=integrity)


def class_of(folder: Path) -> Path:
    """A fresh course with everybody's notebook in it."""
    course = lay_out(folder)
    for student, answers in ANSWERS.items():
        hand_in(course, student, notebook(first="import time\ntime.sleep(0.25)", **answers))
    return course


class Run:
    """One ``grader grade`` in the background."""

    def __init__(self, course: Path, temporary: Path, options: argparse.Namespace) -> None:
        self.course = course
        environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONWARNINGS": ""}
        self.started = time.monotonic()
        with (temporary / "said").open("w+b") as said:
            (temporary / "said").unlink()
            self._said = os.dup(said.fileno())
            self.process = subprocess.Popen(
                command("grade", "--seed", options.seed, "--workers", options.workers, "--json", *options.sandbox),
                cwd=course,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environment,
                start_new_session=True,
            )

    @property
    def stage(self) -> str:
        """How far it has come, by what lies in the course."""
        journal = self.course / "journal" / "records.jsonl"
        lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
        if lines == 0:
            return "before"
        return "between" if lines < len(ANSWERS) else "after"

    def wait_for(self, stage: str) -> float:
        """Wait until a stage begins, or the run ends; when that was."""
        while self.process.poll() is None and STAGES.index(self.stage) < STAGES.index(stage):
            time.sleep(0.003)
        return time.monotonic()

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code, and what it said on stderr."""
        code = self.process.wait(PATIENCE_S)
        said = os.pread(self._said, 1 << 20, 0).decode(errors="replace")
        os.close(self._said)
        return code, said


def line_of(pid: int) -> str:
    """A process's command line."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def targets(kind: str, grader: int) -> list[int]:
    """Processes of a kind that live now."""
    if kind == "grader":
        return [grader]
    markers = [pid for pid in children(grader) if "grader.marker" in line_of(pid)]
    below = [child for pid in markers for child in children(pid)]
    if kind == "marker":
        return markers
    if kind == "fork":
        return [pid for pid in below if "grader.marker" in line_of(pid)]
    if kind == "pool":
        return [pid for pid in below if "docker_pool" in line_of(pid)]
    zygotes = [pid for child in below if "bwrap" in line_of(child) for pid in children(child)]
    if kind == "zygote":
        return zygotes
    keepers = [pid for zygote in zygotes for pid in children(zygote)]
    return [guest for keeper in keepers for guest in children(keeper)]


def strike(run: Run, kind: str, chance: random.Random, engine: Engine | None) -> str:
    """Do a fault as soon as it can be done; when that was, or ``missed``."""
    while run.process.poll() is None:
        stage = run.stage
        if kind == "disk":
            fill(run)
            return stage
        if kind == "dockerd" and engine is not None:
            kill(engine)
            return stage
        found = targets(kind, run.process.pid)
        with contextlib.suppress(ProcessLookupError):
            if found:
                os.kill(chance.choice(found), signal.SIGKILL)
                return stage
        time.sleep(0.003)
    return "missed"


def kill(engine: Engine) -> None:
    """End the engine. Its containerd dies with it and falls to this process: as a zombie it would look alive."""
    assert engine.process is not None
    parts = [pid for pid in children(engine.process.pid) if "containerd" in line_of(pid)]
    engine.stop(signal.SIGKILL)
    for pid in parts:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def fill(run: Run) -> None:
    """Leave no room where the course lies."""
    if os.geteuid() != 0:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (1024, 1024))
        return
    with (run.course / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))


@contextlib.contextmanager
def place(kind: str) -> Iterator[Path]:
    """A folder for a round: a small file system of its own if the fault is to fill it."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        own = kind == "disk" and os.geteuid() == 0
        if own:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", name], check=True)
        try:
            yield folder
        finally:
            if own:
                subprocess.run(["umount", "--lazy", name], check=True)


def one_round(kind: str, undisturbed: Marks, lengths: dict[str, float], chance: random.Random, options: Any) -> Round:
    """One fault, and what is left of it."""
    seen = Round(kind)
    pids: set[int] = set()
    with place(kind) as folder, tempfile.TemporaryDirectory(prefix="tmp-") as name:
        course, temporary = class_of(folder), Path(name)
        run = Run(course, temporary, options)
        stage = chance.choice(STAGES if kind in ("grader", "disk") else STAGES[:2])  # the others have ended after it
        run.wait_for(stage)
        time.sleep(chance.uniform(0, lengths[stage]))
        pids |= {pid for pid, _ in descendants(os.getpid())}
        seen.stage = strike(run, kind, chance, options.engine)
        code, said = run.end()
        if seen.kind == "dockerd" and seen.stage != "missed":
            options.engine.start()
        pids |= {pid for pid, _ in descendants(os.getpid())} | {run.process.pid}
        complain(seen, said, code)
        (course / "ballast").unlink(missing_ok=True)
        while not seen.finished and seen.reruns <= RERUNS:
            if code != 0:
                seen.reruns += 1
            run = Run(course, temporary, options)  # also after success: a finished class must stay as it is
            code, said = run.end()
            complain(seen, said, code)
            seen.finished = code == 0
        if seen.finished:
            compare(seen, marks_of(course), undisturbed)
        look_around(seen, course, temporary, pids, options.engine)
    return seen


def undisturbed_run(options: argparse.Namespace) -> tuple[Marks, dict[str, float]]:
    """What a class gets when nothing happens, and how long each stage takes."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, tempfile.TemporaryDirectory(prefix="tmp-") as tmp:
        run = Run(class_of(Path(folder)), Path(tmp), options)
        begins = [run.started, *(run.wait_for(stage) for stage in STAGES[1:])]
        code, said = run.end()
        begins.append(time.monotonic())
        if code != 0:
            raise SystemExit(f"the undisturbed run failed\n{said}")
        return marks_of(run.course), {stage: begins[at + 1] - begins[at] for at, stage in enumerate(STAGES)}


def complain(seen: Round, said: str, code: int) -> None:
    """Note what no run may say, disturbed or not."""
    if "Traceback" in said or "fault of the grader itself" in said:
        seen.wrong.append(f"exit {code} with a traceback: {said[-1500:]}")


def compare(seen: Round, marks: Marks, undisturbed: Marks) -> None:
    """What a finished class must be: the undisturbed one."""
    seen.lost = len(ANSWERS) - len(marks.counts)
    seen.doubled = sum(count - 1 for count in marks.counts.values())
    for student, verdict in undisturbed.verdicts.items():
        if (got := marks.verdicts.get(student)) != verdict:
            seen.wrong.append(f"{student} got {got}, undisturbed {verdict}")
    if marks.integrity != "ok":
        seen.wrong.append(f"the gradebook is damaged: {marks.integrity}")
    if marks.grades != undisturbed.grades:
        differ = set(marks.grades) ^ set(undisturbed.grades)
        seen.wrong.append(f"the gradebook differs in {len(differ)} grades: {sorted(differ)[:5]}")


def ours(engine: Engine | None) -> list[tuple[int, str]]:
    """Processes below this one that are not the engine's."""
    apart = set()
    if engine is not None and engine.process is not None:
        apart = {engine.process.pid} | {pid for pid, _ in descendants(engine.process.pid)}
    return [(pid, name) for pid, name in descendants(os.getpid()) if pid not in apart]


def containers(engine: Engine | None) -> list[str]:
    """What a run has left with the engine."""
    if engine is None:
        return []
    with contextlib.closing(docker_engine.connect()) as client:
        return [each["Id"][:12] for each in client.containers(all=True, filters={"label": "grader.owner"})]


def look_around(seen: Round, course: Path, temporary: Path, pids: set[int], engine: Engine | None) -> None:
    """What may not be left: processes, containers, temporary files, control groups, unfinished files."""
    deadline = time.monotonic() + PATIENCE_S
    while ((left := ours(engine)) or containers(engine)) and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(ChildProcessError):  # orphans fall to this process
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    if left:
        seen.wrong.append(f"processes are left: {[(pid, line_of(pid)[:60]) for pid, _ in left]}")
    if names := containers(engine):
        seen.wrong.append(f"containers are left: {names}")
    if files := sorted(path.name for path in temporary.iterdir()):
        seen.wrong.append(f"left in the temporary folder: {files}")
    groups = [folder for top in Path("/sys/fs/cgroup").glob("*/") for folder in (top, *top.glob("grader-*"))]
    old = [path for path in groups if any(path.name.startswith(f"grader-{pid}-") for pid in pids)]
    if old := [str(path) for path in old if cgroups.owner_is_gone(path.name.removeprefix("grader-"))]:
        seen.wrong.append(f"control groups are left: {old}")
    unfinished = [path for name in ("*.part", ".*.tmp", "*.db-journal") for path in course.rglob(name)]
    if unfinished:
        seen.wrong.append(f"unfinished files are left: {[str(path.relative_to(course)) for path in unfinished]}")


def table(rounds: list[Round]) -> str:
    """The rounds by kind of fault."""
    rows = [
        "| fault | rounds | before | between | after | missed | run again | finished | lost | doubled | wrong |",
        "| --- " + "| ---: " * 10 + "|",
    ]
    for kind in dict.fromkeys(each.kind for each in rounds):
        mine = [each for each in rounds if each.kind == kind]
        stages = Counter(each.stage for each in mine)
        cells = [
            len(mine),
            *(stages[stage] for stage in (*STAGES, "missed")),
            sum(each.reruns > 0 for each in mine),
            sum(each.finished for each in mine),
            sum(each.lost for each in mine),
            sum(each.doubled for each in mine),
            sum(bool(each.wrong) for each in mine),
        ]
        rows.append(f"| {kind} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


def main() -> int:
    """Run the rounds; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--docker", action="store_true", help="mark in containers of an engine of our own")
    options = parser.parse_args()
    if shutil.which("mount") is None and os.geteuid() == 0:
        raise SystemExit("needs the command mount")
    subreaper = 36  # whatever the death of a run leaves behind becomes our child, and is seen
    ctypes.CDLL(None, use_errno=True).prctl(subreaper, ctypes.c_ulong(1), 0, 0, 0)
    options.engine, options.sandbox = None, ()
    with contextlib.ExitStack() as stack:
        if options.docker:
            options.engine, options.sandbox = stack.enter_context(own_engine()), ("--sandbox", "docker")
            with_image()
        return rounds_of(options)


def rounds_of(options: argparse.Namespace) -> int:
    """Round after round; the exit code."""
    kinds = KINDS if options.engine is None else KINDS_OF_DOCKER
    chance = random.Random(options.seed)
    undisturbed_run(options)  # reads everything from the disk
    undisturbed, lengths = undisturbed_run(options)
    print("undisturbed: " + ", ".join(f"{lengths[stage]:.1f} s {stage}" for stage in STAGES), flush=True)
    rounds = []
    for number in range(options.rounds):
        seen = one_round(kinds[number % len(kinds)], undisturbed, lengths, chance, options)
        rounds.append(seen)
        fine = "fine" if seen.finished and not (seen.lost or seen.doubled or seen.wrong) else "NOT FINE"
        print(f"{number + 1:4} {seen.kind:8} {seen.stage:8} reruns {seen.reruns}  {fine}", flush=True)
        for sentence in seen.wrong:
            print(f"     {sentence}", flush=True)
    print(f"\n{table(rounds)}")
    bad = [each for each in rounds if not each.finished or each.lost or each.doubled or each.wrong]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
