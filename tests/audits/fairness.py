"""What a fair assignment is. Each is proven in a file of its own, so that pytest-xdist can spread them."""

from pathlib import Path

from grader.audit import Subject, judge, planned, run
from grader.config import load_course
from grader.model import Verdict

COURSE = load_course(Path(__file__).resolve().parents[2])
SEEDS = [20_261, 20_262]


def audit(name):
    """Right answers get all, wrong ones what they deserve, 95 % of the mutants are caught: in the real sandbox."""
    subject = Subject.of(COURSE, COURSE.assignment(name))
    trials = planned(subject, seeds=SEEDS, quick=True)
    records = run(subject, trials)
    for trial, record in zip(trials, records, strict=True):
        timed = {result.verdict for result in record.checks if result.check.timed}
        assert trial.timed or timed <= {Verdict.SKIPPED}, trial.name
    report = judge(subject, trials, records)
    problems = "\n".join(problem.what for problem in report.problems)
    assert problems == "", problems
    assert report.kill_rate >= 0.95
    assert report.flakes == 0
