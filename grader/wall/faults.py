"""What can go wrong on the student's side of the wall, each with its verdict and a sentence that is safe to show.

StudentFault
├── Mismatch       FAIL       a value is not what is due (also an AssertionError)
├── Forbidden      FAIL       a forbidden name was used
├── Raised         RAISED     the student's code raised (also the same built-in class)
├── NotWritten     RAISED     NotImplementedError: the exercise is not done yet
├── Crashed        RAISED     the process ended
├── Missing        MISSING    the notebook does not define the name
├── OutOfTime      TIMEOUT
├── OutOfMemory    MEMORY
│   └── OutOfGpuMemory        on the GPU, which it may have shared with others: such a check is run once more
└── Violation      VIOLATION  the protocol of the wall was broken
SandboxLost        ours: the sandbox itself failed
"""

from __future__ import annotations

import builtins
from functools import cache
from typing import Any

from grader.model import Verdict

__all__ = [
    "Crashed",
    "Forbidden",
    "Mismatch",
    "Missing",
    "NotWritten",
    "OutOfGpuMemory",
    "OutOfMemory",
    "OutOfTime",
    "Raised",
    "SandboxLost",
    "StudentFault",
    "Violation",
    "raised",
]


class StudentFault(Exception):
    """Something that is the student's to mend."""

    verdict = Verdict.FAIL
    kind = "value"

    def __init__(
        self,
        rationale: str,
        *,
        kind: str | None = None,
        misconception: str | None = None,
        evidence: str | None = None,
        at: tuple[int, int, str] | None = None,
    ) -> None:
        super().__init__(rationale)
        self.rationale = rationale
        self.kind = kind or type(self).kind
        self.misconception = misconception
        self.evidence = evidence
        self.at = at
        """Cell index, line and text of the student's own line, when known."""


class Mismatch(StudentFault, AssertionError):
    """A value is not what is due."""


class Forbidden(StudentFault):
    """A name that the exercise forbids was used."""

    kind = "forbidden"


class Raised(StudentFault):
    """The student's code raised an exception."""

    verdict = Verdict.RAISED
    kind = "error"


class NotWritten(Raised):
    """NotImplementedError: never accepted where a RuntimeError is expected."""

    kind = "not-implemented"


class Crashed(StudentFault):
    """The student's process ended."""

    verdict = Verdict.RAISED
    kind = "crash"


class Missing(StudentFault):
    """The notebook does not define the name."""

    verdict = Verdict.MISSING
    kind = "missing"


class OutOfTime(StudentFault):
    """Time is used up."""

    verdict = Verdict.TIMEOUT
    kind = "time"


class OutOfMemory(StudentFault):
    """Memory is used up."""

    verdict = Verdict.MEMORY
    kind = "memory"


class OutOfGpuMemory(OutOfMemory):
    """An allocation on the GPU failed."""


class Violation(StudentFault):
    """The guest broke the protocol of the wall."""

    verdict = Verdict.VIOLATION
    kind = "protocol"


class SandboxLost(Exception):
    """The sandbox itself failed: ours, never the student's."""


_ACCEPTED = (
    "ValueError", "TypeError", "RuntimeError", "IndexError", "KeyError", "AttributeError", "NameError", "LookupError",
    "ArithmeticError", "ZeroDivisionError", "OverflowError", "AssertionError", "NotImplementedError", "RecursionError",
    "OSError", "ImportError", "ModuleNotFoundError", "UnboundLocalError", "StopIteration", "UnicodeError", "EOFError",
    "FloatingPointError", "MemoryError",
)  # fmt: skip


@cache
def _class_for(name: str) -> type[Raised]:
    builtin = getattr(builtins, name)
    return type(f"Raised{name}", (Raised, builtin), {"__init__": Raised.__init__})


def raised(what: dict[str, Any]) -> StudentFault:
    """The exception to raise on the host for a guest's description of one (already checked to be an object)."""
    names = what.get("mro")
    mro = [name for name in names if isinstance(name, str)][:30] if isinstance(names, list) else []
    kind = str(what.get("type", "an exception"))[:100]
    message = str(what.get("message", ""))[:2000]
    at = _line(what.get("at"))
    if isinstance(what.get("missing"), str):
        return Missing(f"The notebook does not define `{what['missing'][:80]}`.", evidence=message)
    if isinstance(what.get("forbidden"), str):
        return Forbidden(f"{what['forbidden'][:300]}.", at=at)
    if isinstance(what.get("unsendable"), str):
        return Mismatch("The result cannot be checked: it is too large or too deeply nested.", kind="type")
    evidence = f"{kind}: {message}"
    if "NotImplementedError" in mro:
        return NotWritten("Not done yet: this part still raises NotImplementedError.", evidence=evidence, at=at)
    if "MemoryError" in mro:
        return OutOfMemory("Your code ran out of memory here.", evidence=evidence, at=at)
    if kind in ("torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError"):
        return OutOfGpuMemory("Your code ran out of memory on the GPU here.", evidence=evidence, at=at)
    rationale = f"Your code raised {_article(kind)} here."
    first = next((name for name in mro if name in _ACCEPTED), None)
    cls = Raised if first is None else _class_for(first)
    return cls(rationale, evidence=evidence, at=at)


def _article(kind: str) -> str:
    name = "".join(c for c in kind.rsplit(".", 1)[-1] if c.isalnum() or c == "_")[:60] or "exception"
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _line(value: Any) -> tuple[int, int, str] | None:
    if not isinstance(value, list) or len(value) != 3:
        return None
    cell, line, text = value
    if type(cell) is not int or type(line) is not int or not isinstance(text, str):
        return None
    return (max(0, min(cell, 1_000_000)), max(1, min(line, 10_000_000)), text[:300])
