"""The process of a service: where it listens, who may ask, and how it ends."""

import ipaddress
import math
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from ..errors import RunError, UsageError
from .app import create_app
from .connections import Bounds, open_files
from .limits import Limits
from .logs import event
from .service import Service

VARIABLE = "SAM_MPROMPT_TOKEN"
"""The environment variable that may hold the token."""

_SHORTEST = 16
_LONGEST = 4096
_BACKLOG = 1024
_CONNECTIONS = 512
_OTHER_FILES = 256
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def token_of(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the token of a file, else of the environment variable; None where there is neither.

    Raises:
        UsageError: the file cannot be read, or what is in either is no token: 16 to 4096 visible ASCII characters.
    """
    if file is None:
        if VARIABLE not in environment:
            return None
        found, where = environment[VARIABLE], f"${VARIABLE}"
    else:
        try:
            with file.open("rb") as opened:
                found = opened.read(2 * _LONGEST).decode("ascii", "replace")
        except OSError as error:
            raise UsageError(f"Cannot read the token from '{file}': {error.strerror}.") from error
        where = f"'{file}'"
    token = found.strip()
    if not _SHORTEST <= len(token) <= _LONGEST or not all("!" <= character <= "~" for character in token):
        raise UsageError(
            f"Expected a token of {_SHORTEST} to {_LONGEST} visible ASCII characters in {where}, got one of "
            f"{len(token)}. Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'."
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_address(host: str, token: str | None, *, without_token: bool) -> None:
    """Refuse to count for everybody who reaches an address, unless that is what was asked for. Raises UsageError."""
    if token is None and not without_token and not is_loopback(host):
        raise UsageError(
            f"Expected a token where others reach the service, got none for '{host}'.",
            about="token",
            variable=VARIABLE,
        )


def hosts_of(host: str, token: str | None) -> frozenset[str] | None:
    """Return the names under which something that listens at an address is asked; None for all."""
    return None if token is not None or not is_loopback(host) else _LOOPBACK | {host.lower()}


def settings(app: ASGIApp, *, host: str, port: int, grace: float, bounds: Bounds) -> uvicorn.Config:
    """Return how an application answers over a port; in the end it has `grace` seconds to answer what was let in."""
    return uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=port,
        http=bounds.protocol(),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=math.ceil(grace) + 1,
    )


def bounds_of(limits: Limits) -> Bounds:
    """Return what connections are given: room for all requests that are taken, and for many more."""
    return Bounds(_CONNECTIONS + 2 * limits.queue, limits.timeout)


class Server(uvicorn.Server):
    """Answers over a port. Once it is asked to end, new requests are refused and those that were let in are answered.

    Args:
        service: what counts; it must be running while this runs.
        host: address to listen at.
        port: 0 for any that is free; the log says which.
        token: that is asked for; None for none.
    """

    def __init__(self, service: Service, *, host: str, port: int, token: str | None = None) -> None:
        app = create_app(service, token=token, hosts=hosts_of(host, token))
        limits = service.limits
        super().__init__(settings(app, host=host, port=port, grace=limits.timeout, bounds=bounds_of(limits)))
        self._service = service
        service.metrics.watch("connections", "Connections that are open.", lambda: len(self.server_state.connections))

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: hosts and ports."""
        return [listening.getsockname()[:2] for server in self.servers for listening in server.sockets]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self._service.drain()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for host, port in self.addresses:
            event("listening", host=host, port=port, adapters=list(self._service.served))


def run(service: Service, *, host: str, port: int, token: str | None = None) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then those that were let in are answered, and nothing is left behind.

    Args:
        service: what counts.
        host: address to listen at.
        port: 0 for any that is free; the log says which.
        token: that is asked for; None for none.

    Raises:
        RunError: the address is taken, or is none of this machine.
        KeyboardInterrupt: Ctrl-C, after all was answered.
    """
    open_files(_OTHER_FILES + bounds_of(service.limits).most + service.limits.queue)
    server = Server(service, host=host, port=port, token=token)
    usual = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more in the end
    try:
        with service.running():
            server.run()
    except SystemExit as error:
        raise RunError(f"Cannot listen at {host}, port {port}: the log says why. Choose another port.") from error
    finally:
        signal.signal(signal.SIGTERM, usual)
    event("ended")
