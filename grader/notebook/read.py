"""Bytes of a submission -> ``Notebook``. Nothing is executed, and whatever the bytes are, the work is linear in them.

Theory of operation. This code runs in the trusted process on a student's bytes. It bounds size, nesting and the number
of cells before it builds anything, keeps sources and a bounded copy of the metadata, and drops outputs. It never
imports nbformat (three seconds) and never raises anything but ``NotANotebook``.
"""

from __future__ import annotations

import json
import re
from typing import Any

from grader.model import Flag
from grader.notebook import lenient, percent
from grader.notebook.cells import Cell, NotANotebook, Notebook

__all__ = ["MAX_BYTES", "MAX_CELLS", "read"]

MAX_BYTES = 64 << 20
MAX_CELLS = 100_000
MAX_SCRIPT = 2 << 20
"""Characters of a percent-format script, which is read one by one: a few seconds' work at the worst."""

_SKIP_TAGS = ("check", "see")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_META_DEPTH = 8
_MAX_META_VALUES = 500
_MAX_META_TEXT = 4_000
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SIGNATURES = (
    (b"PK\x03\x04", "a ZIP archive (or a Word or Excel file)"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3", "a database"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
_MEND = "Please hand in the notebook itself (the .ipynb file that Jupyter or Colab saves)."


def read(data: bytes, *, max_bytes: int = MAX_BYTES) -> Notebook:
    """Read a notebook (nbformat 3 or 4, or a percent-format script), mending what tools and transfers break.

    Raises:
        NotANotebook: with a sentence for the student.
    """
    if not data.strip(b" \t\r\n\x00"):
        raise NotANotebook(f"The file is empty. {_MEND}")
    if len(data) > max_bytes:
        raise NotANotebook(
            f"The file is larger than {max_bytes >> 20} MiB. Clear the outputs of all cells, save and hand it in again."
        )
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise NotANotebook(f"The file is {what}, not a notebook. {_MEND}")
    text, flags = _decode(data)
    if text.startswith("{"):
        return _from_json(text, flags)
    if percent.is_percent(text[:MAX_SCRIPT]):
        if len(text) > MAX_SCRIPT:
            raise NotANotebook(f"The script is larger than {MAX_SCRIPT >> 20} MiB. {_MEND}")
        cells = percent.parse(text)
        if len(cells) > MAX_CELLS:
            raise NotANotebook(f"The notebook has more than {MAX_CELLS} cells.")
        return _notebook(cells, "python", flags)
    raise NotANotebook(_what_else(text))


def _decode(data: bytes) -> tuple[str, list[Flag]]:
    flags: list[Flag] = []
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    if encoding is None:
        zeros = "".join("0" if byte == 0 else "x" for byte in data[:4])
        encoding = {"x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(zeros)
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        text = data.decode(encoding or "utf-8", errors="replace")
        flags.append(
            Flag(id="repaired", text="The file is not valid UTF-8; characters that could not be read were replaced.")
        )
    text = text.lstrip("\ufeff \t\r\n\x00")
    if "\x00" in text:
        text = text.replace("\x00", "")
        flags.append(_NULLS)
    return text, flags


_NULLS = Flag(id="repaired", text="The file contained null bytes; they were removed.")


def _from_json(text: str, flags: list[Flag]) -> Notebook:
    try:
        parsed = lenient.parse(text)
    except lenient.TooMuch as error:
        raise NotANotebook(
            f"The file {error}, which no notebook needs. Clear the outputs of all cells, save and hand it in again."
        ) from None
    if parsed is None:
        if not re.search(r'"(?:cells|worksheets|nbformat)"', text):
            raise NotANotebook(f"The file is neither a notebook nor valid JSON. {_MEND}")
        raise NotANotebook(
            "The notebook is damaged: no complete cell could be read. Open it in Jupyter, save it and hand it in again."
        )
    raw, language = _raw_cells(parsed.value)
    if len(raw) > MAX_CELLS:
        raise NotANotebook(f"The notebook has more than {MAX_CELLS} cells.")
    if parsed.is_partial:
        flags.append(
            Flag(
                id="repaired",
                text=f"The file is damaged or cut off; {len(raw)} complete cells could be read from it.",
            )
        )
    cells = [cell for cell in (_cell(entry) for entry in raw) if cell is not None]
    if len(cells) < len(raw):
        flags.append(Flag(id="repaired", text=f"{len(raw) - len(cells)} entries that are no cells were left out."))
    if not cells:
        raise NotANotebook(f"The notebook has no cells. {_MEND}")
    return _notebook(cells, language, flags)


def _raw_cells(value: Any) -> tuple[list[Any], str]:
    """The list of cells and the language, from nbformat 4 or 3."""
    if not isinstance(value, dict):
        raise NotANotebook(f"The file is JSON, but not a notebook. {_MEND}")
    cells = value.get("cells")
    if not isinstance(cells, list):
        sheets = value.get("worksheets")
        if not isinstance(sheets, list):
            raise NotANotebook(f"The file is JSON, but not a notebook: it has no cells. {_MEND}")
        cells = []
        for sheet in sheets:
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list):
                cells.extend(sheet["cells"])
    language: Any = None
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        for section, key in (("kernelspec", "language"), ("language_info", "name")):
            part = metadata.get(section)
            language = language or (part.get(key) if isinstance(part, dict) else None)
    return cells, language.strip().lower()[:40] if isinstance(language, str) and language.strip() else "python"


def _cell(entry: Any) -> percent.RawCell | None:
    if not isinstance(entry, dict):
        return None
    kind = entry.get("cell_type")
    source = _joined(entry.get("source", entry.get("input")))
    if source is None:
        return None
    if kind == "heading":
        level = entry.get("level")
        kind, source = "markdown", "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1) + " " + source
    elif kind not in ("code", "markdown", "raw"):
        kind = "code" if kind is None and ("outputs" in entry or "execution_count" in entry) else "raw"
    metadata = entry.get("metadata")
    name = entry.get("id")
    if not isinstance(name, str) and isinstance(metadata, dict):
        name = metadata.get("id")  # Colab's place for it
    return percent.RawCell(
        cell_type=kind,
        source=source,
        metadata=metadata if isinstance(metadata, dict) else {},
        id=name[:64] if isinstance(name, str) and name else None,
    )


def _joined(source: Any) -> str | None:
    if source is None:
        return ""
    if isinstance(source, str):
        return source
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return None


def _notebook(raw: list[percent.RawCell], language: str, flags: list[Flag]) -> Notebook:
    cells: list[Cell] = []
    has_nulls = has_surrogates = False
    for entry in raw:
        source = entry.source
        has_nulls |= "\x00" in source
        has_surrogates |= _SURROGATE.search(source) is not None
        metadata = bounded(entry.metadata)
        tags = metadata.get("tags")
        names = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
        exercise = metadata.get("exercise")
        cells.append(
            Cell(
                index=len(cells),
                cell_type=entry.cell_type,
                source=_clean(source).replace("\r\n", "\n").replace("\r", "\n"),
                metadata=metadata,
                id=_clean(entry.id) if entry.id else None,
                tags=names,
                exercise=exercise if isinstance(exercise, str) and exercise else None,
                skip=next((tag for tag in _SKIP_TAGS if tag in names and entry.cell_type == "code"), None),
            )
        )
    if has_nulls and _NULLS not in flags:
        flags.append(_NULLS)
    if has_surrogates:
        flags.append(
            Flag(id="repaired", text="The file contained halves of characters (lone surrogates); they were replaced.")
        )
    if language not in ("python", "python3", "ipython"):
        flags.append(
            Flag(
                id="language", text=f"The notebook's kernel is {language!r}, not Python; its cells were run as Python."
            )
        )
    return Notebook(cells=tuple(cells), language=language, repairs=tuple(flags))


def _clean(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text.replace("\x00", ""))


def bounded(value: Any) -> dict[str, Any]:
    """A copy of a JSON object without what is too deep, too long or too much: metadata is never worth more."""
    budget = _MAX_META_VALUES

    def copy(item: Any, depth: int) -> Any:
        nonlocal budget
        budget -= 1
        if budget < 0 or depth > _MAX_META_DEPTH:
            return None
        if isinstance(item, dict):
            return {
                _clean(key[:200]): copy(part, depth + 1)
                for key, part in list(item.items())[: max(budget, 0)]
                if isinstance(key, str)
            }
        if isinstance(item, list):
            return [copy(part, depth + 1) for part in item[: max(budget, 0)]]
        if isinstance(item, str):
            return _clean(item[:_MAX_META_TEXT])
        if isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
            return None
        if isinstance(item, int) and abs(item) > 1 << 53:
            return None
        return item if isinstance(item, bool | int | float) else None

    return {str(key): part for key, part in copy(value, 0).items()} if isinstance(value, dict) else {}


def _what_else(text: str) -> str:
    start = text[:2000].lstrip().lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<?xml", "<body")):
        return f"The file is a web page (HTML), not a notebook. {_MEND}"
    if start.startswith("["):
        return f"The file is JSON, but not a notebook. {_MEND}"
    if re.search(r"^(?:import |from \w+ import |def |class |@|print\()", text[:20_000], re.MULTILINE):
        return f"The file is a Python script, not a notebook. {_MEND}"
    if sum(char == "\ufffd" or (ord(char) < 32 and char not in "\t\n\r\f") for char in text[:2000]) > 20:
        return f"The file is not text, so it is not a notebook. {_MEND}"
    try:
        json.loads(text[:2000])
    except ValueError:
        return f"The file is text, but not a notebook. {_MEND}"
    return f"The file is JSON, but not a notebook. {_MEND}"
