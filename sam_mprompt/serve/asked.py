"""What a request asks for: query parameters, or fields of a form, checked by one model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..counting.intervals import LEVEL
from ..errors import did_you_mean
from .problems import Problem

Picture = Literal["png", "jpeg"]
IMAGE = "image"
"""The field of a form that holds the image."""


def _flag(value: object) -> bool:
    """Return what `true` and `false` say; whoever writes anything else may mean another parameter."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("expected true or false")


class Asked(BaseModel):
    """What `POST /count` is asked for beside the image."""

    model_config = ConfigDict(extra="forbid")

    adapter: str | None = Field(
        None,
        max_length=64,
        description="which adapter counts; the first of `/adapters` where none is named",
    )
    level: float = Field(
        LEVEL,
        gt=0,
        lt=1,
        description="share of images whose true number of heads is to lie within the interval",
    )
    points: Annotated[bool, BeforeValidator(_flag)] = Field(
        False, description="also return where the heads are, and mark them in the overlay"
    )
    overlay: Picture | None = Field(
        None,
        description="also return a picture with the density and the count, in base64; with `Accept: image/png` or "
        "`image/jpeg` the picture is the answer itself",
    )
    regions: str | None = Field(
        None,
        description="parts of the image to count in: GeoJSON, or a table of corners, in pixels; rather as a field of a "
        "form, as addresses are short",
    )


def of_fields(asked: Asked, fields: Sequence[tuple[str, str]]) -> Asked:
    """Return what a query and the fields of a form ask for; where both do, the form decides.

    Raises:
        Problem: 422 for a field that there is not, one that is given twice, or a value that is none.
    """
    values: dict[str, Any] = {}
    for name, value in fields:
        if name in values:
            raise Problem(422, "invalid-value", f"{name:.64}: expected it once, got it twice. Give it once.")
        values[name] = value
    try:
        return Asked.model_validate(asked.model_dump(exclude_unset=True) | values)
    except ValidationError as error:
        raise Problem(422, "invalid-value", faults(error.errors())) from error


def faults(errors: Iterable[Mapping[str, Any]]) -> str:
    """Return what pydantic found wrong in one line: what was expected, what came."""
    return " ".join(_fault(error) for error in errors)


def _fault(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][-1]) if error["loc"] else "request"
    known = [*Asked.model_fields, IMAGE]
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(name, known)
        return f"{name[:64]!a}: there is no such parameter.{hint} There are: {', '.join(known)}."
    expected = " ".join(str(error["msg"]).split()).removeprefix("Value error, ")
    return f"{name:.64}: {expected}; got {error.get('input')!a:.60}."
