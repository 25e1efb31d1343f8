"""What grows with the number of marks: journal, index, gradebook, class page. Nothing is marked, records are made up.

    python benchmarks/growth.py [--sizes 2000,20000]

For each size, in a process of its own: seconds of computing (other work on the machine does not count) to append so
many records, to read the index and the latest record of everybody, to write the gradebook and the class page; how large
they are; and the largest memory.
Figures for larger classes than a machine can mark in a day follow from these (``docs/scale.md``).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "unit"))

STEPS = ("append", "read", "gradebook", "page")


def step(name: str, folder: Path, size: int) -> dict[str, float]:
    """One step, in this process: its seconds, its memory, and what it left."""
    from grader.gradebook.journal import Journal

    path = folder / "records.jsonl"
    if name == "append":
        from records_for_reports import a_class

        records = a_class(min(size, 2000))
        from dataclasses import replace

        started = time.process_time()
        with Journal(path) as journal:
            for number in range(size):
                record = records[number % len(records)]
                ref = replace(record.submission, student=f"s{number:07}")
                journal.append(replace(record, submission=ref))
        return {"seconds": time.process_time() - started, "bytes": path.stat().st_size}
    started = time.process_time()
    journal = Journal(path)
    latest = journal.latest()
    assert len(latest) == size
    if name == "read":
        return {"seconds": time.process_time() - started}
    if name == "gradebook":
        from grader.gradebook.database import Gradebook

        book = folder / "gradebook.db"
        started = time.process_time()
        Gradebook(f"sqlite:///{book}").sync(latest.values())
        return {"seconds": time.process_time() - started, "bytes": book.stat().st_size}
    from grader.reports import write_class_report

    page = folder / "page.html"
    started = time.process_time()
    write_class_report(list(latest.values()), page, course_title="c", assignment_title="a", pages={})
    return {"seconds": time.process_time() - started, "bytes": page.stat().st_size}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="2000,20000")
    parser.add_argument("--step", nargs=3, metavar=("NAME", "FOLDER", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder, size = options.step
        found = step(name, Path(folder), int(size))
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(found))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the run\n")
    print("| records | step | CPU s | ms a record | MB left | memory, MB |\n| ---: | --- | ---: | ---: | ---: | ---: |")
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for name in STEPS:
                command = [sys.executable, __file__, "--step", name, folder, str(size)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                seen = json.loads(done.stdout)
                left = f"{seen['bytes'] / 1e6:.1f}" if "bytes" in seen else "–"
                each = 1000 * seen["seconds"] / size
                print(
                    f"| {size} | {name} | {seen['seconds']:.1f} | {each:.2f} | {left} | {seen['memory'] / 1e6:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
