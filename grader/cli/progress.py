"""Progress that people believe: how many, how fast, how much longer, who is being marked for how long, who is held.

A submission with timed checks goes two ways: through its untimed checks, beside others, and then alone through the
lane. How fast each of the two goes is measured by itself, for the time left is that of both.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from grader.cli.options import echo_json, plain
from grader.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType

    from grader.jobs import Event
    from grader.model import Record

__all__ = ["watching"]

PLAIN_EVERY_S = 2.0
SILENT_S = 15.0
"""Without a terminal there is a line at least this often."""
RECENT = 50
"""Submissions that the rate is taken from: the last ones, for the first may have been the long ones."""
LONG_S = 3.0
"""Whoever is being marked for longer is named with the time."""


@contextlib.contextmanager
def watching(console: Console, title: str, *, quiet: bool, events: bool = False) -> Iterator[Callable[[Event], None]]:
    """A listener for ``grader.jobs.mark``.

    Live on a terminal, a line every few seconds elsewhere, nothing when ``quiet``; ``events``: JSON lines on stdout.
    """
    if events:
        yield _Events(title).see
    elif quiet:
        yield lambda _: None
    elif console.is_terminal:
        view = _Live(title)
        with Live(view, console=console, refresh_per_second=8, transient=True):
            yield view.see
    else:
        with _Lines(console, title) as lines:
            yield lines.see


class _Way:
    """One of the two ways, with a clock that runs only while somebody is on it."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self.passed = 0
        self.ends = deque([0.0], maxlen=RECENT + 1)
        """On its clock: when the last ones came through."""

    def came_through(self) -> None:
        """One has."""
        self.passed += 1
        self.ends.append(self.spent_s)

    def each_s(self) -> float | None:
        """Seconds for each lately; None until one is through. The next one counts once it takes longer than those."""
        if not self.passed:
            return None
        known = len(self.ends) - 1
        return max(1e-3, (self.ends[-1] - self.ends[0]) / known, (self.spent_s - self.ends[0]) / (known + 1))

    def left_s(self, number: float) -> float:
        """Seconds that so many will take; what the next one has used counts, up to half of it."""
        each = self.each_s() or 0.0
        return max(0.0, number * each - min(self.spent_s - self.ends[-1], each / 2)) if number else 0.0


class _Pace:
    """How many are done, how fast, and how long the rest will take."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.total = self.done = self.unchanged = 0
        self.ready: float | None = None
        self.began = time.monotonic()
        self.working: dict[str, float] = {}
        """Who is at the untimed checks, and since when."""
        self.waiting: dict[str, str] = {}
        """Who waits for the lane: ``lane`` or, for the second time, ``again``."""
        self.timing: dict[str, float] = {}
        """Who has the lane, and since when."""
        self.held: dict[str, str] = {}
        """Students whose record is held, and why."""
        self.untimed, self.timed = _Way(), _Way()
        self.to_be_timed = 0
        """How many of those that are through their untimed checks had timed ones to come."""
        self.ticked = 0.0
        self.start = ""

    def note(self, event: Event) -> None:
        """Take an event in."""
        self.total, self.done = event.total, event.done
        now = time.monotonic()
        self._tick(now)
        if event.kind == "start":
            self.unchanged = event.unchanged
            self.start = f"{event.at_a_time} at a time ({event.why})" if event.at_a_time else ""
        elif event.kind == "ready":
            self.ready = self.ticked = now
        elif event.kind == "begin" and event.student is not None:
            self._is_back(event.student)
            self.working.setdefault(event.student, now)
        elif event.kind == "waiting" and event.student is not None:
            self._came_through(event.student)
            self.to_be_timed += event.why == "lane"
            self.waiting[event.student] = event.why
        elif event.kind == "timed" and event.student is not None:
            self._is_back(event.student)
            self.timing[event.student] = now
        elif event.kind == "record" and event.record is not None:
            student = event.record.submission.student
            self._came_through(student)
            if event.record.is_held:
                self.held[student] = why_held(event.record)

    def _tick(self, now: float) -> None:
        """Let one of the clocks run: nobody is at the untimed checks while the lane is open."""
        if self.ready is not None:
            way = self.timed if self.timing or (self.waiting and not self.working) else self.untimed
            way.spent_s += now - self.ticked
            self.ticked = now

    def _came_through(self, student: str) -> None:
        """Somebody has come through what they were at: the lane, or the untimed checks."""
        if self.timing.pop(student, None) is not None:
            self.timed.came_through()
        elif student not in self.waiting:
            self.untimed.came_through()
        self.working.pop(student, None)
        self.waiting.pop(student, None)

    def _is_back(self, student: str) -> None:
        """Somebody waits no more: for the lane is theirs, or all of it is begun anew."""
        self.waiting.pop(student, None)
        self.timing.pop(student, None)

    def steps(self) -> float:
        """How many are done for the bar: who waits for the lane, or has it, half."""
        return self.done + (len(self.waiting) + len(self.timing)) / 2

    def pace(self) -> tuple[float, float] | None:
        """Submissions a second lately, and the seconds left; None until there is something to go by for both ways."""
        self._tick(time.monotonic())
        untimed, timed = self.untimed.each_s(), self.timed.each_s()
        if untimed is None or (timed is None and self.to_be_timed):
            return None
        share = self.to_be_timed / self.untimed.passed
        waiting = len(self.waiting) + len(self.timing)
        new = self.total - self.done - waiting
        left = self.untimed.left_s(new) + self.timed.left_s(waiting + share * new)
        return 1 / (untimed + share * (timed or 0.0)), left

    def rate(self) -> str:
        """Submissions a minute and the time left."""
        pace = self.pace()
        return "" if pace is None else f"{_per_min(60 * pace[0])}/min, {_duration(pace[1])} left"

    def now(self, least_s: float = 0.0) -> str:
        """How many wait to be timed; who is being marked or timed, and for how long: the longest first."""
        again = list(self.waiting.values()).count("again")
        first = len(self.waiting) - again
        parts = [f"{first} {'waits' if first == 1 else 'wait'} to be timed"] if first else []
        if again:
            parts.append(f"{again} to be timed again")
        for what, who in (("timing", self.timing), ("marking", self.working)):
            if named := _named(who, least_s):
                parts.append(f"{what} {named}")
        return "; ".join(parts)

    def held_now(self) -> str:
        """How many are held; the last of them and why."""
        if not self.held:
            return ""
        student, why = next(reversed(self.held.items()))
        return f"{len(self.held)} held ({plain(student, 20)}: {plain(why, 80)})"


def _named(since: dict[str, float], least_s: float) -> str:
    """Some students with the time that each has been at it, the longest first."""
    now = time.monotonic()
    parts = []
    for student, began in sorted(since.items(), key=lambda item: item[1])[:6]:
        took = now - began
        if took >= least_s:
            parts.append(plain(student, 20) + (f" ({_duration(took)})" if took >= LONG_S else ""))
    return ", ".join(parts)


def why_held(record: Record) -> str:
    """Why a record has no score: the machine's words, or the checks that broke."""
    told = next((flag.text for flag in record.flags if flag.id == "held"), None)
    broken = [result.check.id for result in record.checks if result.verdict is Verdict.BROKEN]
    return told or f"broken: {', '.join(broken)}" if told or broken else "its checks do not add up"


class _Live(_Pace):
    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._lock = threading.Lock()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[of]}", style="progress.download"),
            TextColumn("{task.fields[rate]}"),
            expand=True,
        )
        self.task = self.progress.add_task(plain(title), total=None, of="", rate="")

    def see(self, event: Event) -> None:
        with self._lock:
            self.note(event)

    def __rich__(self) -> RenderableType:
        with self._lock:
            return self._drawn()

    def _drawn(self) -> RenderableType:
        if self.ready is None:
            took = time.monotonic() - self.began
            return Text(f"{self.title}: making ready (sandbox, torch, checks, reference) … {took:.0f} s  {self.start}")
        self.progress.update(
            self.task, total=self.total, completed=self.steps(), of=f"{self.done}/{self.total}", rate=self.rate()
        )
        below = [f"  {now}" for now in [self.now()] if now]
        if self.held:
            below.append(f"  [yellow]{self.held_now()}[/]")
        return Group(self.progress, *(Text.from_markup(line, overflow="ellipsis") for line in below))


class _Lines(_Pace):
    """Plain lines: when there is news, and now and then when there is none."""

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(title)
        self.console = console
        self.last = 0.0
        self.told: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._heart.join()

    def see(self, event: Event) -> None:
        with self._lock:
            self.note(event)
            now = time.monotonic()
            if event.kind == "start" and event.total:
                self.last = now
                few = f" {self.start};" if self.start else ""
                self.console.print(
                    f"{self.title}: {event.total} to mark, {event.unchanged} unchanged;{few} making ready …",
                    soft_wrap=True,
                )
            elif event.kind == "record":
                for student in self.held.keys() - self.told:
                    self.told.add(student)
                    self.console.print(f"Held: {plain(student, 40)}: {plain(self.held[student])}", soft_wrap=True)
                if now - self.last >= PLAIN_EVERY_S or event.done == event.total:
                    self._say(now)
            elif event.kind == "waiting" and now - self.last >= PLAIN_EVERY_S:
                self._say(now)

    def _say(self, now: float) -> None:
        self.last = now
        rate, running = self.rate(), self.now(SILENT_S)
        self.console.print(
            f"{self.done}/{self.total} marked" + (f" ({rate})" if rate else "") + (f"; {running}" if running else ""),
            soft_wrap=True,
        )

    def _beat(self) -> None:
        while not self._over.wait(1.0):
            with self._lock:
                now = time.monotonic()
                if self.ready is not None and self.done < self.total and now - self.last >= SILENT_S:
                    self._say(now)


class _Events(_Pace):
    """JSON lines for other programs; the command itself prints the last one, ``end``."""

    def see(self, event: Event) -> None:
        self.note(event)
        if event.kind == "end":
            return
        line: dict[str, Any] = {"event": event.kind, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        if event.kind == "start":
            line |= {
                "to_mark": event.total,
                "unchanged": event.unchanged,
                "at_a_time": event.at_a_time,
                "why": event.why,
            }
        elif event.kind in ("begin", "timed"):
            line |= {"student": event.student}
        elif event.kind == "waiting":
            line |= {"student": event.student, "why": event.why}
        elif event.record is not None:
            record, pace = event.record, self.pace()
            line |= {
                "student": record.submission.student,
                "score": record.score,
                "max_score": record.max_score,
                "status": str(record.status),
                "held": why_held(record) if record.is_held else None,
                "seconds": record.timing.total_s,
                "done": event.done,
                "total": event.total,
                "per_minute": None if pace is None else round(60 * pace[0], 1),
                "left_s": None if pace is None else round(pace[1], 1),
            }
        echo_json(line)


def _per_min(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 9.5 else f"{rate:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
