"""Collect check files once: plain pytest in a trusted process that afterwards forks for each submission."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader.checkfile import check_versions
from grader.errors import CourseError, InternalError, Place
from grader.model import CheckSpec, ExerciseSpec, Visibility
from grader.wall.session import Policy

from .declare import Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .run import Runner

__all__ = ["Check", "CheckFile", "Collected", "collecting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFile:
    """A file of checks and who may see it."""

    path: Path
    visibility: Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check with the pytest items that make it up."""

    spec: CheckSpec
    items: tuple[pytest.Item, ...]
    policy: Policy | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """All checks of an assignment, in the order of the files, gates before what depends on them."""

    checks: tuple[Check, ...]
    runner: Runner
    """The pytest plugin through which the items are run."""

    @property
    def timed(self) -> Collected:
        """The checks that are run in the exclusive lane, beside the reference."""
        return replace(self, checks=tuple(check for check in self.checks if check.spec.timed))

    @property
    def untimed(self) -> Collected:
        """The others."""
        return replace(self, checks=tuple(check for check in self.checks if not check.spec.timed))

    def of(self, exercises: Collection[str]) -> Collected:
        """The checks of some exercises only."""
        return replace(self, checks=tuple(check for check in self.checks if check.spec.exercise in exercises))

    def needed_by(self, names: Collection[str]) -> frozenset[str]:
        """These checks, and all that they depend on."""
        depends = {spec.id: spec.depends for spec in self.specs}
        needed = depends.keys() & names
        while more := (depends.keys() & {each for name in needed for each in depends[name]}) - needed:
            needed |= more
        return frozenset(needed)

    @property
    def specs(self) -> tuple[CheckSpec, ...]:
        """The checks as data."""
        return tuple(check.spec for check in self.checks)


PLUGINS_OFF = ("cacheprovider", "doctest", "junitxml", "terminal", "logging", "pastebin", "stepwise", "unittest",
               "faulthandler", "setuponly", "setupplan", "debugging", "recwarn", "threadexception",
               "unraisableexception", "warnings", "nose")  # fmt: skip


def collecting(
    files: Sequence[CheckFile],
    exercises: Sequence[ExerciseSpec],
    use: Callable[[Collected], None],
    *,
    only: str | None = None,
) -> None:
    """Collect the files, then call ``use`` while pytest's session is open.

    Args:
        files: public and hidden check files.
        exercises: what the assignment declares; the points of the checks must add up to theirs.
        use: does the marking.
        only: keep the checks of one exercise (a student's ``check("softmax")``); ``"*"`` keeps all without adding
            up their points, which the public file alone does not do.

    Raises:
        CourseError: a file is missing or cannot be imported, a check has no points or no docstring, an exercise is
            unknown, points do not add up, dependencies are unknown or go in a circle.
    """
    for file in files:
        if not file.path.is_file():
            remedy = "write it, or see docs/writing-checks.md"
            raise CourseError("there is no such check file", place=Place(file=shown(file.path)), remedy=remedy)
    from .run import Runner

    runner = Runner(files, exercises, use, only)
    off = [part for name in PLUGINS_OFF for part in ("-p", f"no:{name}")]
    args = [*(str(file.path) for file in files), "-c", os.devnull, "--noconftest", "--import-mode=importlib", "-s",
            "--strict-markers", *off]  # fmt: skip
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    said = io.StringIO()
    _forget(files)
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is written beside the check files
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = pytest.main(args, plugins=[runner])
    finally:
        sys.dont_write_bytecode = compiles
        _forget(files)
    if runner.error is not None:
        raise runner.error
    if not runner.used:
        raise InternalError(f"pytest ended with {code!r} before any check ran: {said.getvalue()[-1000:]}")


def _forget(files: Sequence[CheckFile]) -> None:
    """Have the files read anew: a student's kernel outlives many versions of its checks.

    A module of the same name from elsewhere would be taken for them, and is forgotten too.
    """
    paths = {str(file.path.resolve()) for file in files}
    stems = {file.path.stem for file in files}
    for name, module in list(sys.modules.items()):
        if name in stems or getattr(module, "__file__", None) in paths:
            del sys.modules[name]


def gather(
    items: Sequence[pytest.Item], files: Sequence[CheckFile], exercises: Sequence[ExerciseSpec], only: str | None
) -> list[Check]:
    """Checks from pytest's items, validated against the course. Raises CourseError."""
    visibility = {file.path.resolve(): file.visibility for file in files}
    for path in visibility:
        _refuse_shadowed(path)
    versions = {path: check_versions(path.read_bytes()) for path in visibility}
    grouped: dict[str, list[pytest.Item]] = {}
    for item in items:
        _refuse_unknown_fixtures(item)
        grouped.setdefault(_id(item), []).append(item)
    specs: dict[str, CheckSpec] = {}
    known = {exercise.id for exercise in exercises}
    for name, group in grouped.items():
        if len({(item.path, getattr(item, "originalname", None)) for item in group}) > 1:
            raise CourseError(f"two checks are called {name}", place=_place(group[1]), remedy="rename one of them")
        path = Path(group[0].path).resolve()
        specs[name] = _spec(name, group[0], known, visibility[path], versions[path].get(name, ""))
    if not specs:
        remedy = "write one, or see docs/writing-checks.md"
        raise CourseError("there is no check in these files", place=Place(file=shown(files[0].path)), remedy=remedy)
    if only is None:
        _add_up(specs, exercises, files)
    first = {name: group[0] for name, group in grouped.items()}
    specs = _with_dependencies(specs, first)
    order = _ordered(specs, first)
    kept = [name for name in order if only in (None, "*") or specs[name].exercise == only]
    one_of_each = {getattr(item, "module", None): item for item in first.values()}
    forbidden = [entry for item in one_of_each.values() for entry in _forbidden(item, known if only is None else None)]
    return [
        Check(spec=specs[name], items=tuple(grouped[name]), policy=_policy(forbidden, specs[name].exercise))
        for name in kept
    ]


def _id(item: pytest.Item) -> str:
    name = str(getattr(item, "originalname", None) or item.name).removeprefix("test_")
    cls = getattr(item, "cls", None)
    return name if cls is None else f"{cls.__name__.removeprefix('Test')}.{name}"


def shown(path: Path) -> str:
    """A path as people read it: from where they are, when it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _place(item: pytest.Item) -> Place:
    line = item.location[1] + 1 if item.location[1] is not None else None
    return Place(file=shown(Path(item.path)), line=line, key=getattr(item, "originalname", None) or item.name)


def _refuse_shadowed(path: Path) -> None:
    """Two functions of one name: Python keeps the second, and the first would never run. Raises CourseError."""
    tree = ast.parse(path.read_bytes())
    scopes: list[ast.Module | ast.ClassDef] = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    for scope in scopes:
        lines: dict[str, int] = {}
        for node in scope.body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
                continue
            if node.name in lines:
                raise CourseError(
                    f"two checks are called {node.name.removeprefix('test_')}, here and in line {lines[node.name]}",
                    place=Place(file=shown(path), line=node.lineno, key=node.name),
                    remedy="rename one of them",
                )
            lines[node.name] = node.lineno


def _refuse_unknown_fixtures(item: pytest.Item) -> None:
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return
    given = {*info.name2fixturedefs, *getattr(getattr(item, "callspec", None), "params", ()), "request"}
    unknown = [name for name in info.argnames if name not in given]
    if unknown:
        remedy = "checks can use student, reference, rng, device and given, and fixtures of their own file"
        raise CourseError(f"there is no fixture {unknown[0]!r}", place=_place(item), remedy=remedy)


def _spec(name: str, item: pytest.Item, known: set[str], visibility: Visibility, source_hash: str) -> CheckSpec:
    mark = item.get_closest_marker("check")
    remedy = 'write @check("<exercise>", points=…) above it'
    if mark is None:
        raise CourseError("a check without points", place=_place(item), remedy=remedy)
    about = dict(mark.kwargs)
    points = about.get("points")
    if isinstance(points, bool) or not isinstance(points, int | float) or not 0 <= points < 10_000:
        raise CourseError(f"points={points!r} is no number of points", place=_place(item), remedy=remedy)
    exercise = about.get("exercise")
    if exercise not in known:
        names = ", ".join(sorted(known))
        raise CourseError(
            f"the exercise {exercise!r} is not in course.yaml",
            place=_place(item),
            remedy=f"use one of {names}, or add it to course.yaml",
        )
    doc = (getattr(item, "function", None).__doc__ or "").strip()
    if not doc:
        remedy = "write a docstring: it is the sentence that students read"
        raise CourseError("a check without a docstring", place=_place(item), remedy=remedy)
    line = " ".join(doc.split("\n\n")[0].split())
    return CheckSpec(
        id=name,
        exercise=str(exercise),
        points=float(points),
        line=line,
        hint=about.get("hint"),
        visibility=visibility,
        gate=bool(about.get("gate", False)),
        depends=tuple(about.get("depends", ())),
        source_hash=source_hash,
        timed=_is_timed(item, gate=bool(about.get("gate", False)), visibility=visibility),
    )


def _is_timed(item: pytest.Item, *, gate: bool, visibility: Visibility) -> bool:
    """Whether a check takes the reference. Raises CourseError where it may not."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None or "reference" not in info.names_closure:
        return False
    if visibility is Visibility.PUBLIC or gate:
        what = "a gate cannot take the fixture `reference`" if gate else "a public check has no fixture `reference`"
        remedy = "checks with a reference are timed, after all others: move it to a hidden check that is no gate"
        raise CourseError(what, place=_place(item), remedy=remedy)
    return True


def _add_up(specs: Mapping[str, CheckSpec], exercises: Sequence[ExerciseSpec], files: Sequence[CheckFile]) -> None:
    for exercise in exercises:
        total = sum(spec.points for spec in specs.values() if spec.exercise == exercise.id)
        due = exercise.points - exercise.manual_points
        if abs(total - due) > 1e-9:
            where = " and ".join(file.path.name for file in files)
            raise CourseError(
                f"the checks of exercise {exercise.id!r} are worth {total:g} points in all, course.yaml says {due:g}",
                place=Place(file=where),
                remedy="change the points of a check, or the exercise's points in course.yaml",
            )


def _with_dependencies(specs: dict[str, CheckSpec], items: Mapping[str, pytest.Item]) -> dict[str, CheckSpec]:
    gates: dict[str, list[str]] = {}
    for spec in specs.values():
        if spec.gate:
            gates.setdefault(spec.exercise, []).append(spec.id)
    full = {}
    for name, spec in specs.items():
        for other in spec.depends:
            if other not in specs:
                remedy = f"known checks: {', '.join(sorted(specs))}"
                raise CourseError(f"depends on an unknown check {other!r}", place=_place(items[name]), remedy=remedy)
        timed = [other for other in spec.depends if specs[other].timed and not spec.timed]
        if timed:
            remedy = "timed checks are run after all others: let it depend on another check"
            raise CourseError(f"depends on {timed[0]!r}, a timed check", place=_place(items[name]), remedy=remedy)
        own = [gate for gate in gates.get(spec.exercise, []) if gate != name and not spec.gate]
        full[name] = replace(spec, depends=tuple(dict.fromkeys([*own, *spec.depends])))
    return full


def _ordered(specs: Mapping[str, CheckSpec], items: Mapping[str, pytest.Item]) -> list[str]:
    """The order of the files, but each check after what it depends on. Raises CourseError for a circle."""
    done: dict[str, None] = {}
    for start in specs:
        stack = [(start, iter(specs[start].depends))]
        path = {start}
        while stack:
            name, rest = stack[-1]
            following = next((other for other in rest if other not in done), None)
            if following is None:
                done[name] = None
                path.discard(name)
                stack.pop()
            elif following in path:
                circle = " → ".join([*(each for each, _ in stack), following])
                remedy = "remove one of these dependencies"
                what = f"checks depend on each other in a circle: {circle}"
                raise CourseError(what, place=_place(items[following]), remedy=remedy)
            else:
                path.add(following)
                stack.append((following, iter(specs[following].depends)))
    return list(done)


def _policy(forbidden: Sequence[Forbidden], exercise: str) -> Policy | None:
    entries = [entry for entry in forbidden if exercise in entry.exercises or "*" in entry.exercises]
    if not entries:
        return None
    return Policy(
        names=tuple(name for entry in entries for name in entry.names),
        ops=tuple(op for entry in entries for op in entry.ops),
        instead="; ".join(dict.fromkeys(entry.instead for entry in entries if entry.instead)),
    )


def _forbidden(item: pytest.Item, known: set[str] | None) -> list[Forbidden]:
    """The ``FORBIDDEN`` list of one check file. Raises CourseError when it is none.

    ``known``: the exercises that there are; None for a student, who has only the public part of them.
    """
    entries: Any = getattr(getattr(item, "module", None), "FORBIDDEN", [])
    place = Place(file=shown(Path(item.path)), key="FORBIDDEN")
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Forbidden) for entry in entries):
        remedy = 'write FORBIDDEN = [forbid("<exercise>", names=…), …]'
        raise CourseError("FORBIDDEN must be a list of forbid(…)", place=place, remedy=remedy)
    unknown = [name for entry in entries for name in entry.exercises if name not in {"*", *(known or {name})}]
    if known is not None and unknown:
        remedy = f"use one of {', '.join(sorted(known))}, or add it to course.yaml"
        raise CourseError(f"the exercise {unknown[0]!r} is not in course.yaml", place=place, remedy=remedy)
    return list(entries)
