"""The student's notebook with the outputs of our run, as nbformat-4 JSON (for nbgrader's ``autograded`` folder)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.model import CellResult, Output
    from grader.notebook.cells import Notebook

__all__ = ["executed", "to_json"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOT = re.compile(r"<(?=[A-Za-z/!?])|!(?=\[)|&(?=[#A-Za-z])|(?:script|data)(?=[\s\\]*:)", re.IGNORECASE)
"""Where a tag, a picture, an entity or an address that is a program begins."""


def executed(
    notebook: Notebook, cell_results: Iterable[CellResult], *, released: Notebook | None = None
) -> dict[str, Any]:
    """An nbformat 4.5 notebook: the submitted sources and metadata with the outputs that were kept of our run.

    Formgrader shows Markdown as it comes, scripts included, with the rights of whoever marks. So Markdown that is not
    word for word that of ``released`` is made inert: a blank takes its tags, pictures, entities and script links apart.
    """
    ours = {cell.source for cell in released.cells} if released is not None else set()
    results = {result.index: result for result in cell_results}
    made = to_json(notebook)
    count = 0
    for index, cell in enumerate(made["cells"]):
        if cell["cell_type"] == "markdown" and cell["source"] not in ours:
            cell["source"] = _HOT.sub(r"\g<0> ", cell["source"])
        result = results.get(index)
        if cell["cell_type"] != "code" or result is None or result.status in ("skipped", "not-run", "text"):
            continue
        count += 1
        cell["execution_count"] = count
        cell["outputs"] = [_output(output) for output in result.outputs]
    return made


def to_json(notebook: Notebook) -> dict[str, Any]:
    """The notebook without outputs as an nbformat 4.5 dict."""
    taken: set[str] = set()
    cells: list[dict[str, Any]] = []
    for cell in notebook.cells:
        name = cell.id or ""
        if not _ID.fullmatch(name) or name in taken:
            name = f"cell-{cell.index}"
            while name in taken:
                name += "-"
        taken.add(name)
        entry: dict[str, Any] = {
            "cell_type": cell.cell_type,
            "id": name,
            "metadata": _metadata(dict(cell.metadata), cell.tags),
            "source": cell.source,
        }
        if cell.cell_type == "code":
            entry |= {"execution_count": None, "outputs": []}
        cells.append(entry)
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _metadata(metadata: dict[str, Any], tags: tuple[str, ...]) -> dict[str, Any]:
    """Without what nbformat's schema would refuse: keys that it knows, holding the wrong thing."""
    wanted: dict[str, type | tuple[type, ...]] = {
        "collapsed": bool,
        "deletable": bool,
        "editable": bool,
        "execution": dict,
        "format": str,
        "jupyter": dict,
        "name": str,
        "scrolled": bool,
    }
    for key, kind in wanted.items():
        if key in metadata and not isinstance(metadata[key], kind):
            del metadata[key]
    metadata.pop("execution", None)
    metadata.pop("jupyter", None)
    metadata.pop("attachments", None)
    if "tags" in metadata:
        metadata["tags"] = [tag for tag in dict.fromkeys(tags) if "," not in tag]
    return metadata


def _output(output: Output) -> dict[str, Any]:
    if output.kind == "stream":
        name = output.name if output.name in ("stdout", "stderr") else "stdout"
        return {"output_type": "stream", "name": name, "text": output.text}
    if output.kind == "error":
        line = f"{output.name}: {output.text}" if output.text else output.name
        return {"output_type": "error", "ename": output.name, "evalue": output.text, "traceback": [line]}
    data = {"text/plain": output.text}
    if output.png_base64 is not None:
        data["image/png"] = output.png_base64
    return {"output_type": "display_data", "data": data, "metadata": {}}
