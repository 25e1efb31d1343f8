"""What the last submission costs against the first: classes of 20, 200 and 2,000, marked one after the other.

    python benchmarks/scale.py [--sizes 20,200,2000] [--workers N]

Each class hands in copies of the light assignment with small edits, and every fiftieth student (one at least) sends in
one of the attacks of ``tests/attacks`` instead. ``grader grade`` marks the class with the sandbox on and everything
written; then it is called again with nothing changed, and the class report is made and, where there is Chromium,
rendered. Of each size this prints

* seconds a submission, from the begin of the first to the record of the last; and without the time that hostile
  cells and checks ran up to their own limits, which is the class's and not the grader's;
* the largest memory of the grader and of its marker process (resident, the forks and guests not counted);
* how long the gradebook took, how large it and the journal are;
* a run with nothing changed, the class report and its size, and what Chromium needs for it beyond an empty page.

Targets, from the smallest class to the largest: 1.1 times the seconds a submission, 100 MB more memory; for 2,000, 2 s
with nothing changed, a page under 1 MB rendered in under 1 s. Exits with 1 when one is missed. Other work on the
machine only ever adds: the load beside each class says how much there was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from light.classroom import LIGHT, ROOT, activate, machine, write_submissions

sys.path.insert(0, str(ROOT / "tests" / "attacks"))

import forging
import resources

from grader.config import load_course
from grader.gradebook.journal import Journal
from grader.jobs import journal_path
from grader.model import Verdict

EVERY = 50
HOSTILE = (
    "fork-bomb",
    "memory-bomb",
    "endless-output",
    "frames-from-a-cell",
    "full-disk",
    "hangs-in-c",
    "one-endless-line",
    "ignores-signals",
)
LIMITS = "    limits: {cell: 2 s, cells: 10 s, check: 2 s, wall: 60 s, memory: 256 MiB}\n"
MEGA = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one class."""

    size: int
    load: float
    """The machine's, while it was marked."""
    ready_s: float
    each_s: float
    own_s: float
    """Without what hostile cells and checks ran up to their limits."""
    first_s: float
    """Median of the honest submissions among the first 20."""
    last_s: float
    """And among the last 20."""
    grader_bytes: int
    marker_bytes: int
    gradebook_s: float
    journal_bytes: int
    book_bytes: int
    unchanged_s: float
    report_s: float
    page_bytes: int
    render_s: float | None
    held: int


class Memory:
    """Watches how large a process and its marker become."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.grader = self.marker = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self.grader = max(self.grader, peak_of(self.pid))
            with contextlib.suppress(OSError):
                for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                    if b"grader.marker" in Path(f"/proc/{child}/cmdline").read_bytes():
                        self.marker = max(self.marker, peak_of(int(child)))

    def end(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()


def peak_of(pid: int) -> int:
    """The largest resident size that a process has had."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def lay_out(to: Path, size: int) -> None:
    """A course with a class of this size."""
    for part in ("assignments", "solutions"):
        shutil.copytree(LIGHT / part, to / part)
    (to / "course.yaml").write_text((LIGHT / "course.yaml").read_text() + LIMITS)
    students = write_submissions(to, LIGHT / "assignments/light/light.ipynb", size)
    attacks = {attack.name: attack for attack in (*resources.ATTACKS, *forging.ATTACKS)}
    for number, student in enumerate(students[EVERY // 5 :: EVERY]):
        path = to / "submitted" / student / "light" / "light.ipynb"
        notebook = json.loads(path.read_text())
        attack = attacks[HOSTILE[number % len(HOSTILE)]]
        for cell in (attack.before, attack.after):
            if cell:
                source = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
                notebook["cells"].append(source)
        path.write_text(json.dumps(notebook))


def command(course: Path, *args: object) -> list[str]:
    """A command line of ``grader`` for a course."""
    return [str(Path(sys.executable).with_name("grader")), *map(str, args), "--course", str(course), "--json"]


def timed(*args: object, course: Path) -> tuple[float, dict]:
    """A command's seconds and what it printed."""
    started = time.monotonic()
    done = subprocess.run(command(course, *args), capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"grader {' '.join(map(str, args))} ended with {done.returncode}\n{done.stderr}")
    return seconds, json.loads(done.stdout)


def see(folder: Path, size: int, workers: int) -> Seen:
    """Mark one class and look at everything."""
    course = folder / str(size)
    lay_out(course, size)
    started = time.monotonic()
    process = subprocess.Popen(
        command(course, "grade", "light", "--workers", workers), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    memory = Memory(process.pid)
    out, err = process.communicate()
    seconds = time.monotonic() - started
    memory.end()
    if process.returncode != 0:
        raise SystemExit(f"grader grade ended with {process.returncode}\n{err.decode()}")
    load = os.getloadavg()[0]
    said = json.loads(out)
    if said["sandbox"] == "none":
        raise SystemExit("the sandbox was off: these figures would mean nothing")
    ends = {each["student"]: datetime.fromisoformat(each["marked_at"]).timestamp() for each in said["students"]}
    times = {each["student"]: each["seconds"] for each in said["students"]}
    steady = max(ends.values()) - min(ends[student] - times[student] for student in ends)
    hostile = set(sorted(times)[EVERY // 5 :: EVERY])
    honest = [times[student] for student in sorted(ends, key=lambda each: ends[each]) if student not in hostile]
    with Journal(journal_path(load_course(course))) as journal:
        own = 0.0
        for record in journal.latest().values():
            if record.submission.student in hostile:
                own += sum(cell.seconds for cell in journal.cells(record))
                own += sum(result.seconds for result in record.checks if result.verdict is Verdict.TIMEOUT)
    unchanged = min(timed("grade", "light", course=course)[0] for _ in range(3))
    report_s, report = timed("report", "light", course=course)
    page = Path(report["report"])
    return Seen(
        size=size,
        load=load,
        ready_s=said["ready_after_s"],
        each_s=steady / size,
        own_s=(steady - own / workers) / size,
        first_s=statistics.median(honest[:20]),
        last_s=statistics.median(honest[-20:]),
        grader_bytes=memory.grader,
        marker_bytes=memory.marker,
        gradebook_s=seconds - said["seconds"],
        journal_bytes=journal_path(load_course(course)).stat().st_size,
        book_bytes=(course / "gradebook.db").stat().st_size,
        unchanged_s=unchanged,
        report_s=report_s,
        page_bytes=page.stat().st_size,
        render_s=rendered(page, folder),
        held=said["held"],
    )


def rendered(page: Path, folder: Path) -> float | None:
    """Seconds that Chromium needs to load, lay out and paint a page beyond an empty one; None without Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    chromium = next((found for name in names if (found := shutil.which(name))), None)
    if chromium is None:
        return None
    empty = folder / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")

    def best(path: Path) -> float:
        found = []
        for _ in range(5):
            started = time.monotonic()
            subprocess.run(
                [
                    chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                    "--disable-background-networking", f"--user-data-dir={folder / 'profile'}",
                    "--window-size=1280,900", f"--screenshot={folder / 'page.png'}", path.as_uri(),
                ],
                check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            found.append(time.monotonic() - started)
        return min(found)

    best(empty)
    return max(0.0, best(page) - best(empty))


def table(seen: list[Seen]) -> str:
    """The figures, a column a class."""
    rows: list[tuple[str, list[str]]] = [
        ("load of the machine while it was marked", [f"{each.load:.1f}" for each in seen]),
        ("ready after, s", [f"{each.ready_s:.1f}" for each in seen]),
        ("a submission, s", [f"{each.each_s:.3f}" for each in seen]),
        ("without what hostile cells ran, s", [f"{each.own_s:.3f}" for each in seen]),
        ("an honest one, first 20 and last 20, s", [f"{each.first_s:.3f}, {each.last_s:.3f}" for each in seen]),
        ("memory of the grader, MB", [f"{each.grader_bytes / MEGA:.0f}" for each in seen]),
        ("memory of the marker process, MB", [f"{each.marker_bytes / MEGA:.0f}" for each in seen]),
        ("end of marking to end of command, s", [f"{each.gradebook_s:.1f}" for each in seen]),
        ("journal, MB", [f"{each.journal_bytes / MEGA:.2f}" for each in seen]),
        ("gradebook, MB", [f"{each.book_bytes / MEGA:.2f}" for each in seen]),
        ("`grader grade`, nothing changed, s", [f"{each.unchanged_s:.2f}" for each in seen]),
        ("`grader report`, s", [f"{each.report_s:.2f}" for each in seen]),
        ("class page, kB", [f"{each.page_bytes / 1000:.0f}" for each in seen]),
        ("rendered in Chromium, s", ["–" if each.render_s is None else f"{each.render_s:.2f}" for each in seen]),
    ]
    head = f"| submissions | {' | '.join(str(each.size) for each in seen)} |\n| --- |{' ---: |' * len(seen)}"
    return "\n".join([head, *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows)])


def missed(small: Seen, large: Seen) -> list[str]:
    """The targets that were not met, a sentence each."""
    found = []
    if large.own_s > 1.1 * small.own_s:
        found.append(f"a submission takes {large.own_s / small.own_s:.2f} times as long")
    grown = large.grader_bytes + large.marker_bytes - small.grader_bytes - small.marker_bytes
    if grown > 100 * MEGA:
        found.append(f"memory grew by {grown / MEGA:.0f} MB")
    if large.unchanged_s >= 2:
        found.append(f"a run with nothing changed takes {large.unchanged_s:.2f} s")
    if large.page_bytes >= MEGA:
        found.append(f"the class page has {large.page_bytes} bytes")
    if large.render_s is not None and large.render_s >= 1:
        found.append(f"the class page takes {large.render_s:.2f} s to render")
    if large.held or small.held:
        found.append(f"held: {small.held} and {large.held}")
    return found


def main() -> int:
    """Print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="20,200,2000")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    activate()
    print(machine(), flush=True)
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, options.sizes.split(",")):
            seen.append(see(Path(folder), size, options.workers))
            print(f"{size}: {seen[-1].each_s:.3f} s a submission", flush=True)
    print(f"\n{table(seen)}\n")
    small, large = seen[0], seen[-1]
    print(f"from {small.size} to {large.size}: a submission × {large.own_s / small.own_s:.2f}", flush=True)
    wrong = missed(small, large)
    for sentence in wrong:
        print(f"missed: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
