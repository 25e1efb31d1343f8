"""The journal: every record ever made, appended, one line each, and enough to rebuild everything else.

Theory of operation. A line is ``{"sha256":"…","record":{…}}``: the canonical JSON of a record, and its hash. In it
``cells`` comes last and is the hash of the executed cells, which lie apart in ``artifacts/<aa>/<sha256>.json`` beside
the journal (written before the line, under another name, then renamed), so that the marks of a whole class list in a
second however much the notebooks printed. A line's hash therefore covers the cells too.

One process writes (``grader.gradebook.lock``); any number read, without a lock. A line is one ``write`` to a file
opened for appending, so killing the grader at any instant costs at most the line being written. What it left of that
line is moved to ``<journal>.torn`` by the next writer, and said in ``notices``. A damaged line anywhere else stops
reading with an error that names it: nothing is skipped in silence.

Not defended: whoever may write the file may rewrite it. After a loss of *power*, records written since the last
``fsync`` may be gone, and are marked again: none where ``fsync`` takes under 5 ms, else those of the last 0.2 s of
appending (or since the last append before ``sync`` or ``close``).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from grader.errors import InternalError, JournalError, Place
from grader.gradebook.codec import CodecError, Head, dump, dump_cells, load, load_cells, load_head, whole_text
from grader.gradebook.lock import WriterLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from grader.model import CellResult, Record

__all__ = ["Journal"]

_HEAD = b'{"sha256":"'
_JOINT = b'","record":'
_TAIL = b"}\n"
_BODY_AT = len(_HEAD) + 64 + len(_JOINT)
_CELLS = re.compile(rb',"cells":(?:"([0-9a-f]{64})"|null)}\Z')
_CHEAP_SYNC_S = 0.005
_SYNC_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Where a record lies, and what must be known about it without decoding it."""

    line: int
    offset: int
    length: int
    head: Head
    cells: str | None
    """SHA-256 of the cells' artifact."""


class Journal:
    """An append-only file of records.

    Reading needs no more than the object. The first ``append`` takes the writer's lock (call ``lock`` to have it, or
    its error, before the work starts); ``close``, or leaving a ``with``, gives it back. Records are read without
    their cells: ``cells`` fetches them.

    Raises:
        JournalError: From every method: the journal is damaged, cannot be read or written, or somebody else writes.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.artifacts = self.path.parent / "artifacts"
        """Where the cells lie."""
        self.torn = self.path.with_name(f"{self.path.name}.torn")
        """Where lines go that a killed grader left unfinished."""
        self._lock = WriterLock(self.path)
        self._fd: int | None = None
        self._entries: list[_Entry] = []
        self._by_key: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
        self._read_to = 0
        self._notices: dict[str, None] = {}
        self._unsynced: list[Path] = []
        self._sync_cost_s = 0.0
        self._synced_at = time.monotonic()

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should be told about the journal's state, a sentence each."""
        return tuple(self._notices)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def lock(self) -> None:
        """Become the one writer and set aside what a killed one left unfinished. Idempotent."""
        if self._lock.is_held:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o660)  # never readable by all: these are marks
            self._set_torn_aside(self._fd)
            for draft in self.artifacts.glob("??/*.part"):  # nobody else writes, so a killed grader left it
                draft.unlink(missing_ok=True)
        except OSError as error:
            self.close()
            raise self._unusable(error) from error
        except JournalError:
            self.close()
            raise

    def append(self, record: Record) -> str:
        """Write ``record`` and its cells; return its hash. Once this returns, killing the process loses nothing."""
        self.lock()
        if self._fd is None:
            raise InternalError("the journal is locked but not open")
        try:
            body = dump(record)
            artifact = dump_cells(record.cells) if record.cells else None
        except CodecError as error:
            raise InternalError(f"a record cannot be written to the journal: {error}") from error
        cells = hashlib.sha256(artifact).hexdigest() if artifact is not None else None
        body = body[:-1] + (b',"cells":null}' if cells is None else f',"cells":"{cells}"}}'.encode())
        digest = hashlib.sha256(body).hexdigest()
        try:
            if cells is not None and artifact is not None:
                self._write_artifact(cells, artifact)
            _append_whole(self._fd, _HEAD + digest.encode() + _JOINT + body + _TAIL)
        except OSError as error:
            raise self._unusable(error) from error
        if self._sync_cost_s < _CHEAP_SYNC_S or time.monotonic() - self._synced_at >= _SYNC_EVERY_S:
            self.sync()
        return digest

    def sync(self) -> None:
        """Make everything appended so far survive a loss of power. Cells before the lines that name them."""
        if self._fd is None:
            return
        started = time.monotonic()
        try:
            for path in self._unsynced:
                _sync_file(path)
            os.fsync(self._fd)
        except OSError as error:
            raise self._unusable(error) from error
        self._unsynced.clear()
        self._synced_at = time.monotonic()
        self._sync_cost_s = self._synced_at - started

    def close(self) -> None:
        """Sync and give the lock back. Idempotent; reading goes on working."""
        if self._fd is not None:
            try:
                if self._lock.is_held:
                    self.sync()
            finally:
                os.close(self._fd)
                self._fd = None
                self._lock.release()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def records(self) -> Iterator[Record]:
        """Every record in the order of marking, without cells."""
        return self._load(list(self._refreshed()))

    def latest(self) -> dict[tuple[str, str], Record]:
        """The newest record of each assignment and student, ``(assignment, student)`` in order of first marking."""
        self._refreshed()
        entries = [entries[-1] for entries in self._by_key.values()]
        return {(record.submission.assignment, record.submission.student): record for record in self._load(entries)}

    def latest_of(self, assignment: str) -> dict[str, Record]:
        """The newest record of each student of one assignment, in order of first marking."""
        self._refreshed()
        entries = [mine[-1] for (name, _), mine in self._by_key.items() if name == whole_text(assignment)]
        return {record.submission.student: record for record in self._load(entries)}

    def count(self, assignment: str) -> int:
        """How many records there are of one assignment."""
        self._refreshed()
        return sum(len(mine) for (name, _), mine in self._by_key.items() if name == whole_text(assignment))

    def history(self, assignment: str, student: str) -> tuple[Record, ...]:
        """Every record of one student and assignment, oldest first."""
        self._refreshed()
        return tuple(self._load(self._by_key.get((whole_text(assignment), whole_text(student)), [])))

    def cells(self, record: Record) -> tuple[CellResult, ...]:
        """The executed cells of a record that was read from this journal."""
        if record.cells:
            return record.cells
        entry = self._entry_of(record)
        if entry.cells is None:
            return ()
        path = self._artifact(entry.cells)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise self._damaged_artifact(path, error.strerror or "unreadable") from error
        if hashlib.sha256(data).hexdigest() != entry.cells:
            raise self._damaged_artifact(path, "its content is not what was written")
        try:
            return load_cells(data)
        except CodecError as error:
            raise self._newer(entry, f"cells: {error}") from error

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _refreshed(self) -> list[_Entry]:
        """The index, brought up to the end of the file."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read_to:  # replaced by hand
                    self._entries, self._by_key, self._read_to = [], defaultdict(list), 0
                file.seek(self._read_to)
                self._index(file)
        except FileNotFoundError:
            self._entries, self._by_key, self._read_to = [], defaultdict(list), 0
        except OSError as error:
            raise self._unusable(error) from error
        return self._entries

    def _index(self, file: BinaryIO) -> None:
        for raw in file:
            number = len(self._entries) + 1
            try:
                entry = _entry(raw, number, self._read_to)
            except CodecError as error:
                if file.read(1):
                    raise self._damaged(number, str(error)) from error
                self._notices[
                    f"{self.path}:{number} is not complete: the grader is writing it now, or was stopped while it did. "
                    "It is not counted."
                ] = None
                return
            self._entries.append(entry)
            ref = entry.head.submission
            self._by_key[ref.assignment, ref.student].append(entry)
            self._read_to += len(raw)

    def _load(self, entries: list[_Entry]) -> Iterator[Record]:
        if not entries:
            return
        try:
            with self.path.open("rb") as file:
                for entry in entries:
                    file.seek(entry.offset)
                    yield self._record(entry, file.read(entry.length))
        except OSError as error:
            raise self._unusable(error) from error

    def _record(self, entry: _Entry, raw: bytes) -> Record:
        try:
            body, _ = _checked(raw)
        except CodecError as error:
            raise self._damaged(entry.line, str(error)) from error
        try:
            return load(body)
        except CodecError as error:
            raise self._newer(entry, str(error)) from error

    def _entry_of(self, record: Record) -> _Entry:
        ref = record.submission
        self._refreshed()
        entries = [
            entry
            for entry in self._by_key.get((ref.assignment, ref.student), [])
            if (entry.head.submission, entry.head.marked_at) == (ref, record.marked_at)
        ]
        if len(entries) > 1:
            entries = [entry for entry in entries if next(self._load([entry])) == record]
        if not entries:
            raise JournalError(
                f"there is no such record of {ref.student!r} for {ref.assignment!r}",
                place=Place(file=str(self.path)),
                remedy="ask for the cells of a record that was read from this journal",
            )
        return entries[-1]

    def _set_torn_aside(self, fd: int) -> None:
        self._refreshed()
        size = os.fstat(fd).st_size
        if size == self._read_to:
            return
        number = len(self._entries) + 1
        tail = os.pread(fd, size - self._read_to, self._read_to)
        self._notices.clear()
        if not tail.endswith(b"\n"):
            try:
                _entry(tail + b"\n", number, self._read_to)
            except CodecError:
                pass
            else:  # only the line's end is missing
                _append_whole(fd, b"\n")
                os.fsync(fd)
                return
        torn = os.open(self.torn, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            _append_whole(torn, tail if tail.endswith(b"\n") else tail + b"\n")
            os.fsync(torn)
        finally:
            os.close(torn)
        os.ftruncate(fd, self._read_to)
        os.fsync(fd)
        self._notices[
            f"{self.path}:{number} was not complete: the grader was stopped while it wrote it. Its {len(tail)} bytes "
            f"are kept in {self.torn}, and that submission is marked again."
        ] = None

    def _artifact(self, sha256: str) -> Path:
        return self.artifacts / sha256[:2] / f"{sha256}.json"

    def _write_artifact(self, sha256: str, data: bytes) -> None:
        path = self._artifact(sha256)
        try:
            if path.stat().st_size == len(data):
                return
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o660)
        try:
            _append_whole(fd, data)
        except OSError:
            draft.unlink()
            raise
        finally:
            os.close(fd)
        draft.replace(path)
        self._unsynced.append(path)

    def _damaged(self, line: int, why: str) -> JournalError:
        return JournalError(
            f"this line is damaged: {why}",
            place=Place(file=str(self.path), line=line),
            remedy="put the journal back from a backup, or cut this one line out into a file of its own: what it "
            "recorded is then marked again",
        )

    def _damaged_artifact(self, path: Path, why: str) -> JournalError:
        return JournalError(
            f"the executed cells of a record cannot be read: {why}",
            place=Place(file=str(path)),
            remedy="put the file back from a backup, or mark that submission again; its marks are not affected",
        )

    def _newer(self, entry: _Entry, what: str) -> JournalError:
        return JournalError(
            f"this version of the grader does not know such a record ({what})",
            place=Place(file=str(self.path), line=entry.line),
            remedy="use the version of the grader that wrote it, or a newer one",
        )

    def _unusable(self, error: OSError) -> JournalError:
        return JournalError(
            f"the journal cannot be used: {error.strerror or error}",
            place=Place(file=str(error.filename or self.path)),
            remedy="see to the file's permissions and to free space on its disk, then run again: nothing that was "
            "marked is lost",
        )


def _checked(raw: bytes) -> tuple[bytes, str | None]:
    """The record (without cells) in a line whose hash is right, and the hash of its cells."""
    digest = raw[len(_HEAD) : len(_HEAD) + 64]
    if not (raw.startswith(_HEAD) and raw[_BODY_AT - len(_JOINT) : _BODY_AT] == _JOINT and raw.endswith(_TAIL)):
        raise CodecError("it does not have the form of a record")
    body = raw[_BODY_AT : -len(_TAIL)]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CodecError("its content does not match its hash")
    cells = _CELLS.search(body, len(body) - 80)
    if cells is None:
        raise CodecError("it does not name its cells")
    return body[: cells.start()] + b"}", cells[1].decode() if cells[1] else None


def _entry(raw: bytes, line: int, offset: int) -> _Entry:
    body, cells = _checked(raw)
    return _Entry(line=line, offset=offset, length=len(raw), head=load_head(body), cells=cells)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _append_whole(fd: int, data: bytes) -> None:
    """Append all of ``data``, or nothing: what a full disk let through is taken back."""
    start = os.fstat(fd).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BaseException:
        os.ftruncate(fd, start)
        raise
