"""From a ``course.yaml`` to a ``Course``, or to every error in it at once, each with its line."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from grader.config import units
from grader.config.course import (
    Assignment,
    CISettings,
    Course,
    Defaults,
    Exercise,
    LatePolicy,
    LimitSettings,
    Paths,
    closest,
)
from grader.config.yamlfile import Document, KeyPath, dotted, read_yaml
from grader.errors import CourseError, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

__all__ = ["load_course"]

_MAX_SHOWN = 20
_Section = CISettings | Course | Defaults | Exercise | LatePolicy | LimitSettings | Paths
_MODELS: dict[str, type[_Section]] = {
    "assignments": Assignment,
    "ci": CISettings,
    "defaults": Defaults,
    "exercises": Exercise,
    "late": LatePolicy,
    "limits": LimitSettings,
    "paths": Paths,
}
_EXPECTED = {
    "bool_type": "expected true or false",
    "dict_type": "expected key: value lines",
    "float_type": "expected a number",
    "int_from_float": "expected a whole number",
    "int_type": "expected a whole number",
    "model_attributes_type": "expected key: value lines",
    "model_type": "expected key: value lines",
    "string_type": "expected a text",
    "too_short": "expected at least one item",
    "tuple_type": "expected a list",
    "finite_number": "expected a number",
    "datetime_type": "expected a date and a time",
}
_NOT_SHOWN = {"missing", "points_sum", "manual_points", "limits_order"}


def load_course(path: Path) -> Course:
    """The course that ``path`` (a ``course.yaml``, or the folder that has one) describes.

    Raises:
        CourseError: naming file, line and key of everything that is wrong in it.
    """
    file = path / "course.yaml" if path.is_dir() else path
    shown = _shown(file)
    document = read_yaml(file, shown)
    problems = _Problems(document, shown)
    try:
        course = Course.model_validate(_with_defaults(document.data), context={"timezone": _zone(document.data)})
    except ValidationError as error:
        for details in error.errors(include_url=False):
            problems.add(details)
        raise problems.error() from None
    _check_unique(course, problems)
    _check_extensions(course, problems)
    if problems.found:
        raise problems.error()
    return _place(course, file)


def _shown(file: Path) -> str:
    try:
        return str(file.absolute().relative_to(file.cwd()))
    except (ValueError, OSError):
        return str(file)


def _zone(data: Mapping[str, Any]) -> Any:
    name = data.get("timezone", "UTC")
    try:
        return units.timezone(name) if isinstance(name, str) else UTC
    except ValueError:
        return UTC  # the wrong zone is reported at its own key


def _with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """Give every assignment the defaults that it does not override; ``limits`` key by key."""
    merged, defaults = dict(data), data.get("defaults")
    assignments = data.get("assignments")
    if not isinstance(defaults, dict) or not isinstance(assignments, tuple):
        return merged
    inherited = {key: value for key, value in defaults.items() if key in Defaults.model_fields}
    merged["assignments"] = tuple(
        _override(inherited, assignment) if isinstance(assignment, dict) else assignment for assignment in assignments
    )
    return merged


def _override(inherited: dict[str, Any], assignment: dict[str, Any]) -> dict[str, Any]:
    merged = {**inherited, **assignment}
    general, own = inherited.get("limits"), assignment.get("limits")
    if isinstance(general, dict) and isinstance(own, dict):
        merged["limits"] = {**general, **own}
    return merged


def _check_unique(course: Course, problems: _Problems) -> None:
    names: dict[str, int] = {}
    for index, assignment in enumerate(course.assignments):
        if assignment.name in names:
            problems.note(
                ("assignments", index, "name"), f"there are two assignments called {assignment.name}", "name it apart"
            )
        names[assignment.name] = index
        ids: set[str] = set()
        for number, exercise in enumerate(assignment.exercises):
            if exercise.id in ids:
                problems.note(
                    ("assignments", index, "exercises", number, "id"),
                    f"there are two exercises called {exercise.id} in {assignment.name}",
                    "name it apart",
                )
            ids.add(exercise.id)


def _check_extensions(course: Course, problems: _Problems) -> None:
    for index, assignment in enumerate(course.assignments):
        for student, due in assignment.extensions.items():
            path = ("assignments", index, "extensions", student)
            if assignment.due is None:
                problems.note(path, "there is no due date to extend", f"say when {assignment.name} is due")
            elif due < assignment.due:
                problems.note(path, f"this is before {assignment.name} is due", "an extension gives more time")


def _place(course: Course, file: Path) -> Course:
    course._root, course._file = file.absolute().parent, file.absolute()  # noqa: SLF001 - the loader completes it
    for assignment in course.assignments:
        assignment._root = course.root  # noqa: SLF001
    return course


class _Problems:
    """Collects what is wrong and makes one CourseError of it, in the order of the file."""

    def __init__(self, document: Document, shown: str) -> None:
        self.found: list[tuple[int, KeyPath, str, str | None]] = []
        self._document = document
        self._shown = shown

    def note(self, path: KeyPath, what: str, remedy: str | None = None) -> None:
        line = self._document.line(path) or 1
        if all((path, what) != (other[1], other[2]) for other in self.found):
            self.found.append((line, path, what, remedy))

    def add(self, details: ErrorDetails) -> None:
        """Put pydantic's finding into words; what an assignment inherits is reported at ``defaults`` only."""
        path: KeyPath = details["loc"]
        kind, value, context = details["type"], details["input"], details.get("ctx", {})
        if kind == "too_short" and value:
            return  # pydantic counts only the items that are right, and what is wrong with the others is noted
        if kind == "extra_forbidden":
            self._unknown_key(path)
        elif kind == "missing":
            model = _model_of(path[:-1])
            field = next(field for name, field in model.model_fields.items() if (field.alias or name) == path[-1])
            text = " ".join((field.description or "").split())
            self.note(path, f"{path[-1]} is missing", f"{path[-1]}: {text}" if text else None)
        elif kind in ("points_sum", "manual_points"):
            self.note((*path, "points" if kind == "points_sum" else kind), details["msg"], "make the two agree")
        elif kind == "limits_order":
            self._inherited(path, details["msg"])
        elif kind == "literal_error":
            self._not_a_choice(path, value)
        elif kind == "value_error":
            self._inherited(path, f"{context['error']}{_found(value)}")
        elif kind.startswith(("greater_than", "less_than")):
            self._inherited(path, f"expected a number {_bound(kind, context)}{_found(value)}")
        else:
            self._inherited(path, f"{_EXPECTED.get(kind, details['msg'])}{_found(value)}")

    def error(self) -> CourseError:
        found = sorted(self.found, key=lambda problem: (problem[0], str(problem[1])))
        (line, path, what, remedy), *rest = found
        texts = [what]
        for other_line, other_path, other, _ in rest[: _MAX_SHOWN - 1]:
            place = Place(file=self._shown, line=other_line, key=dotted(other_path))
            texts.append(f"{place}: {other}")
        if len(rest) >= _MAX_SHOWN:
            texts.append(f"and {len(rest) - _MAX_SHOWN + 1} more")
        return CourseError(
            "\n".join(texts),
            place=Place(file=self._shown, line=line, key=dotted(path)),
            remedy=remedy if not rest else "docs/course-yaml.md explains every key",
        )

    def _inherited(self, path: KeyPath, what: str, remedy: str | None = None) -> None:
        """Note a wrong value, unless it came from ``defaults``, where it is noted already."""
        if path in self._document.lines:
            self.note(path, what, remedy)
        elif path[:1] == ("assignments",) and ("defaults", *path[2:]) in self._document.lines:
            self.note(("defaults", *path[2:]), what, remedy)
        else:
            self.note(path, what, remedy)

    def _unknown_key(self, path: KeyPath) -> None:
        model = _model_of(path[:-1])
        known = [field.alias or name for name, field in model.model_fields.items()]
        meant = closest(str(path[-1]), known)
        guess = f"; did you mean {meant}?" if meant else ""
        self._inherited(path, f"{str(path[-1])[:60]} is no key known here{guess}", f"keys: {', '.join(sorted(known))}")

    def _not_a_choice(self, path: KeyPath, value: object) -> None:
        model = _model_of(path)
        names = [part for part in path if isinstance(part, str)]
        schema = model.model_json_schema()["properties"][names[-1]]
        choices = [str(choice) for choice in schema.get("enum") or schema["items"]["enum"]]
        meant = closest(value, choices) if isinstance(value, str) else None
        guess = f"; did you mean {meant}?" if meant else ""
        self._inherited(path, f"expected one of {', '.join(choices)}{_found(value)}{guess}")


def _model_of(path: KeyPath) -> type[_Section]:
    """The model whose mapping lies at ``path``, or around it."""
    for part in reversed(path):
        if isinstance(part, str) and part in _MODELS:
            return _MODELS[part]
    return Course


def _bound(kind: str, context: Mapping[str, Any]) -> str:
    word, key = {
        "greater_than": ("greater than", "gt"),
        "greater_than_equal": ("of at least", "ge"),
        "less_than": ("less than", "lt"),
        "less_than_equal": ("of at most", "le"),
    }[kind]
    return f"{word} {context[key]:g}"


def _found(value: object) -> str:
    if isinstance(value, dict):
        return ", found key: value lines"
    if isinstance(value, tuple):
        return ", found a list"
    if value is None:
        return ", found nothing"
    if isinstance(value, bool):
        return f", found {str(value).lower()}"
    text = repr(value)
    return f", found {text if len(text) <= 60 else text[:57] + '...'}"
