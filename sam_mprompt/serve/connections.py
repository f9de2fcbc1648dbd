"""Connections of clients: how many are open at a time, and how long one may be kept without anything moving on it.

uvicorn closes a connection 5 seconds after its last answer, and never one that sent no request, sends half of one, or
does not read its answer; its own bound (`limit_concurrency`) refuses requests for as long as there are many
connections, idle ones among them. Here those that are idle make room for those that ask.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from .problems import Problem


@dataclass(frozen=True)
class Bounds:
    """What connections are given.

    Attributes:
        most: how many are open at a time.
        patience: seconds for the head of a request to come, and for which nothing may move while the client is to send
            its body or to read its answer.
        look: seconds between looks at a connection, and for which none is taken for idle: a request may be on its way.
    """

    most: int
    patience: float
    look: float = 1.0

    def protocol(self) -> type[asyncio.Protocol]:
        """Return what uvicorn is to speak with."""
        return cast(type[asyncio.Protocol], partial(Connection, bounds=self))


class Connection(H11Protocol):
    """One connection.

    Where there are as many as are taken, a new one takes the place of that which has been idle longest; where none is
    idle, the new one is told to come again.

    Args:
        bounds: of this and all others.
        more: as uvicorn gives it.
    """

    def __init__(self, *, bounds: Bounds, **more: Any) -> None:
        super().__init__(**more)
        self._bounds, self._queued = bounds, 0
        self._moved = self._idle_since = self.loop.time()
        self._next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        if self._has_room():
            self._next_look = self.loop.call_later(self._bounds.look, self._look)
        else:
            transport.write(_refusal())
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        if self._works:
            self._moved = self.loop.time()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._moved = self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        if self._next_look is not None:
            self._next_look.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    @property
    def _works(self) -> bool:
        """Whether a request is being read or answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _open(self) -> bool:
        return not self.transport.is_closing()

    def _has_room(self) -> bool:
        """Whether there is room for one more, which the one that was idle longest makes where it must."""
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self and one._open]
        if len(others) < self._bounds.most:
            return True
        idle = [one for one in others if not one._works and self.loop.time() - one._idle_since >= self._bounds.look]
        if not idle:
            return False
        min(idle, key=lambda one: one._idle_since).transport.abort()
        return True

    def _look(self) -> None:
        """Close a connection on which the client has moved nothing for too long."""
        now, queued = self.loop.time(), self.transport.get_write_buffer_size()
        waits_for_us = self._works and (self.flow.read_paused or not self.cycle.more_body) and not queued
        if waits_for_us or queued < self._queued:
            self._moved = now
        self._queued = queued
        if now - self._moved <= self._bounds.patience:
            self._next_look = self.loop.call_later(self._bounds.look, self._look)
        elif queued:
            self.transport.abort()  # closing would wait until the client reads the rest
        else:
            self.transport.close()


def open_files(number: int) -> None:
    """Ask the system for as many open files as connections and requests need, where it gives fewer by default."""
    try:
        import resource
    except ImportError:  # Windows, which has no such number
        return
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if least != resource.RLIM_INFINITY and least < number:
        wanted = number if most == resource.RLIM_INFINITY else min(number, most)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _refusal() -> bytes:
    answer = Problem.later(
        503, "too-many-connections", "As many connections are open as are taken. Try again in 1 s.", 1
    ).response()
    head = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in answer.raw_headers)
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}connection: close\r\n\r\n".encode() + bytes(answer.body)
