"""A page of NumPy alone, whose counts are known, and one in a thread that a browser can open."""

import asyncio
from contextlib import contextmanager
from pathlib import Path

import httpx
from small_service import PoolingCounter, served, started

from sam_mprompt.counting.video.every import Every
from sam_mprompt.counting.video.series import count_frames
from sam_mprompt.counting.video.source import open_video
from sam_mprompt.resources import bundled
from sam_mprompt.serve.limits import Limits
from sam_mprompt.ui.app import create_app
from sam_mprompt.ui.limits import PageLimits
from sam_mprompt.ui.page import Page, Settings
from sam_mprompt.ui.server import PageServer

EXAMPLES = {"street": bundled("adapters") / "demo" / "examples" / "street.jpg"}


class Pooling(PoolingCounter):
    """Counts videos too."""

    def count_video(self, source, *, every, adapter, notice):
        video = open_video(source, reading=self.reading, notice=notice)
        return count_frames(video, self.count_many, every=Every.of(every), notice=notice)


def no_load(source):
    raise AssertionError(f"{source} was loaded")


def small_page(workspace, *names, counter=None, load=no_load, examples=EXAMPLES, overrides=(), **limits):
    """A page whose adapters pool; `limits` are those of photographs, or of the page."""
    shared = {name: limits.pop(name) for name in list(limits) if hasattr(Limits, name)}
    given = served(counter or Pooling(), *names)
    settings = Settings(Path(workspace), examples, overrides=overrides)
    return Page(given, load, settings, PageLimits(shared=Limits(**shared), **limits))


class Client:
    """Asks a running page without a network."""

    def __init__(self, page, **options):
        self.page = page
        transport = httpx.ASGITransport(create_app(page, **options), raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def run(self, *coroutines):
        async def all_of_them():
            return await asyncio.gather(*coroutines)

        return asyncio.run(all_of_them())

    def ask(self, method, path, **options):
        return self.run(self.http.request(method, path, **options))[0]

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, value=None, **options):
        return self.ask("POST", path, **({} if value is None else {"json": value}), **options)

    def open(self, image, name="a.png"):
        return self.post("/api/photos", files={"image": (name, image)})

    def opened(self, image, name="a.png"):
        return self.open(image, name).json()["id"]

    def count(self, photo, **asked):
        return self.post(f"/api/photos/{photo}/count", {"adapter": "station", **asked})


@contextmanager
def asking(page, **options):
    """Yield a client of a page while it runs."""
    with page.running():
        yield Client(page, **options)


@contextmanager
def opened_page(page, token=None):
    """Yield the address of a page on a port of this machine."""
    with page.running(), started(PageServer(page, host="127.0.0.1", port=0, token=token)) as server:
        yield server.address
