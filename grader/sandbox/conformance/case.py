"""One case of the suite: a sentence about guests, what it depends on, and what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from unittest import SkipTest

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.sandbox.conformance.bench import Bench

__all__ = ["Case", "Outcome", "Result", "case", "cases_of", "expect"]


class Outcome(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One case on one sandbox."""

    case: str
    outcome: Outcome
    why: str = ""
    """What is wrong, or what the backend says about the capability that does not hold."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something that must be so of every guest."""

    name: str
    sentence: str
    needs: str | None
    """The capability without which it cannot be so; None when it must be so of every backend."""
    test: Callable[[Bench], None]

    def __str__(self) -> str:
        return self.name

    def check(self, bench: Bench) -> None:
        """Try it.

        Raises:
            AssertionError: it is not so; a sentence says what was seen.
            unittest.SkipTest: the backend says that it does not hold here (pytest shows this as skipped).
        """
        if self.needs is not None:
            lines = [line for line in bench.sandbox.capabilities() if line.id == self.needs]
            expect(len(lines) == 1, f"capabilities() must have one line about {self.needs!r}; it has {len(lines)}")
            if not lines[0].holds:
                raise SkipTest(f"{self.needs} does not hold here: {lines[0].how}")
        with bench.tidied():
            self.test(bench)

    def result(self, bench: Bench) -> Result:
        """Try it and tell what became of it; an unexpected error of the backend's is a failure too."""
        started = time.monotonic()
        outcome, why = Outcome.PASSED, ""
        try:
            self.check(bench)
        except SkipTest as skipped:
            outcome, why = Outcome.NOT_APPLICABLE, str(skipped)
        except AssertionError as error:
            outcome, why = Outcome.FAILED, str(error)
        except Exception as error:  # noqa: BLE001 - one broken case must not stop the others
            outcome, why = Outcome.FAILED, f"{type(error).__name__}: {error}"
        return Result(case=self.name, outcome=outcome, why=why, seconds=time.monotonic() - started)


def case(needs: str | None = None) -> Callable[[Callable[[Bench], None]], Case]:
    """Make a case of a function; its name and the first line of its docstring become the case's."""

    def make(function: Callable[[Bench], None]) -> Case:
        sentence = (function.__doc__ or "").partition("\n")[0]
        return Case(name=function.__name__, sentence=sentence, needs=needs, test=function)

    return make


def cases_of(names: dict[str, object]) -> tuple[Case, ...]:
    """The cases among a module's names, in the order in which they were written."""
    return tuple(each for each in names.values() if isinstance(each, Case))


def expect(holds: object, sentence: str) -> None:
    """Raise AssertionError with ``sentence`` unless it holds (``assert`` is gone under ``python -O``)."""
    if not holds:
        raise AssertionError(sentence)
