"""The web pages on the listeners of the API: `/`, `/docs` and what they load.

They hold no data: what they show comes from the API, with the token that their user gives. So they need no
token themselves; the access list, the rate limit and TLS apply as to all requests. The files are read at the
first request for one of them.
"""

from __future__ import annotations

from asyncio import Lock
from typing import TYPE_CHECKING, Final

from cbox_init.api.replies import error_response
from cbox_init.logs.daemon import RepeatedError
from cbox_init.threads import NoThreadError, in_thread
from cbox_init.web.pack import ASSETS
from cbox_init.web.site import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cbox_init.config.model import GlobalConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.web.site import Asset, Site

_PAGES: Final = {"/": "index.html", "/docs": "docs.html"}
_TAKES_S: Final = 10.0

#: Scripts, styles, pictures and requests only from this origin, none of them inline, and in no frame.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

#: For what has the digest of its content in its address, and for all else.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


class Pages:
    """The files, shared by all listeners. For the event loop's thread."""

    def __init__(self, settings: Callable[[], GlobalConfig], log: DaemonLog) -> None:
        self._settings = settings
        self._site: Site | None = None
        self._loading = Lock()
        self._failed = RepeatedError(log, "The web pages cannot be read")

    def have(self, path: str) -> bool:
        """Whether a path is one of the pages, or of what they load, and they are turned on."""
        return (path in _PAGES or path.startswith(ASSETS)) and self._settings().api_ui

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            headers = {"allow": "GET, HEAD", **_HEADERS}
            await error_response(405, "method not allowed", headers=headers)(scope, receive, send)
            return
        try:
            site = await self._current()
        except (NoThreadError, TimeoutError, OSError, ValueError) as error:
            self._failed.report(error)
            headers = {"retry-after": "5", **_HEADERS}
            detail = "the API works without them; the log of the daemon has the reason"
            refusal = error_response(503, "the web pages cannot be read", (detail,), headers)
            await refusal(scope, receive, send)
            return
        name, caching = _asked_for(scope["path"], site.digest)
        page = site.files.get(name)
        if page is None:
            await error_response(404, "not found", headers=_HEADERS)(scope, receive, send)
            return
        await _send(page, caching, scope, send)

    async def _current(self) -> Site:
        """The files as they are now; those of an installed package do not change."""
        async with self._loading:
            site = self._site
            if site is None or site.state:
                site = self._site = await in_thread(
                    lambda: load(self._site), name="api-pages", timeout_s=_TAKES_S
                )
            return site


class WithPages:
    """Sends requests for the pages to them, and all else to ``app``."""

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._pages if self._pages.have(scope["path"]) else self._app)(scope, receive, send)


def _asked_for(path: str, digest: str) -> tuple[str, str]:
    """The name of the file of a path, and how long it may be kept."""
    if path in _PAGES:
        return _PAGES[path], _ASK_AGAIN
    name = path.removeprefix(ASSETS)
    if name.endswith(".html"):
        return "", _ASK_AGAIN
    if name.startswith(f"{digest}/"):
        return name.removeprefix(f"{digest}/"), _FOR_EVER
    return name, _ASK_AGAIN


async def _send(page: Asset, caching: str, scope: Scope, send: Send) -> None:
    zipped = _takes_gzip(_values(scope, b"accept-encoding"))
    etag = f'"{page.etag}-gzip"' if zipped else f'"{page.etag}"'
    headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    headers += [
        (b"etag", etag.encode()),
        (b"cache-control", caching.encode()),
        (b"vary", b"accept-encoding"),
    ]
    if _has(_values(scope, b"if-none-match"), etag):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    body = page.compressed if zipped else page.content()
    headers += [(b"content-type", page.media.encode()), (b"content-length", b"%d" % len(body))]
    if zipped:
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _values(scope: Scope, wanted: bytes) -> str:
    """All values of a header as one list."""
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    weights = dict(map(_weight, accepted.split(",")))
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(entry: str) -> tuple[str, float]:
    """An encoding and its weight, which is 0 where it cannot be read."""
    name, *parameters = entry.split(";")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return name.strip().lower(), float(value)
            except ValueError:
                return name.strip().lower(), 0.0
    return name.strip().lower(), 1.0


def _has(listed: str, etag: str) -> bool:
    """Whether an If-None-Match header names ``etag``; a proxy that compresses makes it weak."""
    found: Iterable[str] = (one.strip() for one in listed.split(","))
    return any(one == "*" or one.removeprefix("W/") == etag for one in found)
