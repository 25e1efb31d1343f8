"""Solution source -> released notebook, with a proof that nothing hidden is in it.

``solutions/<name>/<name>.py`` (a jupytext percent script with solution regions) goes through nbgrader's own
preprocessors, in the order of ``nbgrader generate_assignment``, and becomes ``assignments/<name>/<name>.ipynb``. Two
steps of nbgrader's are left out: ``IncludeHeaderFooter`` (no header is configured) and ``SaveCells`` (the gradebook is
filled when a class is marked). The same source gives the same bytes: cell ids come from nbgrader's ids or from the
cell's released content.

Before anything is written, ``_prove`` looks at the result as a student would: for solution lines, markers, lines of the
hidden checks, outputs, paths; and at every exercise cell, which must raise ``NotImplementedError``.
"""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.errors import CourseError, Place, ReleaseError
from grader.files import replace_file
from grader.notebook import Cell, NotANotebook, Notebook, exercise_names, read
from grader.notebook.names import tree
from grader.startup import without_grammars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from grader.config import Assignment, Course

__all__ = ["Released", "build", "read_released", "read_solution", "release"]

CODE_STUB = 'raise NotImplementedError("write your answer here")'
TEXT_STUB = "*Write your answer here.*"
_BEGIN = re.compile(r"BEGIN (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
_END = re.compile(r"END (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
_MARKER = re.compile(r"\b(?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS?|MARK SCHEME)", re.IGNORECASE)
_TEST_NAME = re.compile(r"\btest_\w+")
_SHORTEST = 12
"""Lines of up to this many characters (``return x``) say nothing."""
_RUN = 3
"""So many lines of a solution in a row are a leak, whether they also stand elsewhere or not."""
_TEXT_FILES = {".py", ".md", ".txt", ".json", ".csv", ".yaml", ".yml", ".toml", ".html", ".ipynb"}
_LEFT_OUT = {"__pycache__", ".ipynb_checkpoints", ".pytest_cache"}
_META_KEYS = ("exercise", "nbgrader", "tags")
_RELEASED_KEYS = {*_META_KEYS, "deletable", "editable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a release made."""

    assignment: str
    path: Path
    """The notebook."""
    sha256: str
    """Hex SHA-256 of its bytes."""
    cells: int
    exercises: int
    """Exercise cells that students fill in."""
    files: tuple[str, ...]
    """Names of everything that students get, the notebook included."""
    changed: bool
    """Whether the notebook on disk was another one before."""


def release(course: Course, assignment: Assignment, to: Path | None = None) -> Released:
    """Make the students' folder: the notebook from its source and, when ``to`` is given, the files beside it.

    Args:
        course: for its place on disk.
        assignment: what to release.
        to: folder to write to; the assignment's own folder when left out.

    Raises:
        CourseError: the source is missing or wrong.
        ReleaseError: something hidden would leak, naming the cell or the file.
    """
    data = build(course, assignment)
    others = tuple(_student_files(assignment))
    _prove_files(assignment, others, read_solution(course, assignment))
    folder = to or assignment.folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in others if to is not None and to.resolve() != assignment.folder.resolve() else ():
        target = folder / file.relative_to(assignment.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    path = folder / f"{assignment.name}.ipynb"
    changed = not path.exists() or path.read_bytes() != data
    if changed:
        replace_file(path, data)
    notebook = read(data)
    return Released(
        assignment=assignment.name,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        cells=len(notebook.cells),
        exercises=sum(_is_solution(cell) for cell in notebook.cells),
        files=(path.name, *(str(file.relative_to(assignment.folder)) for file in others)),
        changed=changed,
    )


def build(course: Course, assignment: Assignment) -> bytes:
    """The released notebook's bytes, proven. The same source gives the same bytes."""
    path, source = _source(course, assignment)
    place = _shown(course, path)
    solution = _solution(source, place)
    _check_exercises(solution, assignment, place)
    node = _preprocessed(source, place)
    _identify(node)
    import nbformat

    try:
        nbformat.validate(node)
    except nbformat.ValidationError as error:
        raise ReleaseError(f"the notebook is not valid: {str(error)[:300]}", place=Place(file=place)) from error
    data: bytes = (nbformat.writes(node) + "\n").encode()
    _prove(solution, read(data), data.decode(), assignment, place)
    return data


def read_solution(course: Course, assignment: Assignment) -> Notebook:
    """The notebook with its solutions in place: what the reference is marked from. Needs no jupytext.

    Raises:
        CourseError: the source is missing or is no percent-format notebook.
    """
    path, source = _source(course, assignment)
    return _solution(source, _shown(course, path))


def read_released(course: Course, assignment: Assignment) -> Notebook:
    """The notebook that students got.

    Raises:
        CourseError: it is missing or damaged.
    """
    path = assignment.notebook_path
    place = Place(file=_shown(course, path))
    remedy = f"make it with: grader release {assignment.name}"
    try:
        return read(path.read_bytes())
    except FileNotFoundError as error:
        raise CourseError("the released notebook is missing", place=place, remedy=remedy) from error
    except (OSError, NotANotebook) as error:
        raise CourseError(f"the released notebook cannot be read: {error}", place=place, remedy=remedy) from error


def _source(course: Course, assignment: Assignment) -> tuple[Path, str]:
    path = assignment.solution_path
    place = Place(file=_shown(course, path))
    try:
        return path, path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CourseError(
            "the source of the notebook is missing",
            place=place,
            remedy="write it as a percent-format script (# %%); docs explain how",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"the source of the notebook cannot be read: {error}", place=place) from error


def _shown(course: Course, path: Path) -> str:
    return str(path.relative_to(course.root)) if path.is_relative_to(course.root) else str(path)


def _solution(source: str, place: str) -> Notebook:
    try:
        return read(source.encode())
    except NotANotebook as error:
        raise CourseError(str(error), place=Place(file=place)) from error


def _check_exercises(solution: Notebook, assignment: Assignment, place: str) -> None:
    """Every code cell compiles, and the exercises are those of ``course.yaml``."""
    for cell in solution.cells:
        if cell.cell_type == "code" and cell.source.strip() and tree(cell.source) is None:
            raise ReleaseError("a cell of the solution does not compile", place=_at(place, cell))
    known = [spec.id for spec in assignment.exercises]
    found = [cell.exercise for cell in solution.cells if cell.exercise is not None]
    for cell in solution.cells:
        if cell.exercise is not None and cell.exercise not in known:
            raise ReleaseError(
                f"exercise {cell.exercise!r} is not in course.yaml",
                place=_at(place, cell),
                remedy=f"exercises of {assignment.name}: {', '.join(known)}",
            )
    points = [cell.metadata["nbgrader"].get("points", 0) for cell in solution.cells if _is_grade(cell)]
    due = sum(exercise.points for exercise in assignment.exercises)
    if points and sum(points) != due:
        raise ReleaseError(
            f"nbgrader's cells add up to {sum(points):g} points, not {due:g}",
            place=Place(file=place),
            remedy="make the points of the cells and of course.yaml agree",
        )
    for name in known:
        if name not in found:
            raise ReleaseError(
                f"no cell has exercise {name!r} of course.yaml",
                place=Place(file=place),
                remedy=f'write exercise="{name}" behind the # %% of its cell',
            )


def _preprocessed(source: str, place: str) -> Any:
    """The source through nbgrader's preprocessors, as ``nbgrader generate_assignment`` runs them."""
    import jupytext

    without_grammars()
    from nbgrader import preprocessors

    node = jupytext.reads(source, fmt="py:percent")
    for cell in node.cells:
        cell.metadata = type(cell.metadata)({key: cell.metadata[key] for key in _META_KEYS if key in cell.metadata})
    node.metadata = type(node.metadata)(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    steps = (
        preprocessors.LockCells(),
        preprocessors.ClearSolutions(code_stub={"python": CODE_STUB}, text_stub=TEXT_STUB),
        preprocessors.ClearOutput(),
        preprocessors.CheckCellMetadata(),
        preprocessors.ComputeChecksums(),
        preprocessors.ClearHiddenTests(),
        preprocessors.ClearMarkScheme(),
        preprocessors.ComputeChecksums(),
        preprocessors.CheckCellMetadata(),
    )
    resources: dict[str, Any] = {}
    for step in steps:
        try:
            node, resources = step.preprocess(node, resources)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise ReleaseError(
                f"nbgrader's {type(step).__name__} refused the notebook: {text}", place=Place(file=place)
            ) from error
    return node


def _identify(node: Any) -> None:
    """Give each cell an id that depends on nothing but what is released."""
    taken: set[str] = set()
    for cell in node.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        name = re.sub(r"[^A-Za-z0-9_-]", "-", grade_id)[:56]
        if not name:
            name = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique)
        cell.id = unique


def _prove(solution: Notebook, released: Notebook, text: str, assignment: Assignment, place: str) -> None:
    """Look for anything hidden in the released notebook. Raises ReleaseError naming the cell."""
    hidden, shown = _divided(solution)
    runs = set(_runs(hidden))
    secrets = {line for region in hidden for line in region if len(line) > _SHORTEST} - shown
    tests, names = _test_lines(assignment), _hidden_names(assignment)
    for cell in released.cells:
        if _MARKER.search(cell.source):
            raise ReleaseError("a solution marker would be released", place=_at(place, cell))
        lines = [line.strip() for line in cell.source.split("\n")]
        for line in lines:
            if any(secret in line for secret in secrets if len(secret) <= len(line)):
                raise ReleaseError(f"a line of the solution would be released: {line[:80]}", place=_at(place, cell))
            if line in tests:
                raise ReleaseError(
                    f"a line of the hidden checks would be released: {line[:80]}", place=_at(place, cell)
                )
        for name in names.intersection(_TEST_NAME.findall(cell.source)):
            raise ReleaseError(f"the hidden check {name} is named", place=_at(place, cell))
        if not runs.isdisjoint(_runs([[line for line in lines if line]])):
            raise ReleaseError(
                f"{_RUN} lines of the solution in a row would be released",
                place=_at(place, cell),
                remedy="say it in other words, or move the lines out of the solution region",
            )
        extra = sorted(set(cell.metadata) - _RELEASED_KEYS)
        if extra:
            raise ReleaseError(f"metadata would be released: {', '.join(extra)}", place=_at(place, cell))
        if "solutions/" in cell.source:
            raise ReleaseError("the folder of the solutions is named", place=_at(place, cell))
    if '"output_type"' in text:
        raise ReleaseError("the notebook has outputs", place=Place(file=place))
    _prove_stubs(solution, released, place)


def _prove_stubs(solution: Notebook, released: Notebook, place: str) -> None:
    """Every exercise cell must be unfinished in the release and finished in the source."""
    if len(solution.cells) != len(released.cells):
        raise ReleaseError("the release has another number of cells than the source", place=Place(file=place))
    for own, cell in zip(solution.cells, released.cells, strict=True):
        if cell.exercise is None or cell.cell_type != "code":
            continue
        if not _is_solution(cell):
            raise ReleaseError(
                "an exercise cell is no solution cell of nbgrader's",
                place=_at(place, cell),
                remedy='write nbgrader={"solution": true, ...} behind its # %%',
            )
        regions = len(_BEGIN.findall(own.source))
        if not regions:
            raise ReleaseError(
                "the exercise cell has no solution region",
                place=_at(place, cell),
                remedy="put ### BEGIN SOLUTION and ### END SOLUTION around the solution",
            )
        module = tree(cell.source)
        raised = 0 if module is None else sum(_is_not_implemented(node) for node in ast.walk(module))
        if raised < regions:
            raise ReleaseError("the exercise cell does not raise NotImplementedError", place=_at(place, cell))
    for exercise, names in exercise_names(released).items():
        if not names and not any(cell.exercise == exercise and cell.cell_type != "code" for cell in released.cells):
            raise ReleaseError(f"exercise {exercise!r} defines no function or class", place=Place(file=place))


def _prove_files(assignment: Assignment, files: Iterable[Path], solution: Notebook) -> None:
    """The other files that students get: no markers, no run of solution lines, no hidden check."""
    runs = set(_runs(_divided(solution)[0]))
    tests = _hidden_names(assignment)
    for file in files:
        if file.suffix not in _TEXT_FILES:
            continue
        name = f"assignments/{assignment.name}/{file.relative_to(assignment.folder)}"
        text = file.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.split("\n"), start=1):
            if _MARKER.search(line):
                raise ReleaseError("a solution marker would be released", place=Place(file=name, line=number))
            for test in tests.intersection(_TEST_NAME.findall(line)):
                raise ReleaseError(f"the hidden check {test} is named", place=Place(file=name, line=number))
        if not runs.isdisjoint(_runs([[line.strip() for line in text.split("\n") if line.strip()]])):
            raise ReleaseError(
                f"{_RUN} lines of the solution in a row would be released",
                place=Place(file=name),
                remedy="say it in other words, or move the lines out of the solution region",
            )


def _divided(solution: Notebook) -> tuple[list[list[str]], set[str]]:
    """The stripped lines of every hidden region, and those outside of all of them."""
    hidden: list[list[str]] = []
    shown: set[str] = set()
    for cell in solution.cells:
        is_hidden = _is_solution(cell) and not _BEGIN.search(cell.source)
        if is_hidden:
            hidden.append([])
        for raw in cell.source.split("\n"):
            line = raw.strip()
            if _BEGIN.search(line):
                is_hidden = True
                hidden.append([])
            elif _END.search(line):
                is_hidden = False
            elif line and is_hidden:
                hidden[-1].append(line)
            elif line:
                shown.add(line)
    return hidden, shown


def _runs(regions: Iterable[list[str]]) -> Iterator[tuple[str, ...]]:
    """Every ``_RUN`` lines in a row that are long enough to mean something."""
    for region in regions:
        for start in range(len(region) - _RUN + 1):
            run = tuple(region[start : start + _RUN])
            if sum(len(line) for line in run) > _RUN * 2 * _SHORTEST:
                yield run


def _test_lines(assignment: Assignment) -> set[str]:
    """The lines of the hidden checks that say something and do not stand in a public file too."""
    skipped = ("import ", "from ", "#", "class ", "def ", "@")  # signatures coincide; check names are looked for apart
    found = {
        line
        for line in _lines(assignment.solution_folder / "test_hidden.py")
        if len(line) > 2 * _SHORTEST and not line.startswith(skipped)
    }
    return found.difference(_lines(assignment.folder / "test_public.py"), _lines(assignment.folder / "given.py"))


def _hidden_names(assignment: Assignment) -> set[str]:
    """Names of the hidden checks."""
    lines = _lines(assignment.solution_folder / "test_hidden.py")
    return {name for line in lines if line.startswith("def ") for name in _TEST_NAME.findall(line)}


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").split("\n")]


def _student_files(assignment: Assignment) -> Iterator[Path]:
    """Everything in the assignment's folder but the notebook, caches and hidden files."""
    for file in sorted(assignment.folder.rglob("*")):
        parts = file.relative_to(assignment.folder).parts
        is_ours = not any(part in _LEFT_OUT or part.startswith(".") for part in parts)
        if is_ours and file.is_file() and file != assignment.notebook_path:
            yield file


def _is_solution(cell: Cell) -> bool:
    nbgrader = cell.metadata.get("nbgrader")
    return isinstance(nbgrader, dict) and bool(nbgrader.get("solution"))


def _is_grade(cell: Cell) -> bool:
    nbgrader = cell.metadata.get("nbgrader")
    return isinstance(nbgrader, dict) and bool(nbgrader.get("grade"))


def _is_not_implemented(node: ast.AST) -> bool:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _at(place: str, cell: Cell) -> Place:
    name = cell.grade_id or cell.exercise
    return Place(file=place, key=f"cell {cell.index + 1}" + (f" ({name})" if name else ""))
