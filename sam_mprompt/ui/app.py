"""The addresses of the page: its own files, and what they ask for."""

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Protocol, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..serve.admission import Admission
from ..serve.body import read_body
from ..serve.guard import GONE, Guard
from ..serve.metrics import Metrics
from ..serve.problems import Problem
from .asked import CompareAsked, CountAsked, ExampleAsked, OpenAsked, SaveAsked, TrainAsked, read_asked
from .gate import Gate
from .page import Page

STATIC = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_RETRY = 5
_Model = TypeVar("_Model", bound=BaseModel)


class Read(Protocol):
    """Reads what a request asks for, within the bounds of all requests."""

    async def __call__(self, request: Request, model: type[_Model]) -> _Model:
        """Return it, as a model. Raises Problem."""
        ...


def create_app(page: Page, *, token: str | None = None, hosts: Collection[str] | None = None) -> FastAPI:
    """Return the ASGI application of a page, which must be running while it answers.

    Args:
        page: what it shows.
        token: without which nothing but the page's own files is answered; None for no such thing.
        hosts: names under which it is reached; None for all.
    """
    app = FastAPI(title="sam-mprompt", docs_url=None, redoc_url=None, openapi_url=None)
    files = _add_files(app)
    texts = Admission(page.limits.shared, lambda: _RETRY)

    async def read(request: Request, model: type[_Model]) -> _Model:
        return await read_asked(request, model, page.limits.max_text_bytes, texts)

    _add_photos(app, page, read)
    _add_datasets(app, page, read)
    _add_training(app, page, read)
    _add_videos(app, page)
    _add_problems(app)
    app.add_middleware(Guard, metrics=Metrics(), routes=frozenset(), token=token, open_paths=files)
    app.add_middleware(Gate, hosts=hosts)
    return app


def _add_files(app: FastAPI) -> frozenset[str]:
    """Add the page's own files, which are read once, and return their addresses."""
    files = {"/": STATIC / "index.html"}
    files |= {f"/static/{path.name}": path for path in sorted(STATIC.iterdir()) if path.suffix in _KINDS}
    for address, path in files.items():
        app.add_route(address, _file(path.read_bytes(), _KINDS[path.suffix]), methods=["GET"])
    return frozenset(files)


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def _add_photos(app: FastAPI, page: Page, read: Read) -> None:
    admission = Admission(page.limits.shared, lambda: _RETRY)

    @app.get("/api/state")
    async def state() -> dict[str, object]:
        return await page.aside(page.state)

    @app.post("/api/photos")
    async def photo(request: Request) -> dict[str, object]:
        with admission.visit() as visit:
            body = await read_body(request, page.limits.shared, visit)
            return await page.opened(body.name, body.image)

    @app.post("/api/examples")
    async def example(request: Request) -> dict[str, object]:
        return await page.example((await read(request, ExampleAsked)).name)

    @app.get("/api/photos/{number}/picture")
    async def picture(number: str) -> Response:
        return Response(await page.picture(number), media_type="image/jpeg")

    @app.post("/api/photos/{number}/count")
    async def count(number: str, request: Request) -> dict[str, object]:
        return await page.count(number, await read(request, CountAsked))


def _add_datasets(app: FastAPI, page: Page, read: Read) -> None:
    @app.post("/api/datasets/{name}/photos")
    async def save(name: str, request: Request) -> dict[str, object]:
        asked = await read(request, SaveAsked)
        return await page.save(name, asked.photo, asked.points)

    @app.post("/api/datasets/{name}/open")
    async def open_saved(name: str, request: Request) -> dict[str, object]:
        return await page.open_saved(name, (await read(request, OpenAsked)).file)

    @app.delete("/api/datasets/{name}/photos/{file}")
    async def remove(name: str, file: str) -> dict[str, object]:
        await page.aside(page.datasets.remove, name, file)
        return {}

    @app.post("/api/datasets/{name}/photos/{file}/compare")
    async def compare(name: str, file: str, request: Request) -> dict[str, object]:
        return await page.compare(name, file, (await read(request, CompareAsked)).adapters)


def _add_training(app: FastAPI, page: Page, read: Read) -> None:
    @app.get("/api/training")
    async def progress() -> dict[str, object]:
        return page.trainings.progress.as_dict()

    @app.post("/api/training")
    async def train(request: Request) -> dict[str, object]:
        return await page.aside(page.train, await read(request, TrainAsked))

    @app.post("/api/training/stop")
    async def stop() -> dict[str, object]:
        page.trainings.stop()
        return page.trainings.progress.as_dict()

    @app.post("/api/training/{name}/resume")
    async def resume(name: str) -> dict[str, object]:
        return await page.aside(page.resume, name)


def _add_videos(app: FastAPI, page: Page) -> None:
    @app.post("/api/videos")
    async def video(request: Request, name: str, adapter: str, every: str = "1s") -> dict[str, object]:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > page.limits.max_video_bytes:
            raise Problem(
                413,
                "too-many-bytes",
                f"Expected a video of at most {page.limits.max_video_bytes / 1e6:g} MB, got more.",
            )
        return await page.video(name[:200], adapter, every[:20], request.stream())

    @app.get("/api/videos/{number}")
    async def counts(number: str, since: int = 0) -> dict[str, object]:
        return page.films.get(number).as_dict(max(0, since))

    @app.post("/api/videos/{number}/stop")
    async def stop(number: str) -> dict[str, object]:
        page.films.get(number).stop.set()
        return {}


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> Response:
        return Problem(error.status_code, "no-such-address", "There is nothing at this address.").response()

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=GONE)  # nobody reads it
