"""The submitted notebook as something to read: cells and outputs, cut to size, ready for the template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from grader.reports import text
from grader.reports.png import Picture, picture
from grader.reports.sanitise import code_html, markdown_html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.model import CellResult, Output

__all__ = ["CellView", "NotebookView", "OutputView", "RaisedHere", "cell_anchor", "notebook_view", "shows_cell"]

_MAX_CELLS = 300
_MAX_OUTPUTS = 40
"""Of one cell."""
_HEAD_LINES, _TAIL_LINES, _MAX_LINE = 120, 30, 1_000
_MAX_RAW = 300_000
"""Characters of one output that are looked at, from its beginning and from its end."""
_MAX_PAGE_TEXT = 600_000
"""Characters of output text on one page."""
_MAX_PAGE_PICTURES = 8_000_000
"""Bytes of pictures on one page."""
_FOLD_LINES = 40
"""Longer outputs start folded."""

_STATUS = {
    "raised": ("Raised an error", "bad", None),
    "timeout": ("Ran out of time", "warn", "This cell took too long and was stopped."),
    "memory": ("Ran out of memory", "warn", "This cell asked for more memory than there is and was stopped."),
    "crash": ("Ended the process", "bad", "This cell ended the whole Python process."),
    "skipped": ("Not run", "wait", "Checks and pictures are left out while marking: this costs you nothing."),
    "not-run": ("Not run", "wait", "This cell was not run."),
}
"""By cell status: words, tone, and the sentence when the record has none."""


_PAGE_FULL = "The outputs of this notebook are longer than this page can hold: the rest is left out."


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedHere:
    """A check that ended with an exception in a cell of the student's."""

    anchor: str
    line: str
    """The check's line."""
    source_line: int | None
    """One-based."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputView:
    """One output: either text or a picture."""

    kind: str
    """stdout, stderr, display, error."""
    label: str
    text: str = ""
    picture: Picture | None = None
    note: str | None = None
    """Why something is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """One cell, ready to print."""

    anchor: str
    number: int
    """One-based position in the submitted notebook."""
    kind: str
    """code, markdown, raw."""
    body: Markup
    status: str | None
    """Words for the chip; None when there is nothing to say."""
    tone: str
    note: str | None
    exercise: str | None
    """Title of the exercise that the cell answers."""
    raised: tuple[RaisedHere, ...]
    outputs: tuple[OutputView, ...]
    output_lines: int
    folded: bool
    """Whether the outputs start folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookView:
    """The cells that are shown, and a sentence on those that are not."""

    cells: tuple[CellView, ...]
    note: str | None


def cell_anchor(index: int) -> str:
    """The fragment of the cell at zero-based ``index``."""
    return f"cell-{index + 1}"


def shows_cell(cells: Sequence[CellResult], index: int) -> bool:
    """Whether the cell at zero-based ``index`` is on the page, so that a link may lead there."""
    return any(cell.index == index for cell in cells[:_MAX_CELLS])


def notebook_view(
    cells: Sequence[CellResult], *, titles: Mapping[str, str], raised: Mapping[int, Sequence[RaisedHere]]
) -> NotebookView:
    """At most 300 cells with their outputs, within the page's budget for text and pictures.

    Args:
        cells: As on the record.
        titles: Exercise id to title.
        raised: By zero-based cell index, the checks that raised there; their lines are marked in the code.
    """
    budget = _Budget()
    shown = [_cell(cell, titles, raised.get(cell.index, ()), budget) for cell in cells[:_MAX_CELLS]]
    left = len(cells) - len(shown)
    note = f"{text.count_of(left, 'more cell is', 'more cells are')} not shown here." if left else None
    return NotebookView(cells=tuple(shown), note=note)


@dataclass(slots=True)
class _Budget:
    """What the page may still take up."""

    text: int = _MAX_PAGE_TEXT
    pictures: int = _MAX_PAGE_PICTURES


def _cell(cell: CellResult, titles: Mapping[str, str], raised: Sequence[RaisedHere], budget: _Budget) -> CellView:
    words, tone, sentence = _STATUS.get(cell.status, (None, "ok", None))
    outputs = [_output(output, budget) for output in cell.outputs[:_MAX_OUTPUTS]]
    left = len(cell.outputs) - len(outputs)
    outputs = [
        output
        for at, output in enumerate(outputs)
        if output.text or output.picture or (output.note and (at == 0 or output.note != outputs[at - 1].note))
    ]
    if left:
        note = f"{text.count_of(left, 'more output is', 'more outputs are')} not shown here."
        outputs.append(OutputView(kind="note", label="", note=note))
    lines = sum(output.text.count("\n") + 1 for output in outputs if output.text)
    return CellView(
        anchor=cell_anchor(cell.index),
        number=cell.index + 1,
        kind=cell.cell_type if cell.cell_type in {"code", "markdown"} else "raw",
        body=_body(cell, raised),
        status=words,
        tone=tone,
        note=cell.note or sentence,
        exercise=titles.get(cell.exercise) if cell.exercise else None,
        raised=tuple(raised),
        outputs=tuple(outputs),
        output_lines=lines,
        folded=lines > _FOLD_LINES,
    )


def _body(cell: CellResult, raised: Sequence[RaisedHere]) -> Markup:
    if cell.cell_type == "markdown":
        return markdown_html(cell.source)
    if cell.cell_type == "code":
        marked = {mark.source_line for mark in raised if mark.source_line and mark.source_line > 0}
        return code_html(cell.source, tuple(sorted(marked)))
    return Markup("{}").format(text.visible(cell.source))


def _output(output: Output, budget: _Budget) -> OutputView:
    kind, label = _label(output)
    if output.png_base64 is not None:
        found = picture(output.png_base64, max_bytes=min(2_000_000, max(0, budget.pictures)))
        if found is not None:
            budget.pictures -= found.size_bytes
            return OutputView(kind=kind, label="Picture", picture=found)
        if not output.text:
            return OutputView(kind=kind, label="Picture", note="A picture that is too large or not sound is left out.")
    if budget.text <= 0:
        return OutputView(kind=kind, label=label, note=_PAGE_FULL if output.text else None)
    shown, note = _cut(_looked_at(output.text), budget.text)
    budget.text -= len(shown)
    if output.kind == "error" and output.name:
        name = text.display_name(output.name)
        shown = f"{name}: {shown}" if shown and not shown.startswith(name) else shown or name
    return OutputView(kind=kind, label=label, text=shown.rstrip("\n"), note=note)


def _label(output: Output) -> tuple[str, str]:
    if output.kind == "error":
        return "error", "Error"
    if output.kind == "stream":
        return ("stderr", "Messages") if output.name == "stderr" else ("stdout", "Printed")
    return "display", "Result"


def _looked_at(raw: str) -> str:
    """What a terminal would show; of an enormous output, of its beginning and its end."""
    if len(raw) <= 2 * _MAX_RAW:
        return text.terminal_text(raw)
    return f"{text.terminal_text(raw[:_MAX_RAW])}\n⋮\n{text.terminal_text(raw[-_MAX_RAW:])}"


def _cut(shown: str, room: int) -> tuple[str, str | None]:
    """The beginning and the end of a long text, and a sentence that says what was left out."""
    lines = shown.rstrip("\n").split("\n")
    notes = []
    long = sum(len(line) > _MAX_LINE for line in lines)
    if long:
        lines = [line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…" for line in lines]
        notes.append(f"{text.count_of(long, 'long line is', 'long lines are')} cut short.")
    left = len(lines) - _HEAD_LINES - _TAIL_LINES
    if left > 0:
        middle = f"⋮  {text.count_of(left, 'line')} left out here  ⋮"
        lines = [*lines[:_HEAD_LINES], "", middle, "", *lines[-_TAIL_LINES:]]
        notes.append(f"This output is long: {text.count_of(left, 'line')} in the middle left out.")
    cut = "\n".join(lines)
    if len(cut) > room:
        cut = cut[: max(0, room)]
        notes.append(_PAGE_FULL)
    return cut, " ".join(notes) or None
