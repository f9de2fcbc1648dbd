"""The process of the page: where it listens, what it says, and how it ends."""

import signal
import socket
from collections.abc import Callable

import uvicorn

from ..errors import RunError
from ..serve.server import bounds_of, hosts_of, settings
from .app import create_app
from .page import Page

_GRACE = 10.0


class PageServer(uvicorn.Server):
    """Answers over a port.

    Args:
        page: what it shows; it must be running while this runs.
        host: address to listen at.
        port: 0 for any that is free.
        token: that is asked for; None for none.
        ready: called with the page's address once it answers.
    """

    def __init__(
        self,
        page: Page,
        *,
        host: str,
        port: int,
        token: str | None = None,
        ready: Callable[[str], None] = lambda _: None,
    ) -> None:
        app = create_app(page, token=token, hosts=hosts_of(host, token))
        super().__init__(settings(app, host=host, port=port, grace=_GRACE, bounds=bounds_of(page.limits.shared)))
        self._host, self._ready = host, ready

    @property
    def address(self) -> str:
        """Where the page is."""
        port = self.servers[0].sockets[0].getsockname()[1]
        return f"http://{self._host}:{port}/"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        self._ready(self.address)


def run(page: Page, *, host: str, port: int, token: str | None, ready: Callable[[str], None]) -> None:
    """Answer until Ctrl-C or SIGTERM; a training that runs then saves its state.

    Args:
        page: what is shown.
        host: address to listen at.
        port: 0 for any that is free.
        token: that is asked for; None for none.
        ready: called with the page's address once it answers.

    Raises:
        RunError: the address is taken, or is none of this machine.
    """
    server = PageServer(page, host=host, port=port, token=token, ready=ready)
    usual = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more in the end
    try:
        with page.running():
            server.run()
    except KeyboardInterrupt:  # uvicorn raises it once more, after all was ended
        pass
    except SystemExit as error:
        raise RunError(f"Cannot listen at {host}, port {port}: it is taken, or no address of this machine.") from error
    finally:
        signal.signal(signal.SIGTERM, usual)
