"""What a pull request is told: within the policy, in Markdown that is harmless, cut where GitHub cuts."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import cmarkgfm
import pytest
import records_for_reports as records
from cmarkgfm.cmark import Options

from grader.ci.change import PullRequest
from grader.ci.report import MARKER, Marked, Report, annotate, as_data, junit, lines, markdown
from grader.ci.selection import Remark
from grader.model import Verdict

PULL = PullRequest(base="0" * 40, head="1" * 40, number=4, received_at="2026-01-01T10:00:00+00:00")
ODD = "a|b\n::error::x @octocat <img src=x> \x1b[31m\u202e.ipynb"


def report(*found, policy="rationale", **more):
    marked = tuple(
        Marked(record=each, title="Softmax", policy=policy, path="softmax/softmax.ipynb", data=b"") for each in found
    )
    return Report(pull=PULL, marked=marked, remarks=(), **more)


def everything(of):
    """All that is told, in one text."""
    notes = [f"{each.title} {each.message}" for each in annotate(of)]
    return "\n".join([markdown(of), junit(of), json.dumps(as_data(of)), *lines(of), *notes])


def secret(record):
    """The record with evidence, which nobody but an instructor may read, on every check."""
    return replace(record, checks=tuple(replace(each, evidence="EXPECTED 42.1234") for each in record.checks))


@pytest.mark.parametrize("policy", ["rationale", "line", "minimal"])
@pytest.mark.parametrize("make", [records.partial, records.held, records.broken_file])
def test_only_what_the_policy_allows_is_told(policy, make):
    """Evidence is never told; reasons with rationale only; with minimal, no check at all."""
    record = secret(make())
    text = everything(report(record, policy=policy))
    assert "42.1234" not in text
    failed = [each for each in record.checks if each.verdict not in (Verdict.PASS, Verdict.BROKEN, Verdict.SKIPPED)]
    told = re.sub(r"[\\\u200b]", "", text)
    if policy != "rationale":
        assert not any(each.check.hint and each.check.hint in told for each in failed)
        assert not any(each.misconception and each.misconception in told for each in failed)
    if policy == "minimal":
        assert not any(each.check.line in told for each in record.checks)


def test_rationale_is_told_where_it_may_be():
    """The other half of it: with rationale, lines and hints are there."""
    record = records.partial()
    told = re.sub(r"[\\\u200b]", "", markdown(report(record)))
    failed = [each for each in record.checks if each.verdict is Verdict.FAIL]
    assert failed
    assert all(each.check.line in told for each in failed)


def test_a_hostile_record_makes_no_markup():
    """Tags of the comment are ours; no link, picture or mention comes of a submission or of a path."""
    remark = Remark(reason="not-yours", path=ODD, text="Left aside.")
    text = markdown(replace(report(records.hostile()), remarks=(remark,)))
    html = cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)
    tags = set(re.findall(r"</?([a-z]\w*)", html))
    ours = {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li", "strong", "code"}
    assert tags <= ours | {"sub", "blockquote"}
    assert "@octocat" not in html
    assert text.count(MARKER) == 1
    assert not any(line.startswith("::") for line in lines(replace(report(records.hostile()), remarks=(remark,))))


def test_a_long_comment_is_cut_between_sections():
    """It keeps to the limit, closes what it opened, and says where the whole is."""
    whole = report(*[records.partial() for _ in range(60)])
    text = markdown(whole, more="https://github.com/octo-org/class/actions/runs/7")
    assert 60_000 < len(text) <= 65_536
    assert text.count("<details>") == text.count("</details>")
    assert "actions/runs/7" in text
    assert len(markdown(whole, most=10_000_000)) > 65_536


def test_junit_is_xml_whatever_is_in_it():
    """It parses, and its numbers are those of its cases."""
    root = ET.fromstring(junit(report(records.hostile(), records.partial())))
    for suite in root:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))


def test_the_conclusion_is_the_policys():
    """Neutral without a mark and when something of ours broke; else what was asked for decides."""
    half = records.partial()
    share = 100 * half.score / (half.max_score - sum(each.pending for each in half.exercises))
    assert report().conclusion == "neutral"
    assert report(records.held(), require=100).conclusion == "neutral"
    assert report(half).conclusion == "success"
    assert report(half, require=share).conclusion == "success"
    assert report(half, require=share + 1).conclusion == "failure"
    assert report(half, strict=True).conclusion == "failure"
    assert report(records.full_marks(), strict=True, require=100).conclusion == "success"
