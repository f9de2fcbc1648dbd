"""What stands before every request: its number, host and token; what it became is logged and measured."""

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Collection
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import event
from .metrics import Metrics
from .problems import Problem

OPEN = frozenset({"/healthz", "/readyz"})
"""What is answered without a token and under every host name: a probe has neither."""

GONE = 499
"""What is logged of a request whose client has closed the connection, after nginx."""

_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_PORT = re.compile(r":\d*$")


class Guard:
    """Middleware of ASGI.

    Args:
        app: what answers.
        metrics: told of each request.
        routes: paths that are told apart in metrics.
        token: without which nothing but what is open is answered; None for no such thing.
        hosts: names in the header Host that are answered to, in lower case; None for all. A page in a browser that has
            its own name lead to this machine (DNS rebinding) comes under that name.
        open_paths: what is answered without a token and under every name.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        routes: Collection[str],
        token: str | None = None,
        hosts: Collection[str] | None = None,
        open_paths: Collection[str] = OPEN,
    ) -> None:
        self._app, self._metrics, self._routes, self._hosts = app, metrics, routes, hosts
        self._open = open_paths
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, headers = time.perf_counter(), Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex[:16]
        state: dict[str, Any] = scope.setdefault("state", {})
        state |= {"request_id": request_id}
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = MutableHeaders(scope=message)
                own["X-Request-ID"] = request_id
                own["Cache-Control"] = "no-store"
                own["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            problem = self._refused(scope["path"], headers)
            await (self._app if problem is None else problem.response(request_id))(scope, receive, told)
        except Exception as error:  # a fault of this program: told in the log, and the service goes on
            event("fault", level=logging.ERROR, error=error, request_id=request_id)
            if not status:
                detail = "The service failed at this request: its log says why, under this request_id."
                await Problem(500, "fault", detail).response(request_id)(scope, receive, told)
        except asyncio.CancelledError:  # the server ends, and this takes longer than it waits: no fault to log
            if not status:
                later = Problem.later(503, "shutting-down", "This server shuts down: ask again later.", 1)
                await later.response(request_id)(scope, receive, told)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _refused(self, path: str, headers: Headers) -> Problem | None:
        if path in self._open:
            return None
        if self._hosts is not None and _PORT.sub("", headers.get("host", "")).lower() not in self._hosts:
            names = ", ".join(sorted(self._hosts))
            return Problem(
                400, "unknown-host", f"Expected one of the hosts {names}, got '{headers.get('host')!a:.64}'."
            )
        if self._token is None:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return None
        came = "another one" if given else "none"
        detail = f"Expected the token of this service, got {came}. Send it as 'Authorization: Bearer TOKEN'."
        return Problem(401, "unauthorised", detail, {"WWW-Authenticate": "Bearer"})

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        path, state = scope["path"], scope["state"]
        route = path if path in self._routes else "other"
        self._metrics.request(route, status, seconds)
        facts = {"request_id": state["request_id"], "method": scope["method"], "route": route, "status": status}
        facts |= {"adapter": state["adapter"]} if "adapter" in state else {}
        quiet = route in OPEN or route == "/metrics"  # asked every few seconds
        event("request", level=logging.DEBUG if quiet else logging.INFO, **facts, seconds=round(seconds, 4))
