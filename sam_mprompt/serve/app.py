"""The addresses of a service, and what OpenAPI says of them."""

from collections.abc import Collection
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..version import __version__
from .answer import Answer
from .asked import Asked, faults
from .guard import GONE, Guard
from .metrics import CONTENT_TYPE
from .openapi import COUNT_BODY, PICTURES, describe
from .problems import Problem, described
from .service import Service

_TOKEN = (400, 401)


class AdapterAnswer(BaseModel):
    """An adapter that counts."""

    name: str
    default: bool = Field(description="whether it counts where a request names none")
    calibrated_on: int = Field(description="images that its intervals are made of; 0 where there are none")
    highest_level: float = Field(description="the highest level that there is an interval for")


class AdaptersAnswer(BaseModel):
    """What `/adapters` answers."""

    adapters: list[AdapterAnswer]


class StateAnswer(BaseModel):
    """What `/healthz` and `/readyz` answer."""

    status: str


def create_app(service: Service, *, token: str | None = None, hosts: Collection[str] | None = None) -> FastAPI:
    """Return the ASGI application of a service, which must be running while it answers.

    Args:
        service: what counts.
        token: without which nothing but the two states is answered; None for no such thing.
        hosts: names under which it is reached; None for all.
    """
    app = FastAPI(
        title="sam-mprompt",
        version=__version__,
        summary="Counts people in images.",
        docs_url=None,  # pages that fetch scripts from elsewhere
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    _add_counting(app, service)
    _add_states(app, service)
    _add_problems(app)
    routes = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    app.add_middleware(Guard, metrics=service.metrics, routes=routes, token=token, hosts=hosts)
    app.openapi = lambda: describe(app, list(service.served), secured=token is not None)  # type: ignore[method-assign]
    return app


def _add_counting(app: FastAPI, service: Service) -> None:
    failures = described(*_TOKEN, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)

    @app.post(
        "/count",
        response_model=Answer,
        responses={200: {"description": "The count.", "content": PICTURES}, **failures},
        openapi_extra={"requestBody": COUNT_BODY},
        summary="Count the people in an image",
    )
    async def count(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """Send an image as the body, or a form with the file `image` and the parameters as fields."""
        return await service.count(request, asked)

    @app.get("/adapters", responses=described(*_TOKEN), summary="The adapters that count")
    async def adapters() -> AdaptersAnswer:
        """Their names, the first of which counts where a request names none."""
        return AdaptersAnswer(
            adapters=[
                AdapterAnswer(
                    name=one.name,
                    default=number == 0,
                    calibrated_on=one.calibration.images,
                    highest_level=one.calibration.highest_level,
                )
                for number, one in enumerate(service.served.values())
            ]
        )


def _add_states(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", responses=described(503), summary="Whether it works")
    async def healthz() -> StateAnswer:
        """503 when the process should be started anew."""
        if (fault := service.fault()) is not None:
            raise Problem.later(503, "stuck", f"This service does not work: {fault}. Start it anew.", 60)
        return StateAnswer(status="ok")

    @app.get("/readyz", responses=described(503), summary="Whether it takes requests")
    async def readyz() -> StateAnswer:
        """503 while it shuts down, or when it does not work."""
        if service.draining or service.fault() is not None:
            raise Problem.later(503, "not-ready", "This service takes no requests now: ask another one.", 5)
        return StateAnswer(status="ready")

    text: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    answers = {200: {"description": "For Prometheus.", "content": text}, **described(*_TOKEN)}

    @app.get("/metrics", response_class=Response, responses=answers, summary="Metrics in Prometheus's format")
    async def metrics() -> Response:
        """Requests, refusals, batches, the queue and times."""
        return Response(service.metrics.page(), headers={"Content-Type": CONTENT_TYPE})


def _add_problems(app: FastAPI) -> None:
    def number(request: Request) -> str | None:
        return getattr(request.state, "request_id", None)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response(number(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return Problem(422, "invalid-value", faults(error.errors())).response(number(request))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        known = "POST /count, GET /adapters, /healthz, /readyz, /metrics and /openapi.json"
        detail = f"Expected {known}, got {request.method} {request.url.path!a:.64}."
        return Problem(error.status_code, "no-such-address", detail, error.headers).response(number(request))

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=GONE)  # nobody reads it
