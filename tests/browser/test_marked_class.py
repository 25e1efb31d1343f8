"""What a real run leaves behind, opened in a real browser: nothing runs and nobody is called."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path
from urllib.parse import unquote

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))  # tiny_class

from tiny_class import grader, hand_in, lay_out, notebook

from grader.sandbox.bubblewrap import obstacle

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}")

SHOWS = """
from IPython.display import display, HTML, Javascript, SVG, Markdown, Image, IFrame
for text in {texts!r}:
    for kind in (HTML, Javascript, Markdown):
        display(kind(text))
    display({{"text/html": text, "image/svg+xml": text, "text/markdown": text, "text/plain": text}}, raw=True)
    print(text)
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='{script}'><script>{script}</script></svg>"))
display(Image(url="{address}/picture.png"), IFrame("{address}/frame", 9, 9))
raise type({texts!r}[0], (ValueError,), {{}})({texts!r}[0])
"""


MARKDOWN = """# Answer <b>bold</b>

<svg onload='{script}'></svg> <img src={address}/m.png onerror={script}> <SCRIPT>{script}</SCRIPT><a
href=x>x</a> &lt;script&gt; &#60;script&#62; `<script>` $a<b$ [x](javascript:{script}) [y](javascript\\:{script})

<!-- --><script>{script}</script> <? x ?> <![CDATA[ x ]]>
"""


def texts(address):
    """Scripts, handlers, requests and ends of elements; the title of a page that obeys is PWNED."""
    script = f'document.title="PWNED";fetch("{address}/fetch")'
    return [
        f"<script>{script}</script>",
        f"</title></style></script></textarea><script src={address}/s.js></script>",
        f"<img src={address}/i.png onerror='{script}'>",
        f"<svg onload='{script}'><use href='{address}/u.svg#x'/></svg>",
        f"<iframe src='{address}/frame'></iframe><object data='{address}/o'></object><embed src='{address}/e'>",
        f"<link rel=stylesheet href={address}/l.css><style>@import '{address}/i.css';</style>",
        f"<meta http-equiv=refresh content='0;url={address}/away'><base href={address}/>",
        f"<video poster={address}/v.png src={address}/v.mp4 autoplay></video><body background={address}/b.png>",
        f"![picture]({address}/p.png) [link](javascript:{script}) ![x](data:image/svg+xml,<svg onload={script}>)",
    ]


def as_formgrader_shows(path):
    """A notebook as nbconvert makes HTML of it, without what it loads from elsewhere (mathematics, widgets)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nbconvert.exporters import HTMLExporter

        html, _ = HTMLExporter().from_filename(str(path))
    return re.sub(r'<script[^>]*src="https://cdn[^>]*>', "<script>", html).replace("<title>tiny", "<title>quiet")


def test_pages_of_a_hostile_class_run_nothing_and_call_nobody(open_page, canary, tmp_path):
    """Scripts and requests in outputs, Markdown, names of students, classes and files stay text on every page."""
    course = lay_out(tmp_path)
    every = texts(canary.address)
    script = "document.title=`PWNED`"
    shows = SHOWS.format(texts=every, script=script, address=canary.address)
    content = json.loads(notebook(last=shows))
    for kind in ("markdown", "raw"):
        content["cells"].insert(1, {"cell_type": kind, "metadata": {}, "source": "\n\n".join(every)})
    hand_in(course, "shows", json.dumps(content).encode())
    elsewhere = canary.address.replace("/", "\\")  # a folder's name has no slash; browsers take these for some
    for name in (f"<img src={elsewhere}\\n.png onerror={script}>", f"<svg onload={script}>", '"><script>x<'):
        hand_in(
            course, name, notebook(scale=f"def scale(x, factor):  # {every[0]}\n    raise ValueError({every[2]!r})")
        )
    content["cells"][2]["source"] = MARKDOWN.format(script=script, address=canary.address)
    assert content["cells"][2]["cell_type"] == "markdown"
    hand_in(course, "reads", json.dumps(content).encode())
    hand_in(course, "named", b"no notebook", name=f"<svg onload={script}>.ipynb")
    for command in ("grade", "feedback", "report"):
        done = grader(course, command, "tiny")
        assert done.returncode == 0, done.stderr
    pages = [*(course / "feedback").rglob("*.html"), *(course / "reports").rglob("*.html")]
    assert len(pages) == 7
    for page in pages:
        canary.calls.clear()
        canary.pages = {f"/{page.name}": page.read_text(encoding="utf-8")}
        document = open_page(f"{canary.address}/{page.name}")
        assert [unquote(call) for call in canary.calls] == [f"/{page.name}"]
        assert re.search("<title>(?!PWNED)", document)
        assert "PWNED</title>" not in document
        for tag in ("script", "iframe", "object", "embed", "base", "video", 'link rel="stylesheet"'):
            assert f"<{tag}" not in document
    for student in ("shows", "reads"):
        canary.calls.clear()
        canary.pages = {
            "/formgrader": as_formgrader_shows(course / "nbgrader" / "autograded" / student / "tiny" / "tiny.ipynb")
        }
        assert "PWNED</title>" not in open_page(f"{canary.address}/formgrader")
        assert set(canary.calls) <= {"/formgrader", "/favicon.ico"}
    canary.calls.clear()
    canary.pages = {"/control": f"<!doctype html><title>quiet</title><body>{every[2]}"}
    assert "<title>PWNED</title>" in open_page(f"{canary.address}/control")
    assert "/i.png" in canary.calls
