"""Every input that is kept under ``fuzz/`` goes through its target: what was found once is not found again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
sys.path.insert(0, str(FUZZ))

import targets  # noqa: E402 - lies beside the inputs

INPUTS = sorted(
    path for kind in ("seeds", "regressions") for path in (FUZZ / kind).glob("*/*") if not path.name.startswith(".")
)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: str(path.relative_to(FUZZ)))
def test_a_kept_input_breaks_no_promise(path):
    """The parser gives a value or its own error, and the target's assertions hold."""
    targets.TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds_and_every_folder_a_target():
    """A target without seeds starts from nothing; a folder without a target is never run."""
    seeded = {path.name for path in (FUZZ / "seeds").iterdir() if any(path.iterdir())}
    assert seeded == set(targets.TARGETS)
    assert {path.parent.name for path in INPUTS} == set(targets.TARGETS)


def test_the_oracles_see_what_they_look_for(monkeypatch):
    """Controls: with a wall taken away, the targets notice."""
    from markupsafe import Markup

    from grader.cli import options
    from grader.reports import sanitise

    def bare(text):
        return Markup(text)

    bare.__wrapped__ = bare
    with monkeypatch.context() as patch:
        patch.setattr(sanitise, "markdown_html", bare)
        for text in (b"<script>", b"<p onclick=x>", b'<a href="javascript:x">', b"<!-- x -->", b"\x1b[2J"):
            with pytest.raises(AssertionError):
                targets.markdown(text)
    with monkeypatch.context() as patch:
        patch.setattr(options, "plain", lambda text: text)
        with pytest.raises(AssertionError):
            targets.terminal(b"\x1b[2J")
