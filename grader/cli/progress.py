"""Progress that people believe: done of total, rate, time left, who is being marked for how long."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from grader.cli.options import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType

    from grader.jobs import Event

__all__ = ["watching"]

PLAIN_EVERY_S = 2.0


@contextlib.contextmanager
def watching(console: Console, title: str, *, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """A listener for ``grader.jobs.mark``: live on a terminal, a line every two seconds elsewhere, or nothing."""
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        view = _Live(title)
        with Live(view, console=console, refresh_per_second=8, transient=True):
            yield view.see
    else:
        yield _Lines(console, title).see


class _Pace:
    """How many are done, how fast, and how long the rest will take."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.total = self.done = self.unchanged = self.held = 0
        self.ready: float | None = None
        self.began = time.monotonic()
        self.working: dict[str, float] = {}

    def note(self, event: Event) -> None:
        """Take an event in."""
        self.total, self.done = event.total, event.done
        if event.kind == "start":
            self.unchanged = event.unchanged
        elif event.kind == "ready":
            self.ready = time.monotonic()
        elif event.kind == "begin" and event.student is not None:
            self.working[event.student] = time.monotonic()
        elif event.kind == "record" and event.record is not None:
            self.working.pop(event.record.submission.student, None)
            self.held += event.record.is_held

    def rate(self) -> str:
        """Submissions a minute and the time left, once there is something to go by."""
        if self.ready is None or not self.done:
            return ""
        pace = self.done / max(1e-3, time.monotonic() - self.ready)
        left = (self.total - self.done) / pace
        return f"{60 * pace:.0f}/min, {_duration(left)} left"

    def now(self) -> str:
        """Who is being marked, and for how long."""
        now = time.monotonic()
        parts = []
        for student, since in list(self.working.items())[:6]:
            took = now - since
            parts.append(plain(student, 20) + (f" ({took:.0f} s)" if took >= 3 else ""))
        return ", ".join(parts)


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
            return Text(f"{self.title}: making ready (sandbox, torch, checks, reference) … {took:.0f} s")
        self.progress.update(self.task, total=self.total, completed=self.done, rate=self.rate())
        below = f"  marking {self.now()}" if self.working else ""
        if self.held:
            below += f"  [yellow]{self.held} held[/]"
        return Group(self.progress, Text.from_markup(below, overflow="ellipsis"))


class _Lines(_Pace):
    def __init__(self, console: Console, title: str) -> None:
        super().__init__(title)
        self.console = console
        self.last = 0.0

    def see(self, event: Event) -> None:
        self.note(event)
        now = time.monotonic()
        if event.kind == "start" and event.total:
            self.console.print(f"{self.title}: {event.total} to mark, {event.unchanged} unchanged; making ready …")
        elif event.kind == "record" and (now - self.last >= PLAIN_EVERY_S or event.done == event.total):
            self.last = now
            rate = self.rate()
            self.console.print(f"{self.done}/{self.total} marked" + (f" ({rate})" if rate else ""))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
