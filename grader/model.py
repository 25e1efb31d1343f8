"""The words of the domain as frozen data: verdicts, checks, results, records.

Nothing here executes, reads files or imports anything of ``grader``; every other module may import this one.
``Record`` is what one marking of one submission leaves behind; it goes to JSON and back with
``grader.gradebook.journal``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "CellResult",
    "Change",
    "CheckResult",
    "CheckSpec",
    "ExerciseScore",
    "ExerciseSpec",
    "Flag",
    "Hardware",
    "Measurement",
    "Output",
    "Record",
    "RecordStatus",
    "Revision",
    "ScoreStep",
    "SubmissionRef",
    "Timing",
    "Verdict",
    "Visibility",
]


class Verdict(StrEnum):
    """The outcome of one check, and with it whose fault it is."""

    PASS = "PASS"  # noqa: S105 - a verdict
    """The check holds."""
    FAIL = "FAIL"
    """The student's work gave a wrong result."""
    RAISED = "RAISED"
    """The student's work raised an exception, is not written yet, or ended its own process."""
    TIMEOUT = "TIMEOUT"
    """The student's work used up its time."""
    MEMORY = "MEMORY"
    """The student's work used up its memory."""
    VIOLATION = "VIOLATION"
    """The student's process broke the protocol of the wall or was caught by the sandbox."""
    MISSING = "MISSING"
    """The name that the check needs is not defined in the notebook."""
    SKIPPED = "SKIPPED"
    """A check that this one depends on did not pass."""
    BROKEN = "BROKEN"
    """Ours: the check or the machine failed. Never scored; the record is held."""

    @property
    def is_ours(self) -> bool:
        """Whether the fault lies with the grader or the course, not with the student."""
        return self is Verdict.BROKEN


class Visibility(StrEnum):
    """What a student is shown about a check."""

    PUBLIC = "public"
    """The check is in the student's folder: its messages may be shown in full."""
    HIDDEN = "hidden"
    """Shown: line, hint, rationale. Never inputs, expected values or exception messages."""


class RecordStatus(StrEnum):
    """Whether the score on a record counts."""

    FINAL = "final"
    HELD = "held"
    """Something of ours broke: an instructor must look; there is no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One check as collected from a check file, before any submission is seen."""

    id: str
    """The test function's name without ``test_`` (``softmax_values``); unique in the assignment."""
    exercise: str
    """Id of the exercise that the points belong to."""
    points: float
    """More than or equal to zero; a zero-point check is information only."""
    line: str
    """First paragraph of the docstring: the sentence that the student reads."""
    hint: str | None = None
    """What to think about when it fails; shown under the line."""
    visibility: Visibility = Visibility.HIDDEN
    gate: bool = False
    """The other points of the exercise depend on this check."""
    depends: tuple[str, ...] = ()
    """Ids of the checks that must pass first (the gates of its exercise included)."""
    source_hash: str = ""
    """Hex SHA-256 of its function and of whatever in its file is no check: its version."""
    timed: bool = False
    """Whether it is run in the exclusive lane, beside the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseSpec:
    """One exercise of an assignment."""

    id: str
    """``softmax``, ``cross_entropy``: the key used in check files and course.yaml."""
    title: str
    """What people read: ``Softmax and log-softmax``."""
    points: float
    """The sum of the points of its checks and manual parts."""
    manual_points: float = 0.0
    """The part of ``points`` that a person gives (free-text questions)."""
    bonus: bool = False
    """Whether its points come on top of what the assignment is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one race, growth curve or look at memory gave. Safe to show: it holds nothing of inputs or answers."""

    kind: str
    """``time`` (ratio to the reference), ``growth`` (exponent), ``memory`` (ratio, exponent or bytes), ``operators``,
    ``flops``."""
    of: str
    """What was called: ``cross_entropy``."""
    unit: str
    """``× the reference``, ``exponent``, ``bytes``, ``operators``, ``FLOPs``."""
    value: float
    """The median over all pairs."""
    low: float | None = None
    """Lower end of the interval for the median; None where nothing is known."""
    high: float | None = None
    limits: tuple[tuple[float, float], ...] = ()
    """(limit, share of the points that staying within it earns), ascending."""
    share: float = 1.0
    """The share of the points that was earned."""
    clear: bool = True
    """False: the points rest on the benefit of the doubt."""
    pairs: int = 0
    own_s: float | None = None
    """Seconds of a call, the wall's own cost taken off; the median."""
    reference_s: float | None = None
    wall_s: float | None = None
    """The wall's own cost for these bytes."""
    spread: float | None = None
    """How wild the machine was: the quartiles of the reference's times lie a factor e to this apart."""
    curve: tuple[tuple[float, float], ...] = ()
    """(size, median cost), for growth."""
    hints: tuple[tuple[str, int], ...] = ()
    """The operators that were called most often, as the student's own process counts them."""
    machine: dict[str, float] = field(default_factory=dict)
    """``load_1m``, ``mhz``, ``throttled``, ``celsius``: what could be read of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check said about one submission."""

    check: CheckSpec
    verdict: Verdict
    earned: float
    """Points earned, between 0 and ``check.points``; 0 unless the verdict is PASS."""
    rationale: str | None = None
    """A sentence for the student on what kind of thing went wrong. Safe to show."""
    kind: str | None = None
    """shape, dtype, value, gradient, mutation, alias, randomness, side-effect, error, not-implemented,
    forbidden, cost, missing, crash, time, memory, dependency, left out, …"""
    misconception: str | None = None
    """The known wrong idea that the result equals, in words for the student."""
    student_cell: int | None = None
    """Zero-based index (in the submitted notebook) of the student's cell that raised."""
    student_line: int | None = None
    """One-based line in that cell."""
    student_source: str | None = None
    """The text of that line (the student's own words)."""
    evidence: str | None = None
    """For instructors only: the assertion's text, traceback, values. Never shown to students."""
    seconds: float = 0.0
    """Wall time on the host's clock."""
    attempts: int = 1
    """How often it was run; more than one when something of ours broke first."""
    headroom: float | None = None
    """The largest error of its comparisons in units of their tolerance; measured by ``grader audit`` only."""
    seed: int | None = None
    """The run seed of its inputs when it was marked again by itself; None: the record's."""
    measurements: tuple[Measurement, ...] = ()
    """What a performance check measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of an executed cell, untrusted: rendered only through the sanitiser."""

    kind: str
    """``stream``, ``display`` or ``error``."""
    name: str = ""
    """``stdout``/``stderr`` for streams, the exception's type for errors."""
    text: str = ""
    """Plain text (streams, ``text/plain``, an error's message); terminal escapes removed."""
    png_base64: str | None = None
    """A picture, if the output had one; decoded and checked to be a PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What one cell of the submitted notebook did when it was run."""

    index: int
    """Zero-based position in the submitted notebook."""
    cell_type: str
    """``code``, ``markdown`` or ``raw``."""
    source: str
    status: str = "ok"
    """ok, raised, timeout, memory, crash, skipped (by the grader: check and plot cells), not-run, text."""
    outputs: tuple[Output, ...] = ()
    seconds: float = 0.0
    exercise: str | None = None
    """The exercise that this cell answers, when known (from metadata or by content)."""
    note: str | None = None
    """A sentence for the student: ``This cell ran longer than 20 s and was stopped.``"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something an instructor should know about a submission; a flag alone never takes a point."""

    id: str
    """``repaired``, ``late``, ``forbidden-name``, ``restarted``, ``violation``, ``redefined``, …"""
    text: str
    """A sentence. Safe to show to the student unless ``instructor_only``."""
    instructor_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreStep:
    """One line of the sum that leads from verdicts to the score."""

    text: str
    points: float
    """What this step adds (negative: takes away)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseScore:
    """Points by exercise."""

    exercise: ExerciseSpec
    earned: float
    """Points earned by checks; without the manual part."""
    pending: float = 0.0
    """Points that a person has yet to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRef:
    """Which bytes were marked, and whose they are."""

    student: str
    """Student id: the folder name."""
    name: str
    """Display name; the id when nothing better is known. Untrusted text."""
    assignment: str
    path: str
    """Where it lay, relative to the course folder."""
    sha256: str
    """Hex SHA-256 of the submitted bytes."""
    received_at: str | None = None
    """ISO 8601 with offset: when it was handed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time went, in seconds on the host's clock."""

    queued_s: float = 0.0
    start_s: float = 0.0
    cells_s: float = 0.0
    checks_s: float = 0.0
    total_s: float = 0.0
    guest_cpu_s: float = 0.0
    guest_peak_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The machine and the versions that a mark was made with."""

    machine: str = ""
    """CPU model and number of cores."""
    gpu: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    """``{"grader": …, "python": …, "torch": …, "numpy": …}``"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A check on which a later marking of the same submission said something else."""

    check: str
    """The check's id."""
    before: Verdict | None
    """None: there was no such check."""
    after: Verdict | None
    """None: there is no such check any more."""
    earned_before: float = 0.0
    earned_after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A later marking of the same submission that changed its mark."""

    at: str
    """ISO 8601 UTC."""
    reason: str
    score_before: float | None
    score_after: float | None
    changes: tuple[Change, ...]
    """Empty when only the sum changed (a new due date)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The immutable result of marking one submission once."""

    submission: SubmissionRef
    status: RecordStatus
    score: float | None
    """Points after lateness; None when held. Never NaN."""
    max_score: float
    checks: tuple[CheckResult, ...]
    exercises: tuple[ExerciseScore, ...]
    steps: tuple[ScoreStep, ...]
    cells: tuple[CellResult, ...] = ()
    flags: tuple[Flag, ...] = ()
    message: str | None = None
    """One sentence for the student on the submission as a whole, when there is something to say."""
    seed: int = 0
    """The run seed; ``grader grade --seed`` with it replays the mark exactly."""
    assignment_sha256: str = ""
    """Hex SHA-256 over everything the mark depends on: checks, given code, settings."""
    sandbox: str = ""
    """``bubblewrap``, ``docker`` or ``none``."""
    limits: dict[str, float] = field(default_factory=dict)
    timing: Timing = Timing()
    hardware: Hardware = Hardware()
    marked_at: str = ""
    """ISO 8601 UTC."""
    reason: str = "first marking"
    """Why it was marked (``first marking``, ``submission changed``, ``checks changed``, ``asked``), or what
    ``grader regrade --reason`` said."""
    setting_sha256: str = ""
    """Hex SHA-256 over what every check depends on: given code, data, reference, limits, sandbox."""
    rubric_sha256: str = ""
    """Hex SHA-256 over what only the sum depends on: exercises, due date, penalty."""
    revisions: tuple[Revision, ...] = ()
    """How the mark of these submitted bytes has changed, oldest first."""

    @property
    def is_held(self) -> bool:
        """Whether an instructor must look before there is a score."""
        return self.status is RecordStatus.HELD
