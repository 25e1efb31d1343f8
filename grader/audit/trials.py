"""The notebooks of an audit, and marking them all."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.audit.generic import KINDS, wrapping
from grader.audit.variants import Variant
from grader.errors import InternalError
from grader.jobs import AHEAD, Gone, MarkerProcess
from grader.marker import Step
from grader.model import SubmissionRef
from grader.submissions import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from grader.audit.mutants import Mutant
    from grader.audit.subject import Subject
    from grader.model import Record

__all__ = ["Generic", "Trial", "planned", "run"]

TRIES = 5
"""How often a wrong variant is timed at most, where the machine is too noisy to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generic:
    """A generic wrong answer in an exercise, or in one of its functions alone."""

    kind: str
    exercise: str
    function: str | None = None
    """None: all that the exercise defines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One notebook to be marked."""

    name: str
    data: bytes
    only: tuple[str, ...]
    """Exercises whose checks are run."""
    seed: int
    about: str | Variant | Generic | Mutant
    """``reference``, ``starter``, or what was changed."""
    enough: tuple[str, ...] | None = None
    """None: all checks are run. Otherwise these, and others only until one has failed."""
    timed: bool = True
    """Whether timed checks are run; otherwise they are left out."""


def planned(
    subject: Subject, *, seeds: Sequence[int], quick: bool = False, mutants: bool = True, only: str | None = None
) -> list[Trial]:
    """Everything that an audit marks.

    Args:
        subject: the assignment.
        seeds: the right answers are marked with each, everything else with the first.
        quick: of a wrong variant, run only the checks that it names (where it breaks one exercise and names no
            misconception), of a mutant only those up to the first that fails; time right variants with the first seed
            only, for how long they take is not what a seed changes; wrap only whole exercises.
        mutants: also mutate the solution.
        only: the variants whose name holds this text, and nothing else but the reference.
    """
    every = subject.exercises
    first = seeds[0]
    trials = [
        Trial(name="reference", data=subject.notebook(), only=every, seed=seed, about="reference") for seed in seeds
    ]
    for variant in subject.variants:
        if only is not None and only not in variant.name:
            continue
        data = subject.notebook(added=variant.code)
        enough = None
        if variant.right:
            reach = subject.reached_by(variant.defines)
            checks = tuple(each for each in every if each in reach)
        else:
            checks = every
            if quick:
                checks = tuple(each for each in every if each in (variant.exercise, *variant.also_breaks))
                enough = None if variant.told or variant.also_breaks else variant.caught_by
        trials += [
            Trial(
                name=variant.name,
                data=data,
                only=checks,
                seed=seed,
                about=variant,
                enough=enough,
                timed=seed == first or not quick,
            )
            for seed in (seeds if variant.right else [first])
        ]
    if only is not None:
        return trials
    trials.append(Trial(name="starter", data=subject.starter(), only=every, seed=first, about="starter"))
    trials += _generic(subject, first, quick=quick)
    if mutants:
        trials += [
            Trial(
                name=f"{mutant.exercise}: {mutant.now}",
                data=subject.notebook(replaced={mutant.cell: mutant.source}),
                only=(mutant.exercise,),
                seed=first,
                about=mutant,
                enough=() if quick else None,
            )
            for mutant in subject.mutants()
        ]
    return trials


def _generic(subject: Subject, seed: int, *, quick: bool) -> Iterator[Trial]:
    for exercise in subject.exercises:
        names = [name for name in subject.names[exercise] if not name.startswith("_")]
        groups: list[tuple[str | None, list[str]]] = [(None, names)]
        if len(names) > 1 and not quick:
            groups += [(name, [name]) for name in names]
        for kind in KINDS:
            for function, wrapped in groups:
                about = Generic(kind=kind, exercise=exercise, function=function)
                yield Trial(
                    name=f"{function or exercise}: {kind}",
                    data=subject.notebook(added=wrapping(kind, wrapped)),
                    only=(exercise,),
                    seed=seed,
                    about=about,
                )


def run(
    subject: Subject,
    trials: Sequence[Trial],
    *,
    sandbox: str | None = None,
    workers: int | None = None,
    progress: Callable[[int, str], None] = lambda _done, _name: None,
) -> list[Record]:
    """Mark all trials; their records, in order.

    Raises:
        CourseError: the course cannot be marked: the reference fails, points do not add up, a check file is wrong.
        InternalError: the marker process ended.
        KeyboardInterrupt: the user stopped it; everything is ended.
    """
    lanes = workers or os.cpu_count() or 1
    records: dict[int, Record] = {}
    order = {
        "course": str(subject.course.file),
        "assignment": subject.assignment.name,
        "sandbox": sandbox,
        "seed": trials[0].seed,
        "reference": True,
        "workers": lanes,
    }
    try:
        with MarkerProcess(order) as marker:
            marker.ready()
            waiting = deque(range(len(trials)))
            tries = [0] * len(trials)
            flying = 0
            while len(records) < len(trials):
                while flying < lanes + AHEAD and waiting:
                    trial = trials[number := waiting.popleft()]
                    more = {"only": trial.only, "seed": trial.seed, "enough": trial.enough, "timed": trial.timed}
                    marker.hand(number, submission_of(subject, trial), "audit", **more)
                    flying += 1
                number, news = marker.take()
                if isinstance(news, Step):
                    continue
                flying -= 1
                tries[number] += 1
                if _is_unclear(trials[number], news) and tries[number] < TRIES:
                    waiting.append(number)
                else:
                    records[number] = news
                    progress(len(records), trials[number].name)
    except Gone:
        raise InternalError("the marker process ended", remedy="run the same command again") from None
    return [records[number] for number in range(len(trials))]


def _is_unclear(trial: Trial, record: Record) -> bool:
    """Whether a wrong variant got the benefit of the doubt that a noisy machine casts."""
    about = trial.about
    is_wrong = isinstance(about, Variant) and not about.right
    return is_wrong and any(not each.clear for result in record.checks for each in result.measurements)


def submission_of(subject: Subject, trial: Trial) -> Submission:
    """What a trial hands in."""
    ref = SubmissionRef(
        student=trial.name,
        name=trial.name,
        assignment=subject.assignment.name,
        path=trial.name,
        sha256=hashlib.sha256(trial.data).hexdigest(),
    )
    return Submission(ref=ref, data=trial.data)
