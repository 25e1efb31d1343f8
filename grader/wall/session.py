"""One submission's guest: load the notebook, give each check a copy of it, survive what the notebook does.

A cell that hangs is interrupted and, if it ignores that, killed; a cell that ends its process, or fills the memory,
takes the guest with it. Either way a fresh guest runs the other cells again and that cell alone is lost.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from grader.errors import SandboxUnavailable
from grader.model import CellResult, Output

from .faults import Crashed, OutOfGpuMemory, OutOfMemory, OutOfTime, SandboxLost, StudentFault, Violation
from .host import Wall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.sandbox.base import Guest, Limits, Sandbox

__all__ = ["Budget", "CodeCell", "Policy", "Session"]

MAX_RESTARTS = 6
MOST = 10_000_000
"""Seconds, and lines of a cell: beyond it a guest's figure is none."""
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
LEFT_OUT = "The cell was left out, and the rest of the notebook was run without it."
STATUS = {OutOfTime: "timeout", OutOfMemory: "memory", OutOfGpuMemory: "memory", Crashed: "crash", Violation: "crash"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long the parts of one marking may take, in seconds. Computing time counts; wall time is a backstop."""

    cell_s: float = 20.0
    """Computing time of one cell."""
    cells_s: float = 120.0
    """Computing time of all cells together."""
    check_s: float = 10.0
    """Computing time of one check."""
    submission_s: float = 600.0
    """Time in which the submission has the word, cells and checks; waits for a core or for a guest are ours."""
    output_bytes: int = 1 << 20
    """Text kept of one cell."""

    @staticmethod
    def wall(cpu_s: float) -> float:
        """The backstop in wall time for a limit in computing time: a busy machine is no fault of the student's."""
        return 4 * cpu_s + 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCell:
    """A cell to run."""

    index: int
    """Position in the submitted notebook."""
    source: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Names and operators that are forbidden during a check, and what to use instead."""

    names: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    instead: str = ""

    @property
    def plain(self) -> list[Any]:
        """As it goes over the wall."""
        return [list(self.names), list(self.ops), self.instead]

    @property
    def idle(self) -> Policy:
        """One that forbids nothing and takes as long to keep: for the reference, so that both sides of a race pay."""
        return Policy(names=("torch.-",), ops=("-",) if self.ops else ())


def prepare(wall: Wall, seed: int, policy: Policy | None) -> None:
    """Make a notebook that is no copy ready for one check: nothing left of others, seeded, this policy in force."""
    wall.request("prepare", [seed, policy and policy.plain])


@dataclass(slots=True)
class Session:
    """The guest of one submission and the state of its notebook."""

    sandbox: Sandbox
    limits: Limits
    budget: Budget
    given: str | None = None
    """Source of the assignment's ``given.py``."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    seed: int = 0
    restarts: int = 0
    remarks: list[str] = field(default_factory=list)
    """What instructors should know (sentences)."""
    peak_bytes: int = 0
    cpu_s: float = 0.0
    _cells: list[CodeCell] = field(default_factory=list)
    _lost: set[int] = field(default_factory=set)
    _guest: Guest | None = None
    _base: Wall | None = None
    _forks: bool = True
    _check: Wall | None = None
    _used_s: float = 0.0
    """Of the submission's time, by walls that are closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the notebook ------------------------------------------------------------------------------------------------

    def load(self, cells: Sequence[CodeCell]) -> dict[int, CellResult]:
        """Run the cells in order; what each did, by index. Raises SandboxLost if the sandbox fails."""
        results: dict[int, CellResult] = {}
        while True:
            spent = self.computed_s()
            todo = [cell for cell in cells if cell.index not in results]
            if not todo:
                break
            if self.restarts > MAX_RESTARTS or spent > self.budget.cells_s or self._out_of_time():
                why = "took the notebook down too often" if self.restarts > MAX_RESTARTS else "used up all its time"
                note = f"Not run: the cells above {why}."
                results |= {cell.index: _unrun(cell, note) for cell in todo}
                break
            if self._base is None and not self._start():
                continue
            result, alive = self._run(todo[0], self.budget.cells_s - spent)
            results[todo[0].index] = result
            if alive:
                self._cells.append(todo[0])
            else:
                self._lost.add(todo[0].index)
                self._restart()
        return results

    def _run(self, cell: CodeCell, left_s: float) -> tuple[CellResult, bool]:
        """Run one cell: what it did, and whether the guest is still good."""
        base = self._base
        assert base is not None
        limit_s = max(1.0, min(self.budget.cell_s, left_s))
        base.extend(Budget.wall(limit_s), limit_s, gentle=True)
        started = time.monotonic()
        try:
            raw, _ = base.request("cell", [cell.index, cell.source], options={"output_bytes": self.budget.output_bytes})
            result = _cell_result(cell, raw, self.budget.output_bytes)
        except SandboxLost:
            raise
        except StudentFault as fault:
            note = f"{fault.rationale} {LEFT_OUT}"
            status = STATUS.get(type(fault), "crash")
            seconds = time.monotonic() - started
            lost = CellResult(
                index=cell.index, cell_type="code", source=cell.source, status=status, seconds=seconds, note=note
            )
            return lost, False
        failed = raw.get("gpu_failed") if isinstance(raw, dict) else None
        if isinstance(failed, str):
            note = f"After this cell the GPU could be used no more ({ANSI.sub('', failed)[:300]}). {LEFT_OUT}"
            return replace(result, status="crash", note=note), False
        if base.interrupted:
            note = f"{base.overrun} The cell was stopped; the cells below were run."
            result = CellResult(
                index=cell.index,
                cell_type="code",
                source=cell.source,
                status="timeout",
                outputs=result.outputs,
                seconds=result.seconds,
                note=note,
            )
        return result, True

    # -- guests --------------------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """A fresh guest with the cells that are known to be good; False if one of them took it down this time."""
        try:
            self._guest = self.sandbox.spawn(self.limits)
        except SandboxUnavailable as error:
            raise SandboxLost(str(error)) from error
        self._base = base = Wall(self._guest.wall, guest=self._guest, seconds=30.0, gpu=self._on_gpu)
        cell: CodeCell | None = None
        try:
            base.request("seed", [self.seed])
            if self.files:
                base.request("files", [dict(self.files)])
            if self.given is not None:
                base.request("given", [self.given])
            for cell in self._cells:
                base.extend(Budget.wall(self.budget.cell_s), self.budget.cell_s, gentle=True)
                base.request("cell", [cell.index, cell.source], options={"output_bytes": 0})
        except StudentFault as fault:
            if cell is None:
                raise SandboxLost(
                    f"the guest failed before the first cell: {fault.rationale} {fault.evidence}"
                ) from None
            self._cells.remove(cell)
            self._lost.add(cell.index)
            self._restart()
            return False
        return True

    @property
    def _on_gpu(self) -> bool:
        return self.limits.gpu_memory_bytes is not None

    def _restart(self) -> None:
        self.restarts += 1
        self._release()

    def computed_s(self) -> float:
        """Computing time of all guests so far."""
        return self.cpu_s + (0.0 if self._guest is None else self._guest.usage().cpu_s)

    def _out_of_time(self) -> bool:
        """Whether the time of the whole submission is used up."""
        walls = [wall for wall in {self._base, self._check} if wall is not None]
        if self._used_s + sum(wall.asked_s() for wall in walls) > self.budget.submission_s:
            self._used_s += sum(wall.used_s() for wall in walls)
        return self._used_s > self.budget.submission_s

    def _close_check(self) -> None:
        if self._check is not None and self._check is not self._base:
            self._used_s += self._check.used_s()
            self._check.close()
        self._check = None

    def _release(self) -> None:
        self._close_check()
        if self._base is not None:
            self._used_s += self._base.used_s()
        if self._guest is not None:
            usage = self._guest.usage()
            self.peak_bytes = max(self.peak_bytes, usage.peak_memory_bytes)
            self.cpu_s += usage.cpu_s
            self._guest.close()
        if self._base is not None:
            self._base.close()
        self._guest = self._base = None

    # -- checks --------------------------------------------------------------------------------------------------------

    def for_check(self, seed: int, policy: Policy | None = None, *, last: bool = False) -> Wall:
        """A wall to a copy of the loaded notebook, for one check. The copy before it is killed.

        Args:
            seed: of every global generator.
            policy: what is forbidden meanwhile.
            last: nobody needs the notebook after this check, so there is no copy: it serves the check itself.

        Raises:
            OutOfTime: the time of the whole submission is used up.
            SandboxLost: the sandbox fails.
        """
        if self._out_of_time():
            raise OutOfTime("All the time that a submission may take was used up before this check.")
        for _ in range(3):
            if self._check is not None and self._check is self._base:
                self._release()
            self._close_check()
            gone = self._guest.poll() if self._guest is not None else None
            if gone is not None or (self._base is not None and self._base.fault is not None):
                self._release()
            if self._base is None:
                while not self._start():
                    if self.restarts > 2 * MAX_RESTARTS:
                        raise SandboxLost("the notebook cannot be loaded again")
            wall = self._whole(seed, policy) if last or not self._forks else self._fork(seed, policy)
            if wall is not None:
                self._check = wall
                wall.extend(Budget.wall(self.budget.check_s), self.budget.check_s)
                return wall
        raise SandboxLost("the notebook cannot be copied for a check")

    def _fork(self, seed: int, policy: Policy | None) -> Wall | None:
        base = self._base
        assert base is not None
        ours, theirs = socket.socketpair()
        try:
            base.extend(20.0)
            options = {"seed": seed, "policy": policy and policy.plain}
            answer, _ = base.request("fork", options=options, fd=theirs.fileno())
        except StudentFault as fault:
            ours.close()
            self.remarks.append(f"the loaded notebook had to be started again before a check ({fault.kind})")
            self._release()
            return None
        finally:
            theirs.close()
        if isinstance(answer, dict) and answer.get("forked") is True:
            return Wall(ours, guest=self._guest, gpu=self._on_gpu)
        ours.close()
        self._forks = False
        why = "used the GPU" if isinstance(answer, dict) and answer.get("gpu") is True else "started threads"
        self.remarks.append(f"the notebook {why}, so it was loaded anew for each check")
        return None

    def _whole(self, seed: int, policy: Policy | None) -> Wall | None:
        """Without a fork: the loaded notebook itself serves one check."""
        base = self._base
        assert base is not None
        try:
            base.extend(20.0)
            prepare(base, seed, policy)
        except StudentFault:
            self._release()
            return None
        return base

    def park(self, most_bytes: int) -> Guest | None:
        """The guest, which can be held still until the next check; None where there is none to go on with.

        One that holds more than ``most_bytes``, or has a GPU, is ended: the next check loads the notebook anew.
        """
        if self._guest is not None and (self._on_gpu or self._guest.usage().memory_bytes > most_bytes):
            self._release()
        return self._guest

    def close(self) -> None:
        """End the guest. Idempotent."""
        self._release()


def _unrun(cell: CodeCell, note: str) -> CellResult:
    return CellResult(index=cell.index, cell_type="code", source=cell.source, status="not-run", note=note)


def _cell_result(cell: CodeCell, raw: Any, most: int) -> CellResult:
    """Read what a guest says of a cell, taking nothing for granted."""
    if not isinstance(raw, dict):
        raw = {}
    outputs: list[Output] = []
    left = most + 4096
    items = raw.get("outputs")
    for item in (items if isinstance(items, list) else [])[:202]:
        if not isinstance(item, dict):
            continue
        text = item.get("text")
        text = ANSI.sub("", text[:left]) if isinstance(text, str) else ""
        left -= len(text)
        png = item.get("png")
        png = png if isinstance(png, str) and len(png) <= 8 << 20 else None
        kind = "display" if item.get("kind") == "display" else "stream"
        name = "stderr" if item.get("name") == "stderr" else "stdout"
        outputs.append(Output(kind=kind, name="" if kind == "display" else name, text=text, png_base64=png))
    error = raw.get("error")
    status = "ok" if raw.get("status") == "ok" else "raised"
    if isinstance(error, dict):
        name = ANSI.sub("", _text(error.get("type"), "Error"))[:100]
        message = ANSI.sub("", _text(error.get("message"), ""))[:2000]
        at = error.get("at")
        line = at[1] if isinstance(at, list) and len(at) == 3 else None
        where = f" (line {line})" if type(line) is int and 0 < line < MOST else ""
        outputs.append(Output(kind="error", name=name, text=message + where))
    seconds = raw.get("seconds")
    took = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < MOST else 0.0
    return CellResult(
        index=cell.index, cell_type="code", source=cell.source, status=status, outputs=tuple(outputs), seconds=took
    )


def _text(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise
