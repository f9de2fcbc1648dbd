"""What the page asks for, as JSON: read up to a number of bytes, and checked by a model each."""

from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..counting.intervals import LEVEL
from ..serve.admission import Admission
from ..serve.problems import Problem

_Model = TypeVar("_Model", bound=BaseModel)
_Place = tuple[float, float]
_MOST_HEADS = 200_000


class Asked(BaseModel):
    """What every request has in common."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Drawn(Asked):
    """A part of a photograph, as it was drawn."""

    name: Annotated[str, Field(max_length=80)] = ""
    corners: Annotated[list[_Place], Field(min_length=3, max_length=2000)]
    ignore: bool = False
    area_m2: Annotated[float, Field(gt=0)] | None = None


class CountAsked(Asked):
    """Count a photograph, and in parts of it."""

    adapter: str
    level: Annotated[float, Field(gt=0, lt=1)] = LEVEL
    regions: Annotated[list[Drawn], Field(max_length=200)] = []


class ExampleAsked(Asked):
    """Open an example."""

    name: str


class SaveAsked(Asked):
    """Save a photograph with its heads."""

    photo: str
    points: Annotated[list[_Place], Field(max_length=_MOST_HEADS)]


class OpenAsked(Asked):
    """Open a photograph of a dataset."""

    file: str


class CompareAsked(Asked):
    """Count all photographs of a dataset with two adapters."""

    adapters: Annotated[list[str], Field(min_length=1, max_length=4)]


class TrainAsked(Asked):
    """Train on a dataset."""

    dataset: str
    start: str | None = None
    minutes: float = 10.0
    name: str | None = None


async def read_asked(request: Request, model: type[_Model], most: int, admission: Admission) -> _Model:
    """Return what a request asks for.

    Raises:
        Problem: 413 for more bytes than are read, 422 for what does not fit the model, 429 where as many requests are
            being read as are taken, or where they have too many bytes in all.
        ClientDisconnect: the client has gone.
    """
    received = bytearray()
    with admission.visit() as visit:
        async for chunk in request.stream():
            received += chunk
            if len(received) > most:
                raise Problem(413, "too-many-bytes", f"Expected a request of at most {most} bytes, got more.")
            visit.hold(len(chunk))
    try:
        return model.model_validate_json(bytes(received))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "request"
        raise Problem(422, "invalid-value", f"{where:.80}: {first['msg']}.") from error
