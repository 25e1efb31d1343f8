"""Drive one target of ``targets.py`` with atheris: ``python fuzz/fuzz.py TARGET [options of libFuzzer] [corpora]``.

Without options: the seeds and regressions are the start, what is found is kept in ``fuzz/corpus/TARGET`` and what fails
in ``fuzz/findings/TARGET-…``. Coverage is taken in the grader's own modules and in the parsers written in Python below
them; the ones in C and Rust are driven blindly.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

MAX_CPU_S = 4.0
"""CPU time that one input of the size below may take; wall time says nothing on a busy machine."""
MAX_LENGTH = {"pages": 4_096, "terminal": 4_096, "courses": 4_096}
"""Bytes of an input; 64 KiB where nothing is said."""
RSS_MB = 3_000
"""Memory of the process, torch included."""
TIMEOUT_S = 60
"""Wall time after which an input counts as a hang."""


def main() -> None:
    """Fuzz until libFuzzer's own options say that it is enough."""
    name, *options = sys.argv[1:]
    import torch  # noqa: F401 - imported before it could be instrumented

    with atheris.instrument_imports(include=["grader", "yaml", "markdown_it", "mdit_py_plugins", "zipfile"]):
        import targets
    target = targets.TARGETS[name]
    with atheris.instrument_imports(include=["grader", "yaml", "markdown_it", "mdit_py_plugins", "zipfile"]):
        target(b"")  # whatever it imports is imported now

    def one(data: bytes) -> None:
        began = time.process_time()
        target(data)
        took = time.process_time() - began
        if took > MAX_CPU_S:
            raise AssertionError(f"{len(data)} bytes took {took:.1f} s of CPU time")

    folders = [HERE / "corpus" / name, HERE / "seeds" / name, HERE / "regressions" / name]
    for folder in (*folders, HERE / "findings"):
        folder.mkdir(parents=True, exist_ok=True)
    line = [
        sys.argv[0],
        f"-max_len={MAX_LENGTH.get(name, 65_536)}",
        f"-rss_limit_mb={RSS_MB}",
        f"-timeout={TIMEOUT_S}",
        f"-artifact_prefix={HERE / 'findings' / name}-",
        "-print_final_stats=1",
        *options,
    ]
    if all(option.startswith("-") for option in options):
        line += map(str, folders)
    atheris.Setup(line, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
