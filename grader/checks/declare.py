"""How a check file says what its functions are worth and what is forbidden."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from grader.wall.host import Student

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Forbidden", "check", "forbid", "probe"]

F = TypeVar("F", bound="Callable[..., Any]")


def check(
    exercise: str,
    *,
    points: float,
    gate: bool = False,
    hint: str | None = None,
    depends: str | Iterable[str] = (),
) -> Callable[[F], F]:
    """Mark a test function as a check.

    Args:
        exercise: id of the exercise in course.yaml.
        points: what passing it earns; 0 for information only.
        gate: the other checks of the exercise depend on it.
        hint: what a student should think about when it fails.
        depends: ids of further checks (names without ``test_``) that must pass first.
    """
    names = (depends,) if isinstance(depends, str) else tuple(depends)
    return pytest.mark.check(exercise=exercise, points=points, gate=gate, hint=hint, depends=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """What some exercises forbid while their checks call the student's code."""

    exercises: tuple[str, ...]
    """Exercise ids; ``("*",)`` for all of the file's assignment."""
    names: tuple[str, ...] = ()
    """Dotted names (``torch.nn.functional.softmax``); the last part may hold ``*``."""
    ops: tuple[str, ...] = ()
    """ATen names (``aten::_softmax``), which no alias hides."""
    instead: str = ""
    """What to use instead, for the student."""


def forbid(*exercises: str, names: Iterable[str] = (), ops: Iterable[str] = (), instead: str = "") -> Forbidden:
    """One entry of a check file's ``FORBIDDEN`` list."""
    return Forbidden(exercises=exercises, names=tuple(names), ops=tuple(ops), instead=instead)


def probe(function: F) -> F:
    """Make a short function run beside the student's code: its source is shipped in, its result judged here.

    One of its arguments must be ``student``. The function cannot use names of the check file.
    """

    @functools.wraps(function)
    def shipped(*args: Any, **kwargs: Any) -> Any:
        student = next((arg for arg in (*args, *kwargs.values()) if type(arg) is Student), None)
        if student is None:
            raise TypeError(f"the probe {function.__name__} must be called with `student`")
        return student._wall.probe(function, args, kwargs)

    return shipped  # type: ignore[return-value]
