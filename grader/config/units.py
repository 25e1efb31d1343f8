"""Sizes, durations and dates as people write them: ``2 GiB``, ``20 s``, ``2026-03-01 23:59``.

Every function takes what YAML gave and returns a plain number (bytes, seconds) or a datetime; what it cannot read
is a ``ValueError`` whose text says what was expected.
"""

from __future__ import annotations

import difflib
import math
import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

__all__ = ["duration_text", "parse_bytes", "parse_due", "parse_seconds", "parse_timezone", "size_text"]

_BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SECONDS = {
    "ms": 1e-3,
    "s": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "day": 86400.0,
    "days": 86400.0,
}
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]{1,8})?")


def parse_bytes(value: object) -> int:
    """A size in bytes from ``2 GiB``, ``256MB`` or a plain number of bytes."""
    expected = "expected a size such as 512 MiB or 2 GiB"
    number = _quantity(value, _BYTES, expected)
    size = round(number)
    if not 1 <= size <= 1 << 50:
        raise ValueError(f"{expected}, more than nothing")
    return size


def parse_seconds(value: object) -> float:
    """A duration in seconds from ``20 s``, ``500 ms``, ``2 min``, ``1 h``, ``3 days`` or a plain number of seconds."""
    return _quantity(value, _SECONDS, "expected a time such as 20 s, 500 ms or 2 min")


def parse_timezone(value: object) -> str:
    """The name of a time zone that this machine knows, such as ``Europe/Berlin``."""
    expected = "expected the name of a time zone such as Europe/Berlin or UTC"
    if not isinstance(value, str):
        raise ValueError(expected)  # noqa: TRY004 - a ValueError is what pydantic turns into a place
    timezone(value)
    return value


def timezone(name: str) -> tzinfo:
    """The time zone called ``name``; UTC needs no data base. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        meant = difflib.get_close_matches(name[:60], available_timezones(), n=1)
        guess = f" (did you mean {meant[0]}?)" if meant else ""
        raise ValueError(f"expected the name of a time zone such as Europe/Berlin or UTC{guess}") from error


def parse_due(value: object, zone: tzinfo) -> datetime:
    """A moment from ``2026-03-01 23:59`` (in ``zone``) or ``2026-03-01T23:59:00+01:00``."""
    expected = "expected a date and a time such as 2026-03-01 23:59"
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*", value):
        raise ValueError(expected)
    try:
        moment = datetime.fromisoformat(value.replace(" +", "+"))
    except ValueError as error:
        raise ValueError(expected) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def size_text(size: int) -> str:
    """``2 GiB`` for 2147483648: the largest binary unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        scale = _BYTES[unit.lower()]
        if size >= scale and size % scale == 0:
            return f"{size // scale} {unit}"
    return f"{size} B"


def duration_text(seconds: float) -> str:
    """``20 s``, ``10 min``, ``500 ms``: the largest unit that divides it."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.12g} ms"
    for unit, scale in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= scale and seconds % scale == 0:
            count = f"{seconds / scale:.12g}"
            return f"{count} {'day' if count == '1' and unit == 'days' else unit}"
    return f"{seconds:.12g} s"


def _quantity(value: object, units: dict[str, float] | dict[str, int], expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)  # noqa: TRY004 - a ValueError is what pydantic turns into a place
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is None:
            raise ValueError(expected)
        unit = (match[2] or "").lower()
        if match[2] and unit not in units:
            raise ValueError(f"{expected}; {match[2]} is no unit known here")
        number = float(match[1]) * (units[unit] if unit else 1)
    else:
        number = float(value) if abs(value) < 1e18 else math.inf
    if not math.isfinite(number) or number < 0:
        raise ValueError(expected)
    return number
