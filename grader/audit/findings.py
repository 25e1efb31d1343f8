"""What the records of an audit say: what is to be mended, what killed what, and how much room there is."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.audit.mutants import Mutant
from grader.audit.trials import Generic
from grader.audit.variants import Variant
from grader.checks.compare import MOST_HEADROOM
from grader.model import Verdict, Visibility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.audit.subject import Subject
    from grader.audit.trials import Trial
    from grader.model import CheckResult, CheckSpec, Record

__all__ = ["KILL_RATE", "CheckFacts", "Problem", "Report", "Row", "judge"]

KILL_RATE = 0.95
"""Share of the mutants, equivalent ones left out, that checks must catch."""
SLOW_S = 5.0
"""What all checks of the reference may take together."""
LITTLE_ROOM = 0.5
"""A right answer that comes nearer to a tolerance than this share of it is worth a look."""
UNDONE = ("not-implemented", "missing", "dependency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something to mend, or (``note``) to look at."""

    what: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One variant in the matrix."""

    name: str
    line: str
    right: bool
    verdicts: dict[str, Verdict]
    """Check to its verdict; SKIPPED where it waited for another, nothing where it was not run."""
    lost: tuple[str, ...]
    """Exercises that did not get all their points."""
    due: tuple[str, ...]
    """Exercises that should lose points."""
    as_declared: bool


@dataclass(slots=True, kw_only=True)
class CheckFacts:
    """One check over the whole audit."""

    spec: CheckSpec
    kills: dict[str, int] = field(default_factory=lambda: {"wrong": 0, "generic": 0, "mutant": 0})
    alone: int = 0
    """Wrong answers that no public check of the exercise fails."""
    seconds: float = 0.0
    """Median for the reference."""
    nearest_right: float | None = None
    """The largest error of a right answer, in units of the tolerance."""
    nearest_wrong: float | None = None
    """The smallest error of a wrong answer that the check failed."""
    keep: str | None = None

    @property
    def killed(self) -> int:
        """Wrong answers that it failed."""
        return sum(self.kills.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that an audit found."""

    title: str
    assignment: str
    exercises: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    checks: tuple[CheckFacts, ...]
    """By exercise."""
    rows: tuple[Row, ...]
    survivors: tuple[Mutant, ...]
    mutants: int
    """Mutants without those that are declared equivalent."""
    equivalent: int
    generic: int
    seeds: int
    runs_of_right: int
    flakes: int
    """Right answers that failed with some seeds and not with others."""
    reference_s: float
    """All checks of the reference, median over the seeds."""

    @property
    def kill_rate(self) -> float:
        """Share of the mutants that were caught; 1 when there were none."""
        return 1.0 if not self.mutants else 1 - len(self.survivors) / self.mutants


class _Judge:
    def __init__(self, subject: Subject, trials: Sequence[Trial], records: Sequence[Record]) -> None:
        self.subject = subject
        self.pairs = list(zip(trials, records, strict=True))
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.rows: list[Row] = []
        self.survivors: list[Mutant] = []
        self.facts: dict[str, CheckFacts] = {}
        self.outcomes: dict[tuple[str, str], set[bool]] = defaultdict(set)
        """(right answer, check) to whether it passed, over the seeds."""
        self.used: set[object] = set()
        self.alone = any(isinstance(trial.about, Generic) and trial.about.function for trial in trials)

    def problem(self, what: str, remedy: str | None = None) -> None:
        self.problems.append(Problem(what=what, remedy=remedy))

    def note(self, what: str, remedy: str | None = None) -> None:
        self.notes.append(Problem(what=what, remedy=remedy))

    # -- right answers ----------------------------------------------------------------------------------------------

    def right(self, trial: Trial, record: Record) -> None:
        """Full marks, whatever the seed."""
        self.cells_ran(trial, record)
        for result in record.checks:
            if result.kind == "left out":
                continue
            passed = result.verdict is Verdict.PASS
            self.outcomes[trial.name, result.check.id].add(passed)
            if result.verdict not in (Verdict.PASS, Verdict.SKIPPED):
                told = " ".join(filter(None, [result.rationale, result.evidence]))
                self.problem(
                    f"{trial.name} is right, and {result.check.id} says {result.verdict}: {told[:300]}",
                    f"mend the check or the variant (seed {trial.seed})",
                )
            self.near(result, right=True)
        if isinstance(trial.about, Variant):
            self.row(trial, record, due=())

    def near(self, result: CheckResult, *, right: bool) -> None:
        """Take in how near a comparison came to its tolerance."""
        fact = self.facts[result.check.id]
        if result.headroom is None:
            return
        if right:
            fact.nearest_right = max(fact.nearest_right or 0.0, result.headroom)
        elif 1 < result.headroom < MOST_HEADROOM:
            fact.nearest_wrong = min(fact.nearest_wrong or math.inf, result.headroom)

    def cells_ran(self, trial: Trial, record: Record) -> None:
        bad = next((cell for cell in record.cells if cell.status not in ("ok", "text", "skipped")), None)
        if bad is not None:
            said = bad.note or next((out.text for out in bad.outputs if out.kind == "error"), "")
            self.problem(f"{trial.name}: its cell {bad.index + 1} ended as {bad.status}: {said[:200]}")

    # -- wrong answers ----------------------------------------------------------------------------------------------

    def wrong(self, trial: Trial, record: Record, variant: Variant) -> None:
        """Caught by the checks that it names, and only where it breaks something."""
        self.cells_ran(trial, record)
        failed = self.killed(record, "wrong")
        known = self.facts.keys()
        for name in variant.caught_by:
            if name not in known:
                self.problem(f"{trial.name} names {name}, which is no check", "mend its line caught-by")
            elif name not in failed:
                instead = ", ".join(sorted(failed)) or "no check"
                self.problem(
                    f"{trial.name} is not caught by {name} ({instead} caught it)", "mend the check, or caught-by"
                )
        lost, due = set(_lost(record)), {variant.exercise, *variant.also_breaks}
        for exercise in sorted(due - lost):
            self.problem(f"{trial.name} loses no points in {exercise}", "write a check that catches it")
        for exercise in sorted(lost - due - {*variant.may_break}):
            why = ", ".join(sorted(r.check.id for r in record.checks if r.check.exercise == exercise and _failed(r)))
            reach = self.subject.reached_by(variant.defines)
            depends = f"add `also-breaks: {exercise}` if that is fair" if exercise in reach else "mend the check"
            self.problem(f"{trial.name} also loses points in {exercise} ({why})", depends)
        if variant.told is not None:
            told = {result.misconception for result in record.checks} - {None}
            if variant.told not in told:
                heard = "; ".join(sorted(filter(None, told))) or "nothing"
                self.problem(
                    f"{trial.name}: the student is not told “{variant.told}” but {heard}",
                    "mend the check's misconceptions, or the line told",
                )
        self.row(trial, record, due=tuple(each for each in trial.only if each in due))

    def killed(self, record: Record, kind: str) -> set[str]:
        """The checks that failed a wrong answer, counted."""
        failed = {result.check.id for result in record.checks if _failed(result)}
        public = any(
            result.check.visibility is Visibility.PUBLIC and result.check.id in failed for result in record.checks
        )
        for result in record.checks:
            if result.check.id in failed:
                fact = self.facts[result.check.id]
                fact.kills[kind] += 1
                fact.alone += not public
                self.near(result, right=False)
        return failed

    def row(self, trial: Trial, record: Record, due: tuple[str, ...]) -> None:
        variant = trial.about
        assert isinstance(variant, Variant)
        if any(row.name == trial.name and row.right == variant.right for row in self.rows):
            return  # another seed
        lost = _lost(record)
        verdicts = {result.check.id: result.verdict for result in record.checks}
        failed = {result.check.id for result in record.checks if _failed(result)}
        self.rows.append(
            Row(
                name=trial.name,
                line=variant.line,
                right=variant.right,
                verdicts=verdicts,
                lost=lost,
                due=due,
                as_declared=set(lost) - {*variant.may_break} == set(due) and set(variant.caught_by) <= failed,
            )
        )

    def starter(self, record: Record) -> None:
        """No points for nothing, and nothing but “not done yet”."""
        for score in record.exercises:
            if score.earned > 0:
                what = f"the starter earns {score.earned:g} points in {score.exercise.id}"
                self.problem(what, "make its gate stricter")
        for result in record.checks:
            if result.verdict is Verdict.PASS and result.check.points == 0:
                continue
            if result.verdict is not Verdict.PASS and result.kind not in UNDONE:
                self.problem(
                    f"the starter fails {result.check.id} for another reason than “not done yet”: {result.rationale}"
                )

    def generic(self, trial: Trial, record: Record, about: Generic) -> None:
        """Nothing for what is wrong whatever the exercise; everything for what is declared right after all."""
        entries = [
            entry
            for entry in self.subject.declared.equivalent.generic
            if (entry.kind, entry.exercise) == (about.kind, about.exercise)
        ]
        if about.function is None and not self.alone:  # nobody tries its functions alone
            self.used.update(entries)
        whole = [entry for entry in entries if entry.function is None]
        mine = [entry for entry in entries if entry.function == about.function and about.function is not None]
        earned = sum(score.earned for score in record.exercises)
        full = not _lost(record)
        yaml = f"{{kind: {about.kind}, exercise: {about.exercise}"
        yaml += f", function: {about.function}" if about.function else ""
        paste = f'catch it, or declare it in audit.yaml: - {yaml}, why: "…"}}'
        if whole or mine:
            self.used.update((*whole, *mine))
            if not full:
                failed = ", ".join(result.check.id for result in record.checks if _failed(result))
                self.problem(f"{trial.name} is declared equivalent, and loses points ({failed})", "mend audit.yaml")
        elif about.function is not None or entries:
            if full:
                self.problem(f"{trial.name} gets all points", paste)
        elif earned > 0:
            passed = ", ".join(result.check.id for result in record.checks if result.verdict is Verdict.PASS)
            self.problem(f"{trial.name} earns {earned:g} points ({passed[:200]})", paste)
        if not (whole or mine):
            self.killed(record, "generic")

    def mutant(self, record: Record, mutant: Mutant) -> bool:
        """Whether it counts; survivors are kept."""
        declared = [
            entry
            for entry in self.subject.declared.equivalent.mutants
            if (entry.exercise, entry.was, entry.now) == (mutant.exercise, mutant.was, mutant.now)
        ]
        survived = not any(_failed(result) for result in record.checks) and not _lost(record)
        if declared:
            self.used.update(declared)
            if survived:
                return False
        if survived:
            self.survivors.append(mutant)
        else:
            self.killed(record, "mutant")
        return True

    # -- the whole --------------------------------------------------------------------------------------------------

    def checks(self) -> None:
        """Every check catches something, and hidden ones something that public ones miss."""
        for fact in self.facts.values():
            fact.keep = self.subject.declared.keep.get(fact.spec.id)
            if not fact.killed and fact.keep is None:
                self.problem(
                    f"{fact.spec.id} catches no wrong answer",
                    "write a wrong variant that only it catches, or say in audit.yaml under keep why it stays",
                )
            elif fact.spec.visibility is Visibility.HIDDEN and fact.killed and not fact.alone and fact.keep is None:
                self.note(f"{fact.spec.id} is implied by public checks: whatever it catches, one of them catches too")
            if fact.nearest_right is not None and LITTLE_ROOM < fact.nearest_right <= 1:
                self.note(f"{fact.spec.id}: a right answer uses {fact.nearest_right:.0%} of the tolerance")
        for name in self.subject.declared.keep:
            if name not in self.facts:
                self.problem(f"audit.yaml keeps {name}, which is no check", "remove it")

    def stale(self) -> None:
        for entry in self.subject.declared.equivalent.mutants:
            if entry not in self.used:
                self.problem(f"audit.yaml declares a mutant that is not made: {entry.was} → {entry.now}", "remove it")
        for other in self.subject.declared.equivalent.generic:
            if other not in self.used:
                self.problem(
                    f"audit.yaml declares {other.kind} of {other.function or other.exercise}, which is not tried",
                    "remove it",
                )

    def budget(self) -> float:
        """Time and memory of the reference against the limits; the time of all its checks."""
        records = [record for trial, record in self.pairs if trial.about == "reference"]
        times: dict[str, list[float]] = defaultdict(list)
        for record in records:
            for result in record.checks:
                times[result.check.id].append(result.seconds)
        for name, seconds in times.items():
            self.facts[name].seconds = statistics.median(seconds)
        total = statistics.median(sum(result.seconds for result in record.checks) for record in records)
        limits = self.subject.assignment.limits
        if total > SLOW_S:
            self.note(f"the checks take {total:.1f} s for the reference; students wait for that")
        slowest = max(self.facts.values(), key=lambda fact: fact.seconds)
        if slowest.seconds > limits.check_s / 2:
            self.problem(
                f"{slowest.spec.id} takes the reference {slowest.seconds:.1f} s of {limits.check_s:g} s",
                "make it cheaper, or raise limits.check",
            )
        peak = max(record.timing.guest_peak_bytes for record in records)
        if peak > limits.memory_bytes / 2:
            self.problem(
                f"the reference uses {peak >> 20} MiB of {limits.memory_bytes >> 20} MiB", "raise limits.memory"
            )
        return total


def judge(subject: Subject, trials: Sequence[Trial], records: Sequence[Record]) -> Report:
    """Judge what ``run`` marked.

    Args:
        subject: the assignment.
        trials: what was marked, the reference first.
        records: one for each.
    """
    it = _Judge(subject, trials, records)
    it.facts = {result.check.id: CheckFacts(spec=result.check) for result in records[0].checks}
    counted = generic = 0
    for trial, record in it.pairs:
        about = trial.about
        if record.is_held:
            why = next((flag.text for flag in record.flags if flag.id == "held"), "a check could not be run")
            it.problem(f"{trial.name} could not be marked: {why[:300]}", "run the audit again")
        elif isinstance(about, Variant) and not about.right:
            it.wrong(trial, record, about)
        elif isinstance(about, Variant) or about == "reference":
            it.right(trial, record)
        elif about == "starter":
            it.starter(record)
        elif isinstance(about, Generic):
            generic += 1
            it.generic(trial, record, about)
        elif isinstance(about, Mutant):
            counted += it.mutant(record, about)
    whole = any(trial.about == "starter" for trial in trials)
    if whole:
        it.checks()
    all_mutants = sum(isinstance(trial.about, Mutant) for trial in trials)
    if all_mutants:
        it.stale()
    total = it.budget()
    flaky = sorted({name for (name, _), seen in it.outcomes.items() if len(seen) > 1})
    if counted and 1 - len(it.survivors) / counted < KILL_RATE:
        it.problem(
            f"{len(it.survivors)} of {counted} mutants survive ({1 - len(it.survivors) / counted:.1%} caught, "
            f"{KILL_RATE:.0%} are due)",
            "write checks against them, or declare them equivalent in audit.yaml",
        )
    return Report(
        title=subject.assignment.title,
        assignment=subject.assignment.name,
        exercises=subject.exercises,
        problems=tuple(it.problems),
        notes=tuple(it.notes),
        checks=tuple(sorted(it.facts.values(), key=lambda fact: subject.exercises.index(fact.spec.exercise))),
        rows=tuple(it.rows),
        survivors=tuple(it.survivors),
        mutants=counted,
        equivalent=all_mutants - counted,
        generic=generic,
        seeds=len({trial.seed for trial in trials}),
        runs_of_right=sum(trial.about == "reference" or getattr(trial.about, "right", False) for trial in trials),
        flakes=len(flaky),
        reference_s=total,
    )


def _failed(result: CheckResult) -> bool:
    return result.verdict not in (Verdict.PASS, Verdict.SKIPPED)


def _lost(record: Record) -> tuple[str, ...]:
    """Exercises that did not get all that the checks can give that were run."""
    short = {
        result.check.exercise
        for result in record.checks
        if result.earned < result.check.points - 1e-9 and result.kind != "left out"
    }
    return tuple(score.exercise.id for score in record.exercises if score.exercise.id in short)
