"""Files written whole or not at all."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from grader.errors import Place, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMULA", "FORMULA_SIGNS", "replace_file"]

FORMULA_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""For a regular expression's class: what a spreadsheet takes for the start of a formula in a CSV file."""
FORMULA = re.compile(rf'(?:^|[,;"\t])(?=\s*[{FORMULA_SIGNS}])')
"""What comes before such a start, whichever delimiter the spreadsheet takes."""


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and move it there in one step: a reader sees the old file or the new one.

    Folders that are missing are made; a symbolic link in the way is replaced, not followed.

    Raises:
        UsageError: it cannot be written there.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as file:
                file.write(data)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            f"the file cannot be written: {error.strerror or error}",
            place=Place(file=str(path)),
            remedy="choose a folder that you may write to and that has room",
        ) from error
