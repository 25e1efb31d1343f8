"""Progress that people believe: how many, how fast, how much longer, who is being marked for how long, who is held."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
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


class _Pace:
    """How many are done, how fast, and how long the rest will take."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.total = self.done = self.unchanged = 0
        self.ready: float | None = None
        self.began = time.monotonic()
        self.working: dict[str, float] = {}
        self.held: dict[str, str] = {}
        """Students whose record is held, and why."""
        self.ends: deque[float] = deque(maxlen=RECENT + 1)
        self.start = ""

    def note(self, event: Event) -> None:
        """Take an event in."""
        self.total, self.done = event.total, event.done
        now = time.monotonic()
        if event.kind == "start":
            self.unchanged = event.unchanged
            self.start = f"{event.at_a_time} at a time ({event.why})" if event.at_a_time else ""
        elif event.kind == "ready":
            self.ready = now
            self.ends.append(now)
        elif event.kind == "begin" and event.student is not None:
            self.working.setdefault(event.student, now)
        elif event.kind == "record" and event.record is not None:
            self.ends.append(now)
            student = event.record.submission.student
            self.working.pop(student, None)
            if event.record.is_held:
                self.held[student] = why_held(event.record)

    def per_s(self) -> float | None:
        """Submissions a second lately; None until there is something to go by."""
        if len(self.ends) < 2:
            return None
        return (len(self.ends) - 1) / max(1e-3, time.monotonic() - self.ends[0])

    def rate(self) -> str:
        """Submissions a minute and the time left."""
        pace = self.per_s()
        if pace is None:
            return ""
        return f"{60 * pace:.0f}/min, {_duration((self.total - self.done) / pace)} left"

    def now(self, least_s: float = 0.0) -> str:
        """Who is being marked, and for how long: the longest first."""
        now = time.monotonic()
        parts = []
        for student, since in sorted(self.working.items(), key=lambda item: item[1])[:6]:
            took = now - since
            if took >= least_s:
                parts.append(plain(student, 20) + (f" ({_duration(took)})" if took >= LONG_S else ""))
        return ", ".join(parts)

    def held_now(self) -> str:
        """How many are held; the last of them and why."""
        if not self.held:
            return ""
        student, why = next(reversed(self.held.items()))
        return f"{len(self.held)} held ({plain(student, 20)}: {plain(why, 80)})"


def why_held(record: Record) -> str:
    """Why a record has no score: the machine's words, or the checks that broke."""
    told = next((flag.text for flag in record.flags if flag.id == "held"), None)
    broken = [result.check.id for result in record.checks if result.verdict is Verdict.BROKEN]
    return told or f"broken: {', '.join(broken)}" if told or broken else "its checks do not add up"


class _Live(_Pace):
    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            expand=True,
        )
        self.task = self.progress.add_task(plain(title), total=None, rate="")

    def see(self, event: Event) -> None:
        self.note(event)

    def __rich__(self) -> RenderableType:
        if self.ready is None:
            took = time.monotonic() - self.began
            return Text(f"{self.title}: making ready (sandbox, torch, checks, reference) … {took:.0f} s  {self.start}")
        self.progress.update(self.task, total=self.total, completed=self.done, rate=self.rate())
        below = f"  marking {self.now()}" if self.working else ""
        if self.held:
            below += f"  [yellow]{self.held_now()}[/]"
        return Group(self.progress, Text.from_markup(below, overflow="ellipsis"))


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

    def _say(self, now: float) -> None:
        self.last = now
        rate, running = self.rate(), self.now(SILENT_S)
        self.console.print(
            f"{self.done}/{self.total} marked"
            + (f" ({rate})" if rate else "")
            + (f"; marking {running}" if running else ""),
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
        elif event.kind == "begin":
            line |= {"student": event.student}
        elif event.record is not None:
            record, pace = event.record, self.per_s()
            line |= {
                "student": record.submission.student,
                "score": record.score,
                "max_score": record.max_score,
                "status": str(record.status),
                "held": why_held(record) if record.is_held else None,
                "seconds": record.timing.total_s,
                "done": event.done,
                "total": event.total,
                "per_minute": None if pace is None else round(60 * pace, 1),
                "left_s": None if pace is None else round((event.total - event.done) / pace, 1),
            }
        echo_json(line)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
