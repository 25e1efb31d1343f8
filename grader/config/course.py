"""What ``course.yaml`` says, as frozen models: the one definition of every key.

The docstring under a field is its description in the JSON Schema (``course.schema.json``) and on the reference page
(``docs/course-yaml.md``). Key names are those of the file; attributes carry their unit (``limits.memory`` is read as
``limits.memory_bytes``). Models come from ``grader.config.load_course``, which adds places to errors.
"""

from __future__ import annotations

import difflib
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from grader.config import units
from grader.errors import UsageError
from grader.model import ExerciseSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Assignment",
    "CISettings",
    "Course",
    "Defaults",
    "Exercise",
    "LatePolicy",
    "LimitSettings",
    "Paths",
    "SandboxNumbers",
    "closest",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_EXERCISE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODULE = re.compile(r"[A-Za-z_]\w{0,63}(\.[A-Za-z_]\w{0,63}){0,9}", re.ASCII)

Capability = Literal[
    "cpu",
    "disk",
    "filesystem",
    "gpu",
    "inodes",
    "memory",
    "namespaces",
    "network",
    "privileges",
    "processes",
    "seccomp",
]


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be, or None."""
    found = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _fail(expected: str) -> ValueError:
    return ValueError(expected)


def _text(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise _fail("expected a text; it is empty")
    if isinstance(value, str) and any(ord(char) < 32 for char in value):
        raise _fail("expected one line of text")
    return value


def _folder_name(value: object) -> object:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _fail("expected a folder name of small letters, digits, - and _ (such as softmax-regression)")
    return value


def _exercise_id(value: object) -> object:
    if not isinstance(value, str) or not _EXERCISE.fullmatch(value):
        raise _fail("expected an id of small letters, digits and _ (such as cross_entropy)")
    return value


def _module_name(value: object) -> object:
    if not isinstance(value, str) or not _MODULE.fullmatch(value):
        raise _fail("expected the dotted name of a Python module (such as matplotlib.pyplot)")
    return value


def _points(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6 or math.isnan(value):
        raise _fail("expected a number of points, 0 or more")
    return float(value)


def _moment(value: object, info: ValidationInfo) -> object:
    if value is None:
        return None
    zone = (info.context or {}).get("timezone", UTC)
    return units.parse_due(value, zone)


def _late(value: object) -> object:
    return None if value == "none" else value


def _late_schema(schema: dict[str, Any]) -> None:
    schema["default"] = "none"
    schema["anyOf"] = [*(option for option in schema["anyOf"] if option != {"type": "null"}), {"const": "none"}]


_MOMENT = {"type": "string", "examples": ["2026-03-01 23:59"]}
_Quantity = {"anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}]}
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Points = Annotated[float, BeforeValidator(_points), WithJsonSchema({"type": "number", "minimum": 0})]
Bytes = Annotated[int, BeforeValidator(units.parse_bytes), WithJsonSchema(_Quantity)]
Seconds = Annotated[float, BeforeValidator(units.parse_seconds), WithJsonSchema(_Quantity)]
FolderName = Annotated[
    str, BeforeValidator(_folder_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})
]
ExerciseId = Annotated[
    str, BeforeValidator(_exercise_id), WithJsonSchema({"type": "string", "pattern": f"^{_EXERCISE.pattern}$"})
]
ModuleName = Annotated[str, BeforeValidator(_module_name), WithJsonSchema({"type": "string"})]
Timezone = Annotated[str, BeforeValidator(units.parse_timezone), WithJsonSchema({"type": "string"})]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class SandboxNumbers(TypedDict):
    """The fields of ``grader.sandbox.base.Limits`` that a course sets, for ``Limits(**numbers)``."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    processes: int
    disk_bytes: int
    output_bytes: int
    gpu_memory_bytes: int


class LimitSettings(_Model):
    """What one submission may use. Times as `20 s`, `500 ms`, `2 min`; sizes as `512 MiB`, `2 GiB`."""

    cell_s: Seconds = Field(default=20.0, alias="cell", gt=0, json_schema_extra={"default": "20 s"})
    """Time for one cell of the notebook; a cell that takes longer is stopped and the next one runs."""
    check_s: Seconds = Field(default=20.0, alias="check", gt=0, json_schema_extra={"default": "20 s"})
    """Time for one check."""
    cells_s: Seconds = Field(default=120.0, alias="cells", gt=0, json_schema_extra={"default": "2 min"})
    """Time for all cells of the notebook together."""
    wall_s: Seconds = Field(default=600.0, alias="wall", gt=0, json_schema_extra={"default": "10 min"})
    """Time for the whole submission, cells and checks, without its waits for a core: the backstop behind the others."""
    cpu_s: Seconds = Field(default=300.0, alias="cpu", gt=0, json_schema_extra={"default": "5 min"})
    """Processor time of all processes of the submission together."""
    memory_bytes: Bytes = Field(default=2 << 30, alias="memory", json_schema_extra={"default": "2 GiB"})
    """Memory, over what the warm process (Python, torch) already holds."""
    processes: int = Field(default=64, ge=1, le=100_000)
    """Processes and threads at the same time."""
    disk_bytes: Bytes = Field(default=256 << 20, alias="disk", json_schema_extra={"default": "256 MiB"})
    """Everything it may write to its private file systems."""
    output_bytes: Bytes = Field(default=1 << 20, alias="output", json_schema_extra={"default": "1 MiB"})
    """Text that is kept of one cell's output."""
    gpu_memory_bytes: Bytes = Field(default=4 << 30, alias="gpu_memory", json_schema_extra={"default": "4 GiB"})
    """Memory on the GPU for tensors, where submissions get one; what CUDA itself takes there comes on top."""

    @model_validator(mode="after")
    def _ordered(self) -> LimitSettings:
        for short, long, what in (
            (self.cell_s, self.cells_s, "cell is longer than cells, the time for all of them"),
            (self.cells_s, self.wall_s, "cells is longer than wall, the time for the whole submission"),
            (self.check_s, self.wall_s, "check is longer than wall, the time for the whole submission"),
        ):
            if short > long:
                raise PydanticCustomError(
                    "limits_order",
                    "{what} ({short} > {long})",
                    {"what": what, "short": units.duration_text(short), "long": units.duration_text(long)},
                )
        return self

    def for_sandbox(self) -> SandboxNumbers:
        """Plain numbers under the names of ``grader.sandbox.base.Limits``."""
        return SandboxNumbers(
            wall_s=self.wall_s,
            cpu_s=self.cpu_s,
            memory_bytes=self.memory_bytes,
            processes=self.processes,
            disk_bytes=self.disk_bytes,
            output_bytes=self.output_bytes,
            gpu_memory_bytes=self.gpu_memory_bytes,
        )


class LatePolicy(_Model):
    """What a late submission costs. `late: none` costs nothing."""

    grace_s: Seconds = Field(default=0.0, alias="grace", json_schema_extra={"default": "0 s"})
    """Time after the due date in which a submission still counts as on time."""
    percent_per_day: float = Field(default=10.0, ge=0, le=100)
    """Taken off for every day begun after the due date and the grace, in percent of the points earned."""
    max_days: int | None = Field(default=None, ge=0, le=3650)
    """Days after which a submission earns nothing. Left out: it is never too late."""


class Exercise(_Model):
    """One exercise of an assignment."""

    id: ExerciseId
    """The key that check files and the notebook's cell metadata use, such as `cross_entropy`."""
    title: Text
    """What people read: `Softmax and log-softmax`."""
    points: Points
    """All points of the exercise, those that a person gives included."""
    manual_points: Points = Field(default=0.0)
    """The part of `points` that a person gives (free-text questions)."""
    bonus: bool = False
    """Whether its points come on top of the assignment's, so that a score can be higher than that."""

    @model_validator(mode="after")
    def _manual_is_part(self) -> Exercise:
        if self.manual_points > self.points:
            raise PydanticCustomError(
                "manual_points",
                "manual_points ({manual}) are more than points ({points})",
                {"manual": f"{self.manual_points:g}", "points": f"{self.points:g}"},
            )
        return self

    @property
    def spec(self) -> ExerciseSpec:
        """The exercise in the words of the domain."""
        return ExerciseSpec(
            id=self.id, title=self.title, points=self.points, manual_points=self.manual_points, bonus=self.bonus
        )


class Defaults(_Model):
    """What every assignment uses unless it says otherwise."""

    limits: LimitSettings = Field(default=LimitSettings(), json_schema_extra={"default": {}})
    """What one submission may use."""
    sandbox: Literal["auto", "bubblewrap", "docker", "none"] = "auto"
    """Where student code runs. `auto` takes the best that this machine has; `none` protects nothing."""
    require: tuple[Capability, ...] = ()
    """Protections without which marking does not start, such as `[memory, network]`; `grader doctor` lists them."""
    preload: tuple[ModuleName, ...] = ()
    """Modules that are imported once, before any submission is seen, such as `[matplotlib.pyplot]`."""
    gpu: Literal["never", "preferred", "required"] = "never"
    """Whether submissions get a GPU: `never`, `preferred` (if there is one) or `required` (else nothing is marked)."""
    late: Annotated[LatePolicy | None, BeforeValidator(_late)] = Field(default=None, json_schema_extra=_late_schema)
    """What a late submission costs; `none` when it costs nothing."""
    feedback: Literal["rationale", "line", "minimal"] = "rationale"
    """What students read about a check that failed: `rationale` (its line, the hint and what kind of thing went
    wrong), `line` (its line only) or `minimal` (points only)."""
    leaderboard: bool = False
    """Whether `grader report` also ranks the fastest right answers, under names that students choose."""


class Assignment(Defaults):
    """One assignment. Every key of `defaults` can stand here too and then counts for this assignment."""

    name: FolderName
    """Its folder in `assignments/` and in `solutions/`."""
    title: Text
    """What people read: `Softmax regression`."""
    due: Annotated[datetime | None, BeforeValidator(_moment), WithJsonSchema(_MOMENT)] = None
    """When it is due, such as `2026-03-01 23:59`; in the course's time zone unless an offset is written."""
    extensions: dict[str, Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_MOMENT)]] = Field(
        default={}, json_schema_extra={"default": {}}
    )
    """When it is due for single students, by their ids, such as `{ada: 2026-03-08 23:59}`."""
    points: Points
    """What it is worth: the sum of the points of its exercises, those with `bonus` left out."""
    exercises: tuple[Exercise, ...] = Field(min_length=1)
    """Its exercises, in the order of the notebook."""

    _root: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _adds_up(self) -> Assignment:
        total = math.fsum(exercise.points for exercise in self.exercises if not exercise.bonus)
        if not math.isclose(total, self.points, rel_tol=0, abs_tol=1e-6):
            raise PydanticCustomError(
                "points_sum",
                "its exercises add up to {total} points, not {points}",
                {"total": f"{total:g}", "points": f"{self.points:g}"},
            )
        return self

    @property
    def folder(self) -> Path:
        """What students get: ``assignments/<name>``."""
        return self._root / "assignments" / self.name

    @property
    def solution_folder(self) -> Path:
        """Never released: ``solutions/<name>``."""
        return self._root / "solutions" / self.name

    @property
    def notebook_path(self) -> Path:
        """The released notebook (generated)."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def solution_path(self) -> Path:
        """The one source of the notebook: a percent-format script with solution regions."""
        return self.solution_folder / f"{self.name}.py"

    @property
    def specs(self) -> tuple[ExerciseSpec, ...]:
        """The exercises in the words of the domain."""
        return tuple(exercise.spec for exercise in self.exercises)

    def limits_for_sandbox(self) -> SandboxNumbers:
        """Plain numbers for ``grader.sandbox.base.Limits(**numbers)``."""
        return self.limits.for_sandbox()


class Paths(_Model):
    """Where things lie, relative to the folder of `course.yaml` unless absolute."""

    submitted: Text = "submitted"
    """Submissions, as nbgrader lays them out: `<student>/<assignment>/<notebook>.ipynb`."""
    gradebook: Text = "sqlite:///gradebook.db"
    """URL of the gradebook, nbgrader's own database (SQLite or PostgreSQL)."""
    journal: Text = "journal"
    """The append-only records of every marking."""
    feedback: Text = "feedback"
    """The students' feedback pages."""
    reports: Text = "reports"
    """Class reports and audits."""


class CISettings(_Model):
    """How pull requests are marked: `grader ci`."""

    layout: Literal["repository", "folder"] = "repository"
    """Where a change has its notebooks: `repository` (`<assignment>/<assignment>.ipynb`, the student is the author of
    the pull request) or `folder` (`<student>/<assignment>/<assignment>.ipynb`; the author may change one folder)."""
    students: dict[str, str] = Field(default={}, json_schema_extra={"default": {}})
    """Student ids by account, such as `{octocat: ada}`; of everybody else the account is the id."""
    comment: bool = True
    """Whether a comment with the marks is written to the pull request, and later updated. Everybody who can see the
    pull request can read it."""
    annotations: bool = True
    """Whether checks that did not pass are shown at the notebook's lines (GitHub)."""


class Course(_Model):
    """A course: the whole of `course.yaml`."""

    id: FolderName
    """Short name of the course, such as `deep-learning`."""
    title: Text
    """What people read: `Deep Learning`."""
    timezone: Timezone = "UTC"
    """Time zone of all dates that carry no offset, such as `Europe/Berlin`."""
    defaults: Defaults = Field(default=Defaults(), json_schema_extra={"default": {}})
    """What every assignment uses unless it says otherwise."""
    assignments: tuple[Assignment, ...] = Field(min_length=1)
    """The assignments, in the order of the course."""
    paths: Paths = Field(default=Paths(), json_schema_extra={"default": {}})
    """Where submissions, marks and reports lie."""
    ci: CISettings = Field(default=CISettings(), json_schema_extra={"default": {}})
    """How pull requests are marked."""

    _root: Path = PrivateAttr(default=Path())
    _file: Path = PrivateAttr(default=Path("course.yaml"))

    @property
    def root(self) -> Path:
        """The course's folder (absolute): where ``course.yaml`` lies."""
        return self._root

    @property
    def file(self) -> Path:
        """The ``course.yaml`` that it was read from."""
        return self._file

    def assignment(self, name: str) -> Assignment:
        """The assignment called ``name``. Raises UsageError with the names there are."""
        for assignment in self.assignments:
            if assignment.name == name:
                return assignment
        known = [assignment.name for assignment in self.assignments]
        meant = closest(name, known)
        guess = f"; did you mean {meant}?" if meant else ""
        raise UsageError(
            f"there is no assignment {name[:80]!r} in {self._file.name}{guess}",
            remedy=f"assignments: {', '.join(known)}",
        )

    @property
    def submitted(self) -> Path:
        """Folder of the submissions."""
        return self._root / self.paths.submitted

    @property
    def journal(self) -> Path:
        """Folder of the records."""
        return self._root / self.paths.journal

    @property
    def feedback(self) -> Path:
        """Folder of the feedback pages."""
        return self._root / self.paths.feedback

    @property
    def reports(self) -> Path:
        """Folder of the class reports."""
        return self._root / self.paths.reports

    @property
    def gradebook_url(self) -> str:
        """URL of the gradebook; a relative SQLite file is taken from the course's folder."""
        url = self.paths.gradebook
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////") and url != "sqlite:///:memory:":
            return f"sqlite:///{self._root / url.removeprefix('sqlite:///')}"
        return url
