"""The page that a student gets."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import records_for_reports as records
from page_reader import Page

import grader.reports
from grader.model import CellResult, Output, Verdict
from grader.reports import feedback_page

TITLES = {"course_title": "Deep Learning", "assignment_title": "Softmax regression"}
EVERY = {
    "full": records.full_marks,
    "partial": records.partial,
    "revised": records.revised,
    "held": records.held,
    "broken file": records.broken_file,
    "nothing written": records.nothing_written,
    "hostile": records.hostile,
}
TEMPLATES = Path(grader.reports.__file__).parent / "templates"


def read(record, **options):
    return Page(feedback_page(record, **TITLES, **options))


@pytest.fixture(params=EVERY, scope="module")
def page(request):
    return read(EVERY[request.param]())


def test_page_is_well_formed(page):
    """Every tag is closed in order, whatever a student writes; ids are unique; links on the page lead somewhere."""
    assert page.open == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    for href in page.attributes("href"):
        assert not href.startswith("#") or href[1:] in ids


def test_page_holds_no_script_and_nothing_remote(page):
    """No script, handler, frame, form, style attribute or remote source is on any page."""
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "audio", "video", "input", "button"}
    assert [link["href"] for link in page.of("link")] == ["data:,"]
    for _, attributes in page.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
    for source in page.attributes("src"):
        assert source.startswith("data:image/png;base64,")
    for anchor in page.of("a"):
        assert re.match(r"https?://|mailto:|#", anchor.get("href", "#"))
        if not anchor.get("href", "#").startswith("#"):
            assert set(anchor["rel"].split()) == {"noopener", "noreferrer", "nofollow"}


def test_policy_admits_the_one_style_block_and_pictures_only(page):
    """The policy names the hash of the style block that is there, and allows data: pictures; all else is forbidden."""
    styles = [text for tag, text in page.texts if tag == "style"]
    digest = base64.b64encode(hashlib.sha256("".join(styles).encode()).digest()).decode()
    assert len(page.of("style")) == 1
    assert page.policy == (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'"
    )
    assert "url(" not in "".join(styles)
    assert "@import" not in "".join(styles)


def test_policy_comes_before_anything_it_governs(page):
    """Only the character set stands before the policy in the head."""
    assert [tag for tag, _ in page.tags][:4] == ["html", "head", "meta", "meta"]
    assert page.of("meta")[1]["http-equiv"] == "Content-Security-Policy"


def test_page_encodes_and_hides_nothing(page):
    """The page is UTF-8 and holds no control, direction mark, zero-width character or terminal escape."""
    page.source.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]", page.source)


def test_headings_and_landmarks_are_in_order(page):
    """One h1, no level is left out, one main, a language, and a skip link that leads to it."""
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert page.of("html")[0]["lang"] == "en"
    assert [main["id"] for main in page.of("main")] == ["main"]
    assert page.of("a")[0]["href"] == "#main"
    own = [int(tag[1]) for tag, _ in page.tags if tag in {"h1", "h2", "h3"}]
    assert all(after - before <= 1 for before, after in itertools.pairwise(own))


def test_evidence_and_instructor_flags_never_show(page):
    """What is for instructors is not in the source of the page at all."""
    assert "EVIDENCE" not in page.source
    assert "INSTRUCTOR" not in page.source


def test_full_marks_say_so():
    """A page on which everything passes shows the score, the praise and the points that a person has yet to give."""
    text = read(records.full_marks()).text
    assert "96 of 100 points" in text
    assert "Every check passes. Very well done!" in text
    assert "4 points are still open" in text


def test_a_failed_check_is_explained():
    """Line, verdict in words, what went wrong, the idea that is off, the hint, and the own line with its cell."""
    page = read(records.partial())
    text = page.text
    assert "softmax stays finite and right for logits as large as 10 000. Not right yet The values differ" in text
    assert "The idea that is off The maximum was taken over the whole tensor, not over each row." in text
    assert "Hint Subtract the row's maximum before exp." in text
    assert "Your cell 7, line 4 return torch.zeros(*y.shape, q, dtype=dtype)" in text
    assert "#cell-7" in page.attributes("href")
    assert "12 of 20 checks pass." in text


def test_a_waiting_check_names_what_it_waits_for():
    """SKIPPED links to the check that has to pass first."""
    page = read(records.partial())
    assert "It waits for “The gradients equal those of autograd to 1e-9.”" in page.text
    assert "#check-gradients_values" in page.attributes("href")


def test_a_stub_is_not_called_an_error():
    """A function that raises NotImplementedError is *not written yet*."""
    text = read(records.nothing_written()).text
    assert "Not written yet" in text
    assert "Raised an error" not in text
    assert "None of the checks passes yet. Below is what each of them looks for." in text


def test_every_verdict_has_a_word_and_an_icon():
    """No verdict is told by colour alone."""
    for verdict in Verdict:
        results = {"softmax_values": records._result("softmax_values", verdict)}
        page = read(records.record(results=results))
        item = page.source.split('id="check-softmax_values"')[1].split("</li>")[0]
        assert f'data-verdict="{verdict.value}"' in item
        assert re.search(r'href="#i-[a-z]+"', item)
        assert re.search(r'class="verdict">[A-Z][a-z ]+<', item)


def test_a_held_page_has_no_score_and_takes_the_blame():
    """A held record shows no number as its score and says that it is ours and that somebody will look."""
    page = read(records.held())
    assert "On hold" in page.text
    assert "You did nothing wrong and need do nothing: an instructor will look at it" in page.text
    assert "This check broke on our side" in page.text
    assert "figure-number" not in "".join(page.attributes("class"))
    assert "How your score came about" not in page.text


def test_an_unreadable_file_gets_its_sentence_once():
    """With nothing that ran, the message says why, and the checks repeat neither hints nor that there was nothing."""
    text = read(records.broken_file()).text
    assert text.count("The file is not a notebook") == 1
    assert "Hint" not in text
    assert "There are no cells to show." in text


def test_score_steps_add_up_to_the_score():
    """Every step is listed with its sign, then the score."""
    text = read(records.partial()).text
    assert "Handed in 1 day late: 10 % off −5.3 Your score 47.7" in text


def test_a_changed_mark_says_when_why_and_what():
    """The latest first: date, scores, the instructor's reason quoted, each changed check by its line, never its id."""
    page = read(records.revised())
    section = page.text.partition("Your mark has changed")[2].partition("Marks by exercise")[0]
    first, second, third = re.split(r"(?=51\.3 → 47\.7|39\.7 → 51\.3|38\.2 → 39\.7)", section)[1:]
    assert first.startswith("51.3 → 47.7 points 7 May 2025, 09:30 (UTC) Checks of this assignment were changed")
    assert "The KL divergence is ∞ where q is 0 and p is not. Passed → Not found 4 → 0 points" in first
    assert "6 May 2025, 10:15 (UTC) Your instructor: The limit on time was too tight" in second
    assert "along the dimension that is asked for. Ran out of time → Passed 0 → 5 points" in second
    assert "to 1e-9. Ran out of time → Not written yet A check" in second
    assert "A check that is no longer part of this assignment Not right yet → gone" in second
    assert third.strip().endswith("the worth of something was changed, and the points added up anew.")
    assert "secret_id_of_a_check" not in page.source
    assert "Your mark has changed" not in read(records.partial()).text


def test_a_changed_mark_under_other_policies():
    """``line`` shows what ``rationale`` does; ``minimal`` only dates, scores and reasons."""
    assert "Ran out of time → Passed" in read(records.revised(), policy="line").text
    text = read(records.revised(), policy="minimal").text
    assert "39.7 → 51.3 points 6 May 2025, 10:15 (UTC) Your instructor: The limit on time was too tight" in text
    assert "Ran out of time →" not in text
    assert "no longer part" not in text


def test_a_mark_that_was_or_is_on_hold_says_so():
    """A record that was held and is not any more has no score before; with the same score, it is not called changed."""
    (first, *_) = records.revised().revisions
    was = replace(first, reason="was held", score_before=None)
    assert "On hold → 39.7 points" in read(replace(records.partial(), revisions=(was,))).text
    now = replace(first, score_after=None)
    assert "38.2 → on hold" in read(replace(records.held(), revisions=(now,))).text
    same = read(replace(records.partial(), revisions=(replace(first, score_after=38.2),))).text
    assert "Your work was marked again 38.2 points, as before" in same
    assert "Your mark has changed" not in same


def test_many_changed_checks_are_folded():
    """More than five are shown when asked for."""
    page = read(records.hostile())
    assert "9 checks changed" in page.text
    assert len(read(records.revised()).of("details")) == len(read(records.partial()).of("details"))


def test_measurements_are_shown_and_said():
    """A race and a growth curve are plots with a sentence each; the policy ``line`` shows neither."""
    text = feedback_page(records.partial(), **TITLES)
    assert "Time: 61 × the reference (between 55 and 70, over 17 pairs). The limit is 20." in text
    assert "Called most often: select 4,096 times, stack once." in text
    assert "Time grows like size to the power of 0.98 (between 0.9 and 1.1, over 9 rounds). The limit is 1.5." in text
    assert text.count('class="measured"') == text.count('class="plot ') == 2
    assert "mathdefault" not in text
    assert "× the reference" not in feedback_page(records.partial(), policy="line", **TITLES)


def test_a_part_of_the_points_and_doubt_are_explained():
    """A pass on a ramp says how much earns what, and gives the hint; an unclear measurement says who profits."""
    record = records.partial()
    (raced,) = (each for each in record.checks if records.RACE in each.measurements)
    ramped = replace(records.RACE, kind="memory", limits=((20.0, 1.0), (80.0, 0.5)), share=0.5, pairs=1)
    cases = (
        (
            ramped,
            raced.check.points / 2,
            "Passed in part",
            "Memory: 61 × the reference. Up to 20 earns all points, up to 80",
        ),
        (
            replace(records.RACE, clear=False),
            raced.check.points,
            "Passed",
            "20. The machine was unsteady, and you have",
        ),
    )
    for measured, earned, word, says in cases:
        now = replace(raced, verdict=Verdict.PASS, earned=earned, measurements=(measured,))
        checks = tuple(now if each is raced else each for each in record.checks)
        text = read(replace(record, checks=checks)).text
        assert says in text
        assert f"{raced.check.line} {word} " in text


def test_policy_line_shows_lines_and_verdicts_only():
    """Under ``line`` there is no rationale, misconception, hint or own line; waiting and broken are still explained."""
    text = read(records.partial(), policy="line").text
    assert "Not right yet" in text
    for hidden in ("The values differ", "idea that is off", "Hint", "Your cell 7", "stopped the check"):
        assert hidden not in text
    assert "It waits for" in text


def test_policy_minimal_shows_counts_only():
    """Under ``minimal`` no check's line is on the page, only how many of an exercise pass."""
    page = read(records.partial(), policy="minimal")
    assert "2 of 3 checks pass." in page.text
    assert not [check.line for check in records.CHECKS if check.line in page.text]
    assert not [href for href in page.attributes("href") if href.startswith("#check-")]


def test_hostile_text_is_shown_as_text():
    """Tags, templates and escapes that a student writes are read, not obeyed."""
    page = read(records.hostile())
    assert "<script src=http://127.0.0.1:9/s.js>" in page.text
    assert "{{ 7 * 191 }}" in page.text
    assert "1337" not in page.text
    assert "⟨U+202E⟩gnp.exe" in page.text
    assert "\x1b" not in page.source


def test_notebook_shows_status_notes_and_marks_the_line():
    """A stopped cell says why, a cell left out says that it costs nothing, the line that raised is marked."""
    page = read(records.partial())
    assert "This cell ran longer than 20 s and was stopped." in page.text
    assert "this costs you nothing" in page.text
    assert "NameError: name 'softmax_regression_grads' is not defined" in page.text
    assert re.search(r'class="hll">.*scatter_', page.source)


def test_long_outputs_are_cut_with_a_sentence():
    """Of 5 000 lines the first and the last are shown, folded, and the page says how many are left out."""
    page = read(records.partial())
    assert "step 0 " in page.text
    assert "step 4999" in page.text
    assert "step 2500" not in page.text
    assert "4\u202f850 lines in the middle left out." in page.source
    assert len(page.source) < 80_000


def test_a_page_has_room_for_so_much():
    """Outputs, cells and pictures beyond the page's budget are left out with a sentence; the page stays under 12 MB."""
    line = "y" * 900 + "\n"
    loud = Output(kind="stream", name="stdout", text=line * 140)
    cells = tuple(CellResult(index=n, cell_type="code", source="x", outputs=(loud,) * 50) for n in range(400))
    page = read(records.record(cells=cells))
    assert "100 more cells are not shown here." in page.text
    assert "10 more outputs are not shown here." in page.text
    assert "longer than this page can hold" in page.text
    assert len(page.source) < 12_000_000


def test_progress_bars_show_their_last_state():
    """Of a line that was written over and over, what stood there in the end is shown."""
    text = read(records.full_marks()).text
    assert "100 %|██████████|" in text
    assert "50 %|" not in text


def test_checks_of_no_listed_exercise_are_shown_too():
    """A record whose exercises are incomplete loses no check."""
    record = records.full_marks()
    text = read(replace(record, exercises=record.exercises[1:])).text
    assert "Other checks" in text
    assert "logsumexp of [0, 0] is log 2." in text


def test_unknown_names_and_dates_are_survived():
    """An empty name falls back on the id, a date that is none is shown as it is."""
    record = records.full_marks()
    submission = replace(record.submission, name="\u200b \x00", student="s17", received_at="yesterday")
    page = read(replace(record, submission=submission, marked_at=""))
    assert "Feedback for s17" in page.text
    assert "Handed in yesterday" in page.text


def _luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _colours(scheme):
    """The custom properties that hold a colour, as the two style sheets set them for a scheme."""
    css = (TEMPLATES / "base.css").read_text() + (TEMPLATES / "feedback.css").read_text()
    media = {"dark": "@media (prefers-color-scheme: dark) {", "print": "@media print {"}
    plain = re.findall(r"^:root \{(.*?)\}", css, re.DOTALL | re.MULTILINE)
    special = re.findall(re.escape(media.get(scheme, "none")) + r"\s*:root \{(.*?)\}", css, re.DOTALL)
    assert len(plain) == 2
    assert len(special) == (2 if scheme in media else 0)
    return dict(re.findall(r"--([\w-]+): (#\w{3,6})", "".join([*plain, *special])))


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_contrast_is_at_least_aa(scheme):
    """Every text colour on every ground it stands on has a contrast of 4.5 : 1 or more."""
    colours = _colours(scheme)
    grounds = dict.fromkeys(("ink", "quiet"), ("bg", "card", "wait-bg", "code"))
    grounds |= {name: ("code",) for name in colours if name.startswith("s-")}
    grounds |= {name: (f"{name}-bg", "card") for name in ("good", "bad", "warn", "wait", "ours", "note")}
    grounds["accent"] = ("bg", "card", "code")
    for name, on in grounds.items():
        for ground in on:
            low, high = sorted((_luminance(colours[name]), _luminance(colours[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)
