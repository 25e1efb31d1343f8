"""What is fuzzed: one function a parser of untrusted bytes, which raises when a promise of that parser is broken.

Each takes arbitrary bytes. The parser's own error is what it may raise, and is swallowed here; any other exception, an
``AssertionError`` of ours included, is a finding. Nothing here needs a fuzzer: ``fuzz.py`` drives these functions with
one, ``tests/unit/test_fuzz_regressions.py`` runs the kept inputs through them.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import tempfile
import unicodedata
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.gradebook.journal import Journal
    from grader.notebook import Notebook

__all__ = ["TARGETS"]

ROOT = Path(__file__).resolve().parents[1]
ASSIGNMENT = "softmax-regression"


@cache
def _scratch() -> Path:
    """A folder of this process for parsers that read files; in memory where there is such a place."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=shared if shared.is_dir() else None)
    _SCRATCH.append(folder)
    return Path(folder.name)


_SCRATCH: list[tempfile.TemporaryDirectory[str]] = []


# ── the wall ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Stream:
    """A socket that holds these bytes and then ends."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def fileno(self) -> int:
        return 0

    def setblocking(self, flag: bool) -> None:
        """Nothing here blocks."""

    def send(self, data: memoryview, _flags: int) -> int:
        return len(data)

    def recv(self, size: int) -> bytes:
        part, self._rest = self._rest[:size], self._rest[size:]
        return bytes(part)


def frames(data: bytes) -> None:
    """A stream of bytes from a guest: frames whose values are decoded, until the stream is no stream of frames."""
    from grader.guest.wire import Channel, Closed, WireError

    channel = Channel(_Stream(data), max_blob=64 << 20)  # type: ignore[arg-type]
    with contextlib.suppress(WireError, Closed):
        while True:
            header, blob = channel.receive()
            _decode(blob, header)


def values(data: bytes) -> None:
    """``header NUL blob``: a header that is put into a sound frame, so that mutations get as far as the values."""
    from grader.guest.wire import WireError, parse_header

    head, _, blob = data.partition(b"\0")
    with contextlib.suppress(WireError):
        _decode(blob, parse_header(head))


def blobs(data: bytes) -> None:
    """A safetensors file from a guest, referred to in each way that there is."""
    ways: list[dict[str, Any]] = [{}, {"k": 1}, {"n": 1}, {"n": 1, "x": 1}, {"p": 1, "rg": 3}, {"g": {"t": 0}}]
    for more in ways:
        _decode(data, {"a": [{"t": number, **more} for number in range(3)]})
    _decode(data, {"a": [{"G": 0, "t": 0, "v": "cpu"}]})


def replies(data: bytes) -> None:
    """What a guest answers to the host: a value, a fault of the student's or, gradients included, a violation.

    Frames are parted by ``FF FE``, each ``header NUL blob``.
    """
    import torch

    from grader.guest.wire import MAGIC, PREFIX
    from grader.wall.faults import SandboxLost, StudentFault
    from grader.wall.host import Remote, Wall
    from grader.wall.session import CodeCell, _cell_result

    parts = [part.partition(b"\0") for part in data.split(b"\xff\xfe")]
    stream = b"".join(PREFIX.pack(MAGIC, len(head), len(blob)) + head + blob for head, _, blob in parts)
    wall = Wall(_Stream(stream))  # type: ignore[arg-type]
    x = torch.ones(2, requires_grad=True)
    function = Remote(wall, 1, "function", "function", (), is_callable=True)
    with contextlib.suppress(StudentFault, SandboxLost):
        value, _ = wall.request("call", [function, x, torch.Generator(), abs, torch.sin])
        _check_value(value, 70, Remote, torch.nn.Parameter)
        if isinstance(value, torch.Tensor) and value.requires_grad and not value.is_complex():
            value.sum().backward()
        _cell_result(CodeCell(index=0, source=""), value, 1_000)


def _decode(blob: bytes | bytearray, header: dict[str, Any]) -> None:
    """Decode every value of a message and hold the result against the caps."""
    from grader.guest.wire import MAX_DEPTH, Decoder, WireError

    handed: list[int] = []

    def resolve(what: dict[str, Any]) -> object:
        handed.append(1)
        if type(what.get("o")) is not int:
            raise WireError("an unknown handle")
        return object()

    with contextlib.suppress(WireError):
        decoder = Decoder(blob, resolve, lambda tensor, _what: tensor)
        for part in header.values():
            for value in part if isinstance(part, list) else [part]:
                with contextlib.suppress(WireError):
                    _check_value(decoder.decode(value), MAX_DEPTH + 2)


def _check_value(value: Any, levels: int, *others: type) -> None:
    """A decoded value is of a plain kind, not too deep, and no tensor claims more than a frame may hold."""
    import numpy as np
    import torch

    from grader.guest.wire import MAX_BLOB

    assert levels > 0, "nested too deeply"
    if isinstance(value, torch.Tensor):
        assert type(value) in (torch.Tensor, *others)
        assert value.numel() * value.itemsize <= MAX_BLOB, f"a tensor claims {value.numel()} elements"
        assert value.untyped_storage().nbytes() <= MAX_BLOB, "a tensor holds more than a frame"
        value.detach().sum()
    elif isinstance(value, np.ndarray | np.generic):
        assert value.dtype.kind in "fciub"
    elif type(value) in (list, tuple):
        for item in value:
            _check_value(item, levels - 1, *others)
    elif type(value) is dict:
        for key, item in value.items():
            _check_value(key, levels - 1, *others)
            _check_value(item, levels - 1, *others)
    else:
        plain = (type(None), bool, int, float, str, bytes, complex, slice, type(...), object, torch.Size)
        assert type(value) in (*plain, torch.dtype, torch.device, torch.Generator, *others), type(value)


# ── what is handed in ────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _released() -> Notebook:
    from grader.notebook import read

    return read((ROOT / "assignments" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").read_bytes())


def notebooks(data: bytes) -> None:
    """A file that was handed in: read, matched with the released notebook, looked through, written for formgrader."""
    from grader.notebook import NotANotebook, executed, forbidden_uses, read, repair

    try:
        found = read(data)
    except NotANotebook as error:
        assert str(error).endswith("."), error
        assert len(str(error)) < 300
        return
    mended = repair(found, _released())
    assert [cell.source for cell in mended.cells] == [cell.source for cell in found.cells]
    assert sum(len(cell.source) for cell in found.cells) <= 2 * len(data) + 10 * len(found.cells)
    for number, cell in enumerate(mended.cells):
        assert cell.index == number
        assert cell.cell_type in ("code", "markdown", "raw")
        assert not re.search("[\0\r\ud800-\udfff]", cell.source)
    for flag in mended.repairs:
        assert flag.text.endswith("."), flag.text
        flag.text.encode()
    exercises = {cell.exercise for cell in _released().cells if cell.exercise is not None}
    assert {cell.exercise for cell in mended.cells} <= exercises | {None}
    forbidden_uses(mended, dict.fromkeys(exercises, ("torch.softmax", "torch.Tensor.softmax", "torch.nn.*")))
    made = executed(mended, (), released=_released())
    again = read(json.dumps(made, allow_nan=False).encode())
    ours = {cell.source for cell in _released().cells}
    for before, after in zip(found.cells, again.cells, strict=True):
        if before.cell_type == "markdown" and before.source not in ours:
            assert not re.search(r"<[A-Za-z/!?]|!\[|&[#A-Za-z]|script[\s\\\\]*:", after.source, re.IGNORECASE), (
                after.source
            )
        else:
            assert after.source == before.source


def archives(data: bytes) -> None:
    """A ZIP archive that was handed in: a notebook's bytes or a sentence, within the limits."""
    from grader.notebook.archive import MAX_BYTES, BadArchive, notebook_in

    try:
        found = notebook_in(data, "a.ipynb")
    except BadArchive as error:
        assert str(error).endswith("."), error
        assert len(str(error)) < 400, error
        assert not _CONTROLS.search(str(error)), error
        return
    assert len(found) <= MAX_BYTES


# ── what an instructor writes, and what the grader keeps ─────────────────────────────────────────────────────────


def courses(data: bytes) -> None:
    """A ``course.yaml``: a course, or an error that says where."""
    from grader.config import load_course
    from grader.errors import CourseError

    file = _scratch() / "course.yaml"
    file.write_bytes(data)
    try:
        course = load_course(file)
    except CourseError as error:
        assert error.place is not None
        assert error.place.file.endswith("course.yaml")
        assert len(str(error)) < 20_000
        str(error).encode()
        return
    assert course.assignments
    for assignment in course.assignments:
        assignment.limits_for_sandbox()
        assert all(spec.points >= 0 for spec in assignment.specs)


def records(data: bytes) -> None:
    """A record or its cells as JSON: read back as it was, or not at all."""
    from grader.gradebook.codec import CodecError, dump, dump_cells, load, load_cells, load_head

    with contextlib.suppress(CodecError):
        load_head(data)
    with contextlib.suppress(CodecError):
        cells = load_cells(data)
        assert load_cells(dump_cells(cells)) == cells
    with contextlib.suppress(CodecError):
        record = load(data)
        assert load(dump(record)) == replace(record, cells=())


def journals(data: bytes) -> None:
    """A journal file: its records, or an error that says where; and what a writer sets aside is the end only.

    A line that begins with ``=`` stands for one whose hash is right: mutations would never get past it.
    """
    from grader.errors import JournalError
    from grader.gradebook.journal import Journal

    lines = [_hashed(line) if line.startswith(b"=") else line for line in data.splitlines(keepends=True)]
    file = _scratch() / "records.jsonl"
    file.write_bytes(b"".join(lines))
    with contextlib.suppress(JournalError):
        before = _all(Journal(file))
        with Journal(file) as writer:
            writer.lock()
            assert _all(writer) == before
        assert _all(Journal(file)) == before
        whole = file.read_bytes()
        assert not whole or whole.endswith(b"\n")
        assert b"".join(lines).startswith(whole.removesuffix(b"\n"))


def _hashed(line: bytes) -> bytes:
    body = line[1:].removesuffix(b"\n")
    return b'{"sha256":"%s","record":%s}' % (hashlib.sha256(body).hexdigest().encode(), body) + line[len(body) + 1 :]


def _all(journal: Journal) -> list[Any]:
    return [*journal.records(), *journal.latest().items()]


# ── what people open ─────────────────────────────────────────────────────────────────────────────────────────────

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Whatever steers a terminal or turns the reading order, and what cannot be encoded; tab and newline are well."""
_TAGS = frozenset({
    "p", "br", "hr", "em", "strong", "s", "blockquote", "ul", "ol", "li", "h4", "h5", "h6", "pre", "code", "span",
    "div", "a", "img", "table", "thead", "tbody", "tr", "th", "td",
})  # fmt: skip
_ATTRIBUTES = {
    *((tag, "class") for tag in ("span", "div")), ("a", "href"), ("a", "rel"), ("a", "title"), ("img", "src"),
    ("img", "alt"), ("ol", "start"),
}  # fmt: skip
_SCHEMES = re.compile(r"https?://|mailto:|#|data:image/png;base64,[A-Za-z0-9+/=]*\Z", re.IGNORECASE)


class _Reader(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str | None, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, None, ""))
        self.found += [(tag, name, value or "") for name, value in attrs]

    def handle_decl(self, decl: str) -> None:
        self.found.append((f"!{decl[:7].lower()}", None, ""))

    def handle_pi(self, data: str) -> None:
        self.found.append(("?", None, data))

    def handle_comment(self, data: str) -> None:
        self.found.append(("!--", None, data))

    unknown_decl = handle_comment


def markdown(data: bytes) -> None:
    """A Markdown cell as HTML: only tags, attributes and addresses from the list."""
    from grader.reports.sanitise import markdown_html

    html = str(markdown_html.__wrapped__(data.decode("utf-8", "surrogateescape")))
    assert not _CONTROLS.search(html)
    for tag, name, value in _Reader(html).found:
        assert tag in _TAGS, tag
        assert name is None or (tag, name) in _ATTRIBUTES, (tag, name)
        if name in ("href", "src"):
            assert _SCHEMES.match(value), value


def code(data: bytes) -> None:
    """A code cell as HTML: only ``span`` with classes of Pygments, and the text as it was."""
    from grader.reports.sanitise import code_html
    from grader.reports.text import visible

    source = data.decode("utf-8", "surrogateescape")
    html = str(code_html.__wrapped__(source, (1,)))
    assert not _CONTROLS.search(html)
    for tag, name, value in _Reader(html).found:
        assert (tag, name) in {("span", None), ("span", "class")}, (tag, name)
        assert name is None or re.fullmatch(r"[a-z0-9]*", value), value
    reader = _Text()
    reader.feed(html)
    reader.close()
    assert reader.text.rstrip("\n") == visible(source).rstrip("\n")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(data: bytes) -> None:
    """A whole feedback page with the bytes in every place that a student can write to."""
    from grader.reports import feedback_page

    text = data.decode("utf-8", "surrogateescape")
    html = feedback_page(_record(text), course_title="Deep Learning", assignment_title="Softmax regression")
    html.encode()
    assert not _CONTROLS.search(html)
    seen = _Reader(html).found
    assert not {tag for tag, _, _ in seen} & {"script", "iframe", "object", "embed", "form", "base", "svg:script"}
    for tag, name, value in seen:
        assert not (name or "").startswith("on"), (tag, name)
        if name in ("href", "src", "action", "formaction", "xlink:href", "srcdoc", "poster", "data"):
            assert value == "data:," or _SCHEMES.match(value), value
    quiet = _Reader(_quiet_page()).found
    for tag in ("meta", "link", "style", "title"):
        assert [each[0] for each in seen].count(tag) == [each[0] for each in quiet].count(tag), tag


@cache
def _quiet_page() -> str:
    from grader.reports import feedback_page

    return feedback_page(_record("x"), course_title="Deep Learning", assignment_title="Softmax regression")


def _record(text: str) -> Any:
    """A record in which everything that comes from a student is ``text``."""
    from grader.model import (
        CellResult,
        CheckResult,
        CheckSpec,
        ExerciseScore,
        ExerciseSpec,
        Flag,
        Output,
        Record,
        RecordStatus,
        SubmissionRef,
        Verdict,
    )

    exercise = ExerciseSpec(id="softmax", title="Softmax", points=4.0)
    spec = CheckSpec(id="softmax_values", exercise="softmax", points=4.0, line="softmax gives probabilities.")
    return Record(
        submission=SubmissionRef(student=text, name=text, assignment=ASSIGNMENT, path=text, sha256="a" * 64),
        status=RecordStatus.FINAL,
        score=0.0,
        max_score=4.0,
        checks=(
            CheckResult(
                check=spec, verdict=Verdict.RAISED, earned=0.0, rationale=text, kind="error", student_cell=0,
                student_line=1, student_source=text, evidence=text,
            ),
        ),
        exercises=(ExerciseScore(exercise=exercise, earned=0.0),),
        steps=(),
        cells=(
            CellResult(
                index=0, cell_type="code", source=text, status="raised", note=text, exercise="softmax",
                outputs=(
                    Output(kind="stream", name="stdout", text=text), Output(kind="error", name=text, text=text),
                    Output(kind="display", name=text, text=text, png_base64=text),
                ),
            ),
            CellResult(index=1, cell_type="markdown", source=text, status="text"),
            CellResult(index=2, cell_type="raw", source=text, status="text"),
        ),
        flags=(Flag(id="repaired", text=text),),
        message=text,
    )  # fmt: skip


def terminal(data: bytes) -> None:
    """Names and texts on their way to a terminal: no control character but newline and tab."""
    from rich.console import Console

    from grader.cli.options import harmless, json_line, plain
    from grader.cli.table import class_table
    from grader.reports.text import display_name, terminal_text, visible

    text = data.decode("utf-8", "surrogateescape")
    for shown in (visible(text), terminal_text(text), display_name(text), plain(text), harmless(text), json_line(text)):
        assert not _CONTROLS.search(shown), shown
        shown.encode()
    assert visible(visible(text)) == visible(text)
    assert "\n" not in display_name(text)
    assert json.loads(json_line({"text": text})) == {"text": text}
    assert "\n" not in json_line({"text": text})
    assert not any(unicodedata.category(char)[0] == "C" for char in plain(text))
    written = io.StringIO()
    record = replace(_record("x"), submission=replace(_record("x").submission, student=text))
    Console(file=written, width=80, color_system=None, highlight=False).print(class_table([record], 80))
    assert not _CONTROLS.search(written.getvalue()), written.getvalue()


def spreadsheet(data: bytes) -> None:
    """A student's id and name in the gradebook, exported as CSV: nothing that a spreadsheet takes for a formula.

    nbgrader's exporter puts commas between what the gradebook holds, and quotes nothing.
    """
    from grader.gradebook.database import _fits, _names

    text = data.decode("utf-8", "replace")
    first, last = _names(text)
    line = ",".join([text if _fits(text, []) else "", last or "", first or ""])
    assert len(line.splitlines()) <= 1, line
    for delimiter in ",;":
        for row in csv.reader([line], delimiter=delimiter):
            for cell in row:
                assert not re.match("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]", cell), cell


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        frames, values, blobs, replies, notebooks, archives, courses, records, journals, markdown, code, pages,
        terminal, spreadsheet,
    )
}  # fmt: skip
