"""nbgrader's formgrader opens what a real run leaves behind."""

import subprocess

import pytest
from tiny_class import command, hand_in, lay_out, notebook

from grader.config import load_course


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("formgrader"))
    hand_in(folder, "ada", notebook())
    hand_in(folder, "bob", notebook(scale=None))
    hand_in(folder, "eve", b"no notebook at all")
    done = subprocess.run(command("grade", "tiny", "--course", folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_formgrader_reads_marks_and_notebooks_of_a_real_run(course):
    """Its API lists the assignment, the scores in the gradebook, and the executed notebooks."""
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(course / "nbgrader")
    config.CourseDirectory.db_url = load_course(course).gradebook_url
    config.Exchange.root = str(course / "exchange")
    api = NbGraderAPI(config=config)
    assert [assignment["name"] for assignment in api.get_assignments()] == ["tiny"]
    submissions = {item["student"]: item for item in api.get_submissions("tiny")}
    assert submissions["ada"]["score"] == 9.0  # of 10: one point is for a person to give
    assert submissions["bob"]["score"] < 9.0
    assert submissions["ada"]["autograded"]
    assert {item["student"] for item in api.get_notebook_submissions("tiny", "tiny")} == {"ada", "bob"}


def test_the_notebooks_are_valid_and_hold_outputs(course):
    """What lies in autograded/ is a valid notebook whose exercise cells carry nbgrader's ids."""
    import nbformat

    made = nbformat.read(course / "nbgrader" / "autograded" / "ada" / "tiny" / "tiny.ipynb", as_version=4)
    nbformat.validate(made)
    assert any(cell.metadata.get("nbgrader", {}).get("grade_id") for cell in made.cells)
