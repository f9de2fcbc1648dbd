"""What stands before every request of the page: under which name it was asked, and by whose page.

A page on this machine's own address can be reached by every web site that the browser visits. A site can have its own
name lead here (DNS rebinding): the header Host tells. A site can let the browser send something here: the headers
Origin and Sec-Fetch-Site tell, which it cannot change.
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..serve.problems import Problem

_PORT = re.compile(r":\d*$")
_READING = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""Nothing is fetched from elsewhere, and no other page shows this one or reads what it answers."""


class Gate:
    """Middleware of ASGI.

    Args:
        app: what answers.
        hosts: names in the header Host that are answered to, in lower case; None for all.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        problem = self._refused(scope["method"], Headers(scope=scope))
        await (self._app if problem is None else problem.response())(scope, receive, told)

    def _refused(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if self._hosts is not None and _PORT.sub("", host).lower() not in self._hosts:
            return Problem(400, "unknown-host", f"Expected one of the hosts {', '.join(sorted(self._hosts))}.")
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"  # a link to the page is no request
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            foreign = foreign or origin != "null" or method not in _READING
        if foreign and not navigates:
            return Problem(403, "another-page", "Expected a request of this page itself, got one of another page.")
        return None
