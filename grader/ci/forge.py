"""What every forge does for us, and the comment that is written once and then updated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from grader.ci.report import MARKER
from grader.errors import ChangeError, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.ci.api import Api
    from grader.ci.change import Content, PullRequest
    from grader.ci.report import Report

__all__ = ["Forge", "Payload", "name", "parsed", "payload", "required", "say"]

_MOST_PAYLOAD = 32 << 20
_Model = TypeVar("_Model", bound="Payload")


class Forge(Protocol):
    """Where a pull request lives."""

    def pull_request(self) -> PullRequest:
        """Which change is to be marked, in the forge's words. Raises Gone when there is none any more."""
        ...

    def content(self, pull: PullRequest, repository: Path) -> Content:
        """What it holds."""
        ...

    def publish(self, report: Report, *, comment: bool, annotations: bool) -> list[str]:
        """Tell the marks; what was written, a line each. Doing it twice changes nothing."""
        ...


class Payload(BaseModel):
    """A part of what a forge says: of all that it holds, only what is used is read, and it must be of its kind."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def required(environment: Mapping[str, str], variable: str, what: str) -> str:
    """A variable of the job's. Raises ChangeError when it is not set."""
    value = environment.get(variable, "")
    if not value:
        raise ChangeError(f"{variable} is not set", remedy=f"it is {what}; docs/ci.md shows a job that has it")
    return value


def payload(path: str) -> Any:
    """The event that started the job, from its file. Raises ChangeError."""
    place = Place(file=path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_PAYLOAD + 1)
        if len(data) > _MOST_PAYLOAD:
            raise ChangeError("the event's file is too large", place=place)
        return json.loads(data)
    except (OSError, ValueError, RecursionError):
        raise ChangeError("the event's file cannot be read", place=place, remedy="run this in a job of CI") from None


def parsed(model: type[_Model], value: Any, what: str, remedy: str | None = None) -> _Model:
    """``value`` as a model. Raises ChangeError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ChangeError(f"{what} has no usable {key}: {first['msg'].lower()}", remedy=remedy) from None


def say(
    api: Api, comments: Iterable[Any], mine: str | int, text: str, *, create: str, update: str, put: str, needs: str
) -> str:
    """Write our comment, or bring the one that is there up to date; what was done.

    Ours is the one that begins with our marker *and* was written by us: a marker that somebody copied is nobody's.

    Args:
        api: the forge.
        comments: those that are there.
        mine: our id or login.
        text: of the comment.
        create: where a new one is posted.
        update: where one is changed; ``{}`` is its id.
        put: the method that changes one.
        needs: the right that the token must have.
    """
    for each in comments:
        author = each.get("user") or each.get("author") or {}
        if str(each.get("body") or "").startswith(MARKER) and mine in (author.get("login"), author.get("id")):
            if each["body"].replace("\r\n", "\n").strip() == text.strip():
                return "comment: unchanged"
            api.send(put, update.format(each["id"]), {"body": text}, needs=needs)
            return "comment: updated"
    api.send("POST", create, {"body": text}, needs=needs)
    return "comment: written"


def name(text: str) -> str:
    """``text`` as a part of an address."""
    from urllib.parse import quote

    return quote(text, safe="")
