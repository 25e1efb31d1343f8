"""Plots as inline SVG that follows the page: matplotlib lays them out, the page's style sheet colours them.

matplotlib writes ``style`` attributes, a style block, metadata and ids; the page's policy allows no ``style`` attribute
and two plots must not share ids. So a figure is drawn with a few *marker colours*, and each element is rewritten: its
style becomes presentation attributes, a marker colour becomes a class (``f-good``: fill, ``s-quiet``: stroke) that
``class_report.css`` resolves for light and dark, text becomes ``<text>`` in the page's own font. The result depends
on the figures alone: no time, no random ids.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grader.model import Measurement

__all__ = ["ExerciseShares", "exercise_plot", "measurement_plot", "score_histogram"]

_MARKERS = {
    "#010101": "ink",
    "#020202": "quiet",
    "#030303": "line",
    "#040404": "accent",
    "#050505": "good",
    "#060606": "some",
    "#070707": "none",
    "#080808": "card",
    "#090909": "median",
}
_COLOUR = {name: colour for colour, name in _MARKERS.items()}
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_KEPT_STYLES = frozenset({
    "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linejoin", "stroke-linecap",
    "opacity", "fill-opacity", "stroke-opacity", "text-anchor", "font-weight",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseShares:
    """How a class did on one exercise: parts of the class, adding up to 1."""

    title: str
    full: float
    """Earned all points."""
    some: float
    """Earned some."""
    none: float
    """Earned nothing."""
    mean: float
    """Mean share of the points, 0 to 1."""


def score_histogram(counts: Sequence[int], edges: Sequence[float], *, median: float, label: str, wide: bool) -> Markup:
    """Bars of how many submissions lie between neighbouring edges, and a line at the median.

    Args:
        counts: One a bar.
        edges: One more than counts, ascending; the last bar includes its right edge.
        median: Points.
        label: What a screen reader says instead.
        wide: Laid out for a desk rather than a phone; the style sheet shows one of the two.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(9.4, 2.7) if wide else _figure(4.3, 2.4)
    widths = [right - left for left, right in itertools.pairwise(edges)]
    gap = 0.06 * min(widths)
    axes.bar(
        [left + gap for left in edges[:-1]],
        counts,
        width=[width - 2 * gap for width in widths],
        align="edge",
        color=_COLOUR["accent"],
        linewidth=0,
    )
    top = max([1, *counts])
    for left, width, count in zip(edges, widths, counts, strict=False):
        if count:
            axes.text(left + width / 2, count + top * 0.025, f"{count}", ha="center", va="bottom", **_text(9, "ink"))
    bins = zip(counts, itertools.pairwise(edges), strict=False)
    there = [count for count, (left, right) in bins if left <= median <= right]
    bar = max(there, default=0)
    for low, high in ((0, bar), (bar + top * 0.15, top * 1.17)):  # with a gap for the number that stands on the bar
        axes.plot([median, median], [low, high], color=_COLOUR["median"], linewidth=1.6, dashes=(4, 3))
    axes.text(median, top * 1.2, "median", ha=_side(median, edges), va="bottom", **_text(9, "median"))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, top * 1.17)
    axes.set_xlabel("points", **_text(9, "quiet"))
    axes.set_ylabel("submissions", **_text(9, "quiet"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.grid(axis="y", color=_COLOUR["line"], linewidth=0.8)
    return _svg(figure, "histogram", label, wide)


def exercise_plot(exercises: Sequence[ExerciseShares], *, label: str, wide: bool) -> Markup:
    """One bar an exercise: who earned all of its points, some, none; and the mean beside it."""
    height = 0.75 + 0.36 * len(exercises)
    figure, axes = _figure(9.4 if wide else 4.3, height)
    rows = range(len(exercises))
    left = [0.0] * len(exercises)
    for kind in ("full", "some", "none"):
        parts = [100 * float(getattr(exercise, kind)) for exercise in exercises]
        axes.barh(rows, parts, left=left, height=0.62, color=_COLOUR["good" if kind == "full" else kind], linewidth=0)
        left = [start + part for start, part in zip(left, parts, strict=True)]
    for row, exercise in zip(rows, exercises, strict=True):
        axes.text(102, row, f"{round(100 * exercise.mean)} %", ha="left", va="center", **_text(9, "ink"))
    axes.text(102, -0.75, "mean", ha="left", va="center", **_text(9, "quiet"))
    axes.set_yticks(rows, [_short(exercise.title, 40 if wide else 20) for exercise in exercises], **_text(9, "ink"))
    axes.set_ylim(len(exercises) - 0.45, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of submissions", **_text(9, "quiet"))
    return _svg(figure, "exercises", label, wide)


def measurement_plot(measured: Measurement, *, name: str, label: str) -> Markup:
    """A race as a point with its interval beside the reference and the limits; growth as a curve over the size.

    Args:
        measured: What was measured.
        name: Unique on the page.
        label: What a screen reader says instead.
    """
    return _curve(measured, name, label) if measured.curve else _line(measured, name, label)


def _line(measured: Measurement, name: str, label: str) -> Markup:
    figure, axes = _figure(6.4, 1.15)
    relative = measured.unit == "× the reference"
    least = 1e-3 if relative else 1.0
    value, low, high = (max(each if each is not None else measured.value, least) for each in (
        measured.value, measured.low, measured.high
    ))  # fmt: skip
    limits = [limit for limit, _ in measured.limits]
    places = [value, low, high, *limits, *([1.0] if relative else [])]
    axes.set_xscale("log")
    axes.set_xlim(min(places) / 1.6, max(places) * 1.6)
    axes.set_ylim(-1, 1.6)
    axes.set_yticks([])
    if relative:
        axes.axvline(1.0, color=_COLOUR["quiet"], linewidth=1.2)
        axes.text(1.0, 1.0, "reference", ha="center", va="bottom", **_text(9, "quiet"))
    for limit in limits:
        axes.axvline(limit, color=_COLOUR["median"], linewidth=1.4, dashes=(4, 3))
    axes.text(limits[0], 1.0, "limit" if len(limits) == 1 else "limits", ha="center", va="bottom", **_text(9, "median"))
    axes.plot([low, high], [0, 0], color=_COLOUR["accent"], linewidth=3.0)
    axes.scatter([value], [0], s=64, color=_COLOUR["accent"], linewidths=0, zorder=3)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(measured.unit, **_text(9, "quiet"))
    return _svg(figure, name, label, wide=True)


def _curve(measured: Measurement, name: str, label: str) -> Markup:
    figure, axes = _figure(6.4, 2.2)
    sizes = [size for size, _ in measured.curve]
    costs = [max(cost, 1e-9) for _, cost in measured.curve]
    axes.set_xscale("log")
    axes.set_yscale("log")
    limit = measured.limits[0][0]
    due = [costs[0] * (size / sizes[0]) ** limit for size in sizes]
    axes.plot(sizes, due, color=_COLOUR["median"], linewidth=1.4, dashes=(4, 3))
    axes.text(sizes[-1], due[-1], f"limit: size to the {limit:g}", ha="right", va="bottom", **_text(9, "median"))
    axes.plot(sizes, costs, color=_COLOUR["accent"], linewidth=2.2, marker="o", markersize=5, markeredgewidth=0)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel("size", **_text(9, "quiet"))
    axes.set_ylabel("seconds" if measured.kind == "growth" else measured.kind, **_text(9, "quiet"))
    return _svg(figure, name, label, wide=True)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches with one plain pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_COLOUR["line"])
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_COLOUR["quiet"], labelsize=9)
    return figure, axes


def _text(size: int, colour: str) -> dict[str, Any]:
    return {"fontsize": size, "color": _COLOUR[colour]}


def _side(median: float, edges: Sequence[float]) -> str:
    """Which way the median's label hangs, so that it stays inside."""
    place = (median - edges[0]) / (edges[-1] - edges[0])
    return "left" if place < 0.1 else "right" if place > 0.9 else "center"


def _short(title: str, limit: int) -> str:
    plain = title.replace("$", "\\$")
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def _svg(figure: Figure, prefix: str, label: str, wide: bool) -> Markup:
    import matplotlib as mpl

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "grader", "svg.id": None, "text.parse_math": False}
    with mpl.rc_context(settings), io.StringIO() as out:
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        drawn = out.getvalue()
    ET.register_namespace("", "http://www.w3.org/2000/svg")
    root = ET.fromstring(drawn[drawn.index("<svg") :])  # noqa: S314 - matplotlib's own output
    used = _references(root)
    size = "wide" if wide else "narrow"
    _rewrite(root, f"{prefix}-{size}", used)
    box = root.get("viewBox", "0 0 1 1")
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "class": f"plot plot-{size}", "role": "img", "aria-label": label})
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return Markup(text)  # noqa: S704 - serialised by ElementTree, which escapes


def _references(root: ET.Element) -> set[str]:
    """Ids that something refers to: clip paths and markers."""
    found: set[str] = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in {_XLINK, "href"} and value.startswith("#"):
                found.add(value[1:])
            elif value.startswith("url(#"):
                found.add(value[5:].rstrip(")"))
    return found


def _rewrite(element: ET.Element, prefix: str, used: set[str]) -> None:
    """Drop what a page needs not; turn styles into attributes and marker colours into classes."""
    for child in list(element):
        if child.tag in {f"{_SVG}metadata", f"{_SVG}style"} or not isinstance(child.tag, str):
            element.remove(child)
        else:
            _rewrite(child, prefix, used)
    styles = dict(part.split(":", 1) for part in element.attrib.pop("style", "").split(";") if ":" in part)
    classes = []
    for raw_name, raw_value in [
        *styles.items(),
        *((n, element.attrib.pop(n)) for n in ("fill", "stroke") if n in element.attrib),
    ]:
        name, value = raw_name.strip(), raw_value.strip()
        if name in {"fill", "stroke"} and value in _MARKERS:
            classes.append(f"{name[0]}-{_MARKERS[value]}")
        elif name in {"fill", "stroke"} or name in _KEPT_STYLES:
            element.set(name, value)
        elif name in {"font", "font-size"}:
            element.set("font-size", _size(value))
    if classes:
        element.set("class", " ".join(classes))
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", f"{prefix}-{identity}")
    for name, value in list(element.attrib.items()):
        if name == _XLINK:
            del element.attrib[name]
            element.set("href", f"#{prefix}-{value[1:]}")
        elif value.startswith("url(#"):
            element.set(name, f"url(#{prefix}-{value[5:]}")


def _size(font: str) -> str:
    """The size in a ``font`` shorthand, in user units."""
    return next((part.removesuffix("px") for part in font.split() if part.endswith("px")), "10")
