"""What all pages share: templates compiled once, one style block, and the policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from grader.reports import text

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["POLICY_EXCEPT_STYLE", "render"]

_TEMPLATES = Path(__file__).parent / "templates"
POLICY_EXCEPT_STYLE = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of every page; ``style-src`` with the hash of the page's one style block is added."""


def render(template: str, *styles: str, **values: Any) -> str:
    """A whole page from ``templates/<template>``, its style block from ``templates/<styles>``, in order.

    Every string printed goes through ``text.visible`` and autoescape, so the page encodes to UTF-8 whatever the
    values hold.
    """
    style, policy = _style(styles)
    return _environment().get_template(template).render(style=style, policy=policy, **values)


@cache
def _style(names: tuple[str, ...]) -> tuple[Markup, str]:
    """The style block's text and the policy that admits exactly this text."""
    css = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"\n\s*", "\n", css).strip()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    return Markup(css), f"{POLICY_EXCEPT_STYLE}; style-src 'sha256-{digest}'"  # noqa: S704 - our own style sheet


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        points=text.points_text,
        signed=text.signed_points,
        percent=text.percent,
        share=text.share,
        date=text.date_text,
        duration=text.duration_text,
        count=text.count_of,
        count_points=lambda points: f"{text.points_text(points)} {'point' if points == 1 else 'points'}",
        stopped=text.stopped,
    )
    return environment


def _shown(value: Any) -> Any:
    """Jinja2's last look at each printed value: strings lose what cannot be seen, None prints nothing."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.visible(value)
    return value
