"""Keep slow imports of libraries from costing what they need not."""

from __future__ import annotations

import sys

__all__ = ["without_grammars"]


def without_grammars() -> None:
    """Call before importing nbgrader or nbformat: saves 3.6 of their 4 seconds.

    jsonschema imports ``rfc3987_syntax`` if it is there, which compiles a grammar at import time, in order to check
    texts of the format "iri". No schema of nbformat's has such a text, and jsonschema does without when it is missing.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type] # None: the import fails
