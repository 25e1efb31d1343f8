"""Records to canonical JSON and back, strictly.

Canonical: no blanks, UTF-8, fields in the order of ``grader.model``, free keys sorted. Reading builds exactly those
dataclasses: an unknown key, a missing one, a value of another type or a number that is not finite is a
``CodecError``, never a guess. Writing reads its own result back before it lets it go.

Lone surrogates (half a character, which a student's output may hold) have no UTF-8: they are written as U+FFFD.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Any

from grader.model import CellResult, Record, RecordStatus, SubmissionRef

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

__all__ = ["CodecError", "Head", "dump", "dump_cells", "load", "load_cells", "load_head", "whole_text"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_CELLS = tuple[CellResult, ...]


class CodecError(ValueError):
    """Something that is no record, or a record that cannot be written down."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the journal's index needs of a record; whatever else there is goes unread."""

    submission: SubmissionRef
    status: RecordStatus
    assignment_sha256: str
    marked_at: str


def dump(record: Record) -> bytes:
    """The canonical JSON of a record without its cells."""
    record = dataclasses.replace(
        record,
        cells=(),
        limits=dict(sorted(record.limits.items())),
        hardware=dataclasses.replace(record.hardware, versions=dict(sorted(record.hardware.versions.items()))),
    )
    return _dump(Record, record, exclude={"cells"})


def load(body: bytes) -> Record:
    """The record that ``dump`` wrote; its ``cells`` are empty."""
    record: Record = _load(Record, body)
    return record


def dump_cells(cells: tuple[CellResult, ...]) -> bytes:
    """The canonical JSON of executed cells."""
    return _dump(_CELLS, cells)


def load_cells(body: bytes) -> tuple[CellResult, ...]:
    """The cells that ``dump_cells`` wrote."""
    cells: tuple[CellResult, ...] = _load(_CELLS, body)
    return cells


def load_head(body: bytes) -> Head:
    """The beginning of what ``load`` reads, much faster; keys that it does not know are passed over."""
    from pydantic import ValidationError

    try:
        head: Head = _adapter(Head).validate_json(body, strict=True)
    except ValidationError as error:
        raise CodecError(_first(error)) from error
    return head


def whole_text(text: str) -> str:
    """``text`` as the journal keeps it."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _dump(kind: Any, value: Any, *, exclude: set[str] | None = None) -> bytes:
    from pydantic_core import PydanticSerializationError

    try:
        try:
            body = _adapter(kind).dump_json(value, exclude=exclude, warnings="error")
        except PydanticSerializationError:
            value = _whole(value)
            body = _adapter(kind).dump_json(value, exclude=exclude, warnings="error")
    except (PydanticSerializationError, TypeError) as error:
        raise CodecError(str(error)) from error
    if _load(kind, body) != value:  # NaN, for one, is unequal to itself
        raise CodecError("it holds a value that would not be read back as it is")
    return body


def _load(kind: Any, body: bytes) -> Any:
    from pydantic import ValidationError

    try:
        return _strict_validator(kind).validate_json(body, strict=True)
    except ValidationError as error:
        raise CodecError(_first(error)) from error


def _first(error: Any) -> str:
    """The first complaint, without the input: that may be anything a student wrote."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _whole(value: Any) -> Any:
    """``value`` with ``whole_text`` for every text in it."""
    if type(value) is str:
        return whole_text(value)
    if isinstance(value, tuple):
        return tuple(_whole(item) for item in value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _whole(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@functools.cache
def _strict_validator(kind: Any) -> SchemaValidator:
    """Like the adapter's own validator, but unknown keys and numbers that are not finite are errors.

    pydantic takes these settings only from inside a dataclass, and ``grader.model`` knows nothing of pydantic.
    """
    from pydantic_core import SchemaValidator

    return SchemaValidator(_tightened(_adapter(kind).core_schema))


def _tightened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_tightened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _tightened(item) for key, item in schema.items()}
    if schema.get("type") == "dataclass-args":
        schema["extra_behavior"] = "forbid"
    if schema.get("type") == "float":
        schema["allow_inf_nan"] = False
    return schema
