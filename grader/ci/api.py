"""One client for the forges' REST APIs: retries, pages, and errors that say what to do next."""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import httpx

from grader import __version__
from grader.ci.inert import clipped
from grader.errors import ForgeError, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Api"]

ATTEMPTS = 5
LONGEST_WAIT_S = 120.0
MOST_PAGES = 100
_BUSY = frozenset({429, 500, 502, 503, 504})
_TIMEOUT_S = 60.0


class Api:
    """Requests to one forge.

    GET, PATCH and PUT are tried again when the forge is busy or the line breaks; POST only where the forge says that it
    did nothing (a rate limit), because what it makes would be there twice.

    Args:
        name: of the forge, for errors.
        url: of the API, without a slash at its end.
        headers: among them the token.
        sleep: waits so many seconds.
    """

    def __init__(
        self, name: str, url: str, headers: Mapping[str, str], *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            headers={"User-Agent": f"grader/{__version__}", **headers}, timeout=_TIMEOUT_S, follow_redirects=False
        )
        self._sleep = sleep

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def get(self, path: str, *, needs: str | None = None, **query: Any) -> Any:
        """What lies at ``path``. ``needs`` is the right that the token must have, for the error that says so."""
        return self._json(self._request("GET", path, needs=needs, query=query))

    def pages(self, path: str, *, inside: str | None = None, needs: str | None = None, **query: Any) -> Iterator[Any]:
        """Every item of a list that comes in pages; ``inside`` names the key under which the list lies."""
        place, asked = path, {"per_page": 100, **query}
        for _ in range(MOST_PAGES):
            response = self._request("GET", place, needs=needs, query=asked)
            found = self._json(response)
            yield from found if inside is None else found[inside]
            after = response.links.get("next", {}).get("url")
            if not after or not after.startswith(f"{self.url}/"):
                return
            place, asked = after.removeprefix(self.url), {}

    def send(self, method: str, path: str, body: Mapping[str, Any], *, needs: str | None = None) -> Any:
        """Write something; what the forge answers."""
        return self._json(self._request(method, path, needs=needs, body=body))

    def download(self, path: str, most: int, *, needs: str | None = None) -> bytes | None:
        """A file, through one redirect to where it is stored, without the token there; None when it is too large."""
        response = self._request("GET", path, needs=needs)
        place = response.headers.get("location")
        if place is None:
            return response.content if len(response.content) <= most else None
        found = bytearray()
        try:
            with httpx.stream("GET", place, timeout=_TIMEOUT_S, follow_redirects=False) as stored:
                if stored.status_code != 200:
                    raise self._error("GET", path, stored, needs)
                for part in stored.iter_bytes():
                    found += part
                    if len(found) > most:
                        return None
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        return bytes(found)

    def _request(
        self,
        method: str,
        path: str,
        *,
        needs: str | None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._client.request(method, f"{self.url}{path}", params=query or None, json=body)
            except httpx.HTTPError as error:
                if attempt == ATTEMPTS or (method == "POST" and not isinstance(error, httpx.ConnectError)):
                    raise self._silent(error) from error
                self._sleep(self._pause(attempt))
                continue
            if response.status_code < 400:
                return response
            wait = self._wait(method, response, attempt)
            if wait is None or attempt == ATTEMPTS:
                raise self._error(method, path, response, needs)
            self._sleep(wait)
        raise AssertionError(path)

    def _wait(self, method: str, response: httpx.Response, attempt: int) -> float | None:
        """How long to wait before another attempt; None when it is of no use."""
        head = response.headers
        limited = response.status_code == 429 or (
            response.status_code == 403 and ("retry-after" in head or head.get("x-ratelimit-remaining") == "0")
        )
        if limited:
            wait = self._pause(attempt)
            with contextlib.suppress(ValueError):
                if "retry-after" in head:
                    wait = float(head["retry-after"])
                elif "x-ratelimit-reset" in head:
                    wait = float(head["x-ratelimit-reset"]) - time.time() + 1
            return max(0.0, wait) if wait <= LONGEST_WAIT_S else None
        if response.status_code in _BUSY and method != "POST":
            return self._pause(attempt)
        return None

    @staticmethod
    def _pause(attempt: int) -> float:
        return float(2**attempt) / 2 + random.random()  # noqa: S311 - only spreads requests

    def _json(self, response: httpx.Response) -> Any:
        if response.status_code == 204:
            return None
        try:
            return response.json()
        except ValueError:
            raise ForgeError(
                f"{self.name} answered with something that is no JSON",
                place=Place(file=self.url),
                remedy="see that this is the address of its API",
            ) from None

    def _silent(self, error: httpx.HTTPError) -> ForgeError:
        return ForgeError(
            f"{self.name} cannot be reached: {clipped(str(error), 200) or type(error).__name__}",
            place=Place(file=self.url),
            remedy="run the job again: what is marked stays marked",
        )

    def _error(self, method: str, path: str, response: httpx.Response, needs: str | None) -> ForgeError:
        said = ""
        with contextlib.suppress(ValueError, AttributeError, httpx.HTTPError):
            said = clipped(str(response.json().get("message", "")), 200)
        status = f"{response.status_code}: {said}" if said else str(response.status_code)
        what = f"{self.name} refused {method} {clipped(path, 120)} ({status})"
        remedy = "run the job again: what is marked stays marked"
        if response.status_code == 401:
            remedy = "the token is missing, wrong or too old"
        elif response.status_code in (403, 404) and needs is not None:
            remedy = f"the token lacks {needs}; docs/ci.md says where to give it"
        elif response.status_code == 422:
            remedy = "please report this: the request does not fit"
        return ForgeError(what, place=Place(file=self.url), remedy=remedy)
