"""``python -m grader.config [folder]``: write ``course.schema.json`` and ``docs/course-yaml.md`` anew."""

from __future__ import annotations

import sys
from pathlib import Path

from grader.config.reference import reference, schema_text


def main() -> None:
    """Write both generated files into the course's folder."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    (root / "course.schema.json").write_text(schema_text(), encoding="utf-8")
    (root / "docs" / "course-yaml.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
