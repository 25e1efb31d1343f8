"""What a change hands in, from real repositories: forks, renames, merges, links, submodules, LFS pointers, lies."""

import pytest
from students_repository import commit, fork, git, new_repository
from tiny_class import COURSE, notebook

from grader.ci.change import PullRequest
from grader.ci.marking import collect
from grader.ci.repository import commit_of, read_change
from grader.ci.selection import select
from grader.config import CISettings, load_course
from grader.errors import ChangeError

STARTER = notebook(scale=None, total=None, counter=None)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
BOOK = "tiny/tiny.ipynb"


@pytest.fixture
def students(tmp_path):
    return new_repository(tmp_path / "class", {BOOK: STARTER, "tiny/test_public.py": b"", "README.md": b"Fork me."})


def course_with(**settings):
    return load_course(COURSE / "course.yaml").model_copy(update={"ci": CISettings(**settings)})


def chosen(repository, *, base="main", head="work", author="ada", course=None):
    """(who hands in what, reasons by path) of a change."""
    base, head = commit_of(repository, base), commit_of(repository, head)
    pull = PullRequest(base=base, head=head, author=author)
    found = select(read_change(repository, base, head), pull, course or course_with())
    works = {(work.student, work.assignment): [entry.path for entry, _ in work.files] for work in found.handed_in}
    return works, {remark.path: remark.reason for remark in found.remarks}


@pytest.fixture
def work(students, tmp_path):
    return fork(students, tmp_path / "work")


def test_a_notebook_is_handed_in(work):
    """The changed notebook is the author's."""
    commit(work, {BOOK: notebook()})
    assert chosen(work) == ({("ada", "tiny"): [BOOK]}, {})


def test_what_belongs_to_the_course_is_left_aside(work):
    """Tests, workflows, course.yaml and configuration of pytest are flagged, and hand in nothing."""
    names = ["tiny/test_public.py", "tiny/given.py", "tiny/data/x.csv", ".github/workflows/x.yml", "course.yaml"]
    names += ["conftest.py", ".gitattributes", "solutions/tiny/tiny.py", "tiny/conftest.py"]
    commit(work, dict.fromkeys(names, b"mine"))
    assert chosen(work) == ({}, dict.fromkeys(names, "course-file"))


def test_a_renamed_notebook_counts_under_its_new_name(work):
    """git's rename is found, also with a change of content; where it was, it is named as gone."""
    commit(work, {BOOK: None, "tiny/final version.ipynb": notebook(scale=None, total=None)})
    assert chosen(work) == ({("ada", "tiny"): ["tiny/final version.ipynb"]}, {BOOK: "removed"})


def test_several_notebooks_are_all_handed_over(work):
    """Without one of the right name, all there are go to the reader of submissions, which says what is wrong."""
    commit(work, {BOOK: None, "tiny/a.ipynb": notebook(), "tiny/b.ipynb": notebook()})
    assert chosen(work)[0] == {("ada", "tiny"): ["tiny/a.ipynb", "tiny/b.ipynb"]}


def test_what_others_merged_is_not_the_changes(students, work):
    """After main went on, and after main was merged into the branch, only the branch's own work is the change's."""
    commit(work, {BOOK: notebook()})
    commit(students, {"other/notes.md": b"news", ".github/workflows/mark.yml": b"new"}, "News")
    git(work, "fetch", "--quiet", "origin")
    assert chosen(work, base="origin/main") == ({("ada", "tiny"): [BOOK]}, {})
    git(work, "merge", "--quiet", "-m", "Merge", "origin/main")
    assert chosen(work, base="origin/main") == ({("ada", "tiny"): [BOOK]}, {})


def test_links_and_submodules_are_named_and_not_followed(work):
    """A link for a notebook, to the solutions or to nowhere, hands in nothing; nor does a submodule."""
    (work / BOOK).unlink()
    (work / BOOK).symlink_to("/etc/passwd")
    commit(work, {})
    assert chosen(work) == ({}, {BOOK: "link"})
    (work / BOOK).unlink()
    head = git(work, "rev-parse", "HEAD")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{head},{BOOK}")
    git(work, "commit", "--quiet", "-m", "Submodule")
    assert chosen(work) == ({}, {BOOK: "submodule"})


def test_a_pointer_of_lfs_is_named(work, tmp_path):
    """It is handed in, to be marked as the file that it is, and named; no filter of the change runs."""
    (work / ".git" / "info" / "attributes").write_text("*.ipynb filter=evil\n")
    git(work, "config", "filter.evil.smudge", f"touch {tmp_path}/was-here; cat")
    commit(work, {BOOK: POINTER})
    assert chosen(work) == ({("ada", "tiny"): [BOOK]}, {BOOK: "lfs"})
    assert not (tmp_path / "was-here").exists()


def test_a_removed_notebook_hands_in_nothing(work):
    """What was marked stays marked."""
    commit(work, {BOOK: None})
    assert chosen(work) == ({}, {BOOK: "removed"})


@pytest.mark.parametrize(
    ("author", "works", "flagged"),
    [
        ("ada", {("ada", "tiny")}, {"ben/tiny/tiny.ipynb"}),
        ("octocat", {("ben", "tiny")}, {"ada/tiny/tiny.ipynb"}),
        (None, {("ada", "tiny"), ("ben", "tiny")}, set()),
        ("../ada", set(), {None}),
    ],
)
def test_one_folder_a_student(work, author, works, flagged):
    """Only the author's own folder counts, by account or by the id that course.yaml gives it; others are flagged."""
    commit(work, {"ada/tiny/tiny.ipynb": notebook(), "ben/tiny/tiny.ipynb": notebook()})
    found, reasons = chosen(work, author=author, course=course_with(layout="folder", students={"octocat": "ben"}))
    assert set(found) == works
    assert {path for path, reason in reasons.items() if reason == "not-yours"} == flagged


def test_names_of_files_lead_nowhere(work, tmp_path):
    """Files are written under our names, whatever the change calls them; an older hand-in goes."""
    odd = "tiny/a\n::set-output name=x::y\u202e.IPYNB"
    commit(work, {BOOK: None, odd: notebook()})
    base, head = commit_of(work, "main"), commit_of(work, "work")
    course = course_with()
    course._root = tmp_path / "course"
    (handed_in,) = select(
        read_change(work, base, head), PullRequest(base=base, head=head, author="ada"), course
    ).handed_in
    folder = tmp_path / "course" / "submitted" / "ada" / "tiny"
    folder.mkdir(parents=True)
    (folder / "old.ipynb").write_bytes(b"old")
    assert collect(course, handed_in, "2026-01-01T00:00:00+00:00") == odd
    assert sorted(path.name for path in folder.iterdir()) == ["timestamp.txt", "tiny.ipynb"]


@pytest.mark.parametrize("revision", ["--upload-pack=x", "nowhere", "", "a b", "HEAD:tiny", "0" * 40])
def test_what_is_no_commit_is_an_error(work, revision):
    """A revision that is none, or that looks like an option, is named with what to do."""
    with pytest.raises(ChangeError) as raised:
        commit_of(work, revision)
    assert raised.value.remedy


def test_a_folder_without_a_repository_is_an_error(tmp_path):
    """It is said where there is none."""
    with pytest.raises(ChangeError, match="this is no git repository"):
        commit_of(tmp_path, "main")
