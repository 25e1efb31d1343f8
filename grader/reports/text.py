"""Text for pages: untrusted characters made visible, numbers and dates as people write them.

Theory of operation. Names, source, outputs and file names come from students. Jinja2's autoescape takes care of
markup; this module takes care of what is left: characters that move the cursor, reverse the reading order, hide, or
cannot be encoded at all. ``visible`` is applied to *every* string a template prints (see ``pages.environment``).
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

__all__ = [
    "count_of",
    "date_text",
    "display_name",
    "duration_text",
    "percent",
    "points_text",
    "sentence",
    "share",
    "signed_points",
    "stopped",
    "terminal_text",
    "visible",
]

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC strings: window titles, links
    r"|\x1b[ -/]*[0-~]"  # two-character escapes
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI as one C1 character
)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and newline
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, separators, zero width
    "\ud800-\udfff"  # lone surrogates: not encodable
    "\U000e0000-\U000e007f]"  # tag characters
)
_PLAIN_WORD = re.compile(r"[a-z]+(?=[ ,])")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def visible(text: str) -> str:
    r"""``text`` without terminal escapes, and with every unseen character replaced by one that shows.

    Controls, direction marks and zero-width characters become their code point (``⟨U+202E⟩``), lone surrogates
    ``�``. Tab and newline stay, ``\\r\\n`` becomes ``\\n``. The result always
    encodes to UTF-8. Joiners (U+200C, U+200D) stay: scripts and emoji need them.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _TERMINAL.sub("", text.replace("\r\n", "\n"))
    return _UNSEEN.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "�" if 0xD800 <= code <= 0xDFFF else f"⟨U+{code:04X}⟩"


def terminal_text(text: str) -> str:
    """What a terminal would show of ``text`` in the end: a progress bar's last state, not each one."""
    text = _TERMINAL.sub("", text.replace("\r\n", "\n"))
    if "\r" in text:
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    return visible(text)


def display_name(name: str, fallback: str = "", *, limit: int = 80) -> str:
    """A person's name on one line: unseen characters removed, blanks collapsed, at most ``limit`` characters."""
    for candidate in (name, fallback):
        text = " ".join(_UNSEEN.sub(" ", _TERMINAL.sub("", candidate)).split())
        if text:
            return text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "(no name)"


def points_text(points: float) -> str:
    """``4``, ``2.5``, ``0.33``: at most two decimals, a true minus sign."""
    if not math.isfinite(points):
        return "–"
    text = f"{abs(points):.2f}".rstrip("0").rstrip(".")
    return f"−{text}" if points < 0 and text != "0" else text


def signed_points(points: float) -> str:
    """``+4``, ``−1.5``, ``0``."""
    text = points_text(points)
    return f"+{text}" if points > 0 and text != "0" else text


def share(part: float, whole: float) -> float:
    """``part / whole`` between 0 and 1; 0 when there is no whole."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 and math.isfinite(part) else 0.0


def percent(part: float, whole: float) -> str:
    """``87 %``, rounded, but 100 % only for all and 0 % only for nothing."""
    value = share(part, whole)
    rounded = round(100 * value)
    if 0 < value < 1:
        rounded = min(99, max(1, rounded))
    return f"{rounded} %"


def count_of(number: int, one: str, many: str | None = None) -> str:
    """``1 check``, ``2 checks``, ``12 000 submissions``."""
    return f"{number:,} ".replace(",", "\u202f") + (one if number == 1 else many or f"{one}s")


def stopped(text: str) -> str:
    """``text`` with a full stop if it ends without a mark."""
    text = text.strip()
    return text if not text or text[-1] in '.!?…:;”")' else f"{text}."


def sentence(text: str) -> str:
    """A clause that stands alone, as a sentence; a first word that may be code (``dL/dx``) keeps its case."""
    text = stopped(text)
    return text[0].upper() + text[1:] if _PLAIN_WORD.match(text) else text


def date_text(iso: str | None) -> str | None:
    """``3 May 2025, 14:02 (UTC+02:00)`` from ISO 8601; the text itself when it is no date; None from nothing."""
    if not iso:
        return None
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return visible(iso[:40])
    offset = when.utcoffset()
    zone = "" if offset is None else " (UTC)" if offset == timedelta() else f" (UTC{when:%z})"
    zone = re.sub(r"(UTC[+-]\d\d)(\d\d)", r"\1:\2", zone)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M}{zone}"


def duration_text(seconds: float) -> str:
    """``0.2 s``, ``14 s``, ``2 min 5 s``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
