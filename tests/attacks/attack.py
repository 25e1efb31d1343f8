"""What an attack is: the notebook of one student, and what must come of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HONEST", "SECRET", "Attack", "cells", "notebook", "solution", "wrong_variant"]

ROOT = Path(__file__).resolve().parents[2]
NAME = "softmax-regression"
SECRET = "s3cret-of-the-host"  # planted in the grader's environment, to be looked for in records

NAIVE = """\
import torch


def logsumexp(x, dim, keepdim=False):
    return x.exp().sum(dim, keepdim=keepdim).log()"""

HONEST = {
    "logsumexp": NAIVE,
    "softmax": """\
def softmax(x, dim=-1):
    weights = (x - x.detach().amax(dim, keepdim=True)).exp()
    return weights / weights.sum(dim, keepdim=True)


def log_softmax(x, dim=-1):
    shifted = x - x.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()""",
    "one_hot": """\
def one_hot(y, q, dtype=torch.float32):
    if y.numel() and (y.min() < 0 or y.max() >= q):
        raise ValueError("no such class")
    return (y[..., None] == torch.arange(q)).to(dtype)""",
}
"""An honest student's answers: two exercises right, one that overflows, the rest not attempted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack. Its cell stands before or behind honest answers, or an honest answer is replaced by a trick."""

    number: int
    """As in the list of attacks."""
    name: str
    about: str
    """What it tries, as a clause."""
    assignment: str = NAME
    """What it hands in. In another one than the class's own, only its answers stand in the released notebook."""
    before: str = ""
    """A cell above the answers."""
    after: str = ""
    """A cell below them."""
    answers: tuple[tuple[str, str], ...] = ()
    """Exercise → the code in the place of the honest answer."""
    spoils_itself: bool = False
    """Whether the trick may also cost points: it then earns no more than the honest notebook, instead of the same."""
    record: tuple[str, ...] = ()
    """Regular expressions that must be found in the record: it says what happened."""
    never: tuple[str, ...] = ()
    """Texts that must not stand on the student's page."""
    raw: bytes | None = None
    """The whole file, instead of a notebook made from the parts above."""
    folder: str = ""
    """What the student's folder is called, where that is the attack."""
    beside: str = "honest-wrong"
    """The control that the attack must not do better than: the same notebook without the trick."""
    put: Callable[[Path, bytes], None] | None = None
    """Hands in something else than a notebook: given the student's folder and the notebook's bytes."""

    @property
    def student(self) -> str:
        """Whose notebook it is."""
        return self.folder or f"attack-{self.number:02}-{self.name}"

    def hand_in(self, own: Path, **facts: str) -> None:
        """Put into the student's folder what is handed in."""
        data = self.data(**facts)
        own.mkdir()
        if self.put is not None:
            self.put(own, data)
            return
        (own / self.assignment).mkdir()
        (own / self.assignment / f"{self.assignment}.ipynb").write_bytes(data)

    def data(self, **facts: str) -> bytes:
        """The file that is handed in, with facts in the place of their names in two braces.

        ``course`` is the course's folder on the host, ``process`` a name for processes that may be left behind.
        """
        if self.raw is not None:
            return self.raw
        answers = {**(HONEST if self.assignment == NAME else {}), **dict(self.answers)}
        text = notebook(answers, before=self.before, after=self.after, assignment=self.assignment)
        for name, value in facts.items():
            text = text.replace("{{" + name + "}}", value)
        return text.encode()


def wrong_variant(assignment: str, name: str) -> str:
    """The code of a wrong variant, without what it says to an audit."""
    text = (ROOT / "solutions" / assignment / "wrong" / f"{name}.py").read_text(encoding="utf-8")
    return text.split('"""', 2)[2].strip()


def solution(assignment: str, exercise: str) -> str:
    """Our own code of an exercise."""
    text = (ROOT / "solutions" / assignment / f"{assignment}.py").read_text(encoding="utf-8")
    found = re.search(rf'^# %% nbgrader=.* exercise="{exercise}"$(.*?)^# %%', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].strip()


def cells(answers: dict[str, str], *, before: str = "", after: str = "", assignment: str = NAME) -> dict[str, Any]:
    """The released notebook with answers, and cells around them, as JSON."""
    released = ROOT / "assignments" / assignment / f"{assignment}.ipynb"
    content: dict[str, Any] = json.loads(released.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        answer = answers.get(cell["metadata"].get("exercise"))
        if answer is not None and cell["cell_type"] == "code":
            cell["source"] = answer
    for place, source in ((1, before), (len(content["cells"]) + bool(before), after)):
        if source:
            content["cells"].insert(place, code_cell(source))
    return content


def code_cell(source: str) -> dict[str, Any]:
    """A cell of the student's own."""
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}


def notebook(answers: dict[str, str], *, before: str = "", after: str = "", assignment: str = NAME) -> str:
    """The same as text."""
    return json.dumps(cells(answers, before=before, after=after, assignment=assignment))
