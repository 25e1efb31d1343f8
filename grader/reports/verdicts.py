"""The words and the tone of every verdict, for people."""

from __future__ import annotations

from dataclasses import dataclass

from grader.model import CheckResult, Verdict

__all__ = ["WORDS", "VerdictWords", "is_in_part", "words_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictWords:
    """How one verdict is shown."""

    word: str
    """Beside the icon."""
    tone: str
    """Colour: good, bad, warn, wait or ours."""
    icon: str
    """Name of a symbol in ``templates/icons.html.j2``."""
    sentence: str
    """What to say when the check gave no rationale."""
    short: str
    """In the class report's breakdown."""


WORDS = {
    Verdict.PASS: VerdictWords(word="Passed", tone="good", icon="tick", sentence="", short="passed"),
    Verdict.FAIL: VerdictWords(
        word="Not right yet",
        tone="bad",
        icon="cross",
        sentence="Your code ran, but what it gave is not what the sentence above asks for.",
        short="not right",
    ),
    Verdict.RAISED: VerdictWords(
        word="Raised an error",
        tone="bad",
        icon="bang",
        sentence="Your code raised an error before the check could finish.",
        short="raised",
    ),
    Verdict.TIMEOUT: VerdictWords(
        word="Ran out of time",
        tone="warn",
        icon="clock",
        sentence="Your code took longer than this check allows and was stopped.",
        short="out of time",
    ),
    Verdict.MEMORY: VerdictWords(
        word="Ran out of memory",
        tone="warn",
        icon="stack",
        sentence="Your code asked for more memory than this check allows and was stopped.",
        short="out of memory",
    ),
    Verdict.VIOLATION: VerdictWords(
        word="Stopped by the sandbox",
        tone="bad",
        icon="shield",
        sentence="Your code did something that the sandbox does not allow, so this check could not be finished.",
        short="stopped by the sandbox",
    ),
    Verdict.MISSING: VerdictWords(
        word="Not found",
        tone="bad",
        icon="search",
        sentence="The notebook does not define the name that this check looks for.",
        short="missing",
    ),
    Verdict.SKIPPED: VerdictWords(
        word="Waiting",
        tone="wait",
        icon="pause",
        sentence="This check was not run, because another one has to pass first.",
        short="waiting",
    ),
    Verdict.BROKEN: VerdictWords(
        word="Our fault",
        tone="ours",
        icon="wrench",
        sentence="This check broke on our side: nothing in your work caused it. An instructor will look at it, "
        "and you lose no points by it.",
        short="broke (ours)",
    ),
}
_NOT_WRITTEN = VerdictWords(
    word="Not written yet",
    tone="wait",
    icon="pencil",
    sentence="This part of the exercise is still to be written.",
    short="not written",
)
_IN_PART = VerdictWords(word="Passed in part", tone="warn", icon="tick", sentence="", short="passed in part")


def is_in_part(result: CheckResult) -> bool:
    """Whether it passed on a ramp, somewhere between all points and none."""
    return result.verdict is Verdict.PASS and result.earned < result.check.points


def words_for(result: CheckResult) -> VerdictWords:
    """The words for one result: as its verdict, but for a stub and for a pass that earns a part of the points."""
    if is_in_part(result):
        return _IN_PART
    if result.verdict is not Verdict.PASS and result.kind == "not-implemented":
        return _NOT_WRITTEN
    return WORDS[result.verdict]
