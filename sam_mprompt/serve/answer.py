"""A count as a service answers it: JSON, or a picture."""

import base64
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from ..arrays import ByteImage
from ..counting.region_files import read_regions
from ..counting.regions import RegionCounts, Regions
from ..counting.result import OF_PARTS, CountResult
from ..data.bounds import any_size
from ..data.image import read_image
from ..errors import UsageError
from ..render import encoded_image, fit_within
from .asked import Asked, Picture
from .limits import Limits
from .loading import Served
from .memory_file import MemoryFile
from .problems import Problem
from .warned import Warned

MEDIA: dict[Picture, str] = {"png": "image/png", "jpeg": "image/jpeg"}
_KINDS: dict[str, Picture | None] = {
    **dict.fromkeys(("*/*", "application/*", "application/json")),
    "image/*": "png",
    **{media: kind for kind, media in MEDIA.items()},
}
"""By what an Accept header may ask for; None is JSON."""
_SUFFIX: dict[Picture, str] = {"png": ".png", "jpeg": ".jpg"}
_REGIONS = "regions"

EXAMPLE: dict[str, Any] = {
    "adapter": "station",
    "count": 127.31,
    "width": 1024,
    "height": 768,
    "interval": {"low": 109.2, "high": 148.8, "level": 0.9},
    "why_no_interval": None,
    "warnings": [],
    "points": [[512.4, 300.9], [530.2, 311.7]],
    "regions": {
        "regions": [{"name": "platform", "count": 88.1, "area_m2": 120.0, "per_m2": 0.734}],
        "elsewhere": 39.21,
        "ignored": None,
        "counted_twice": 0.0,
    },
    "overlay": None,
}
"""Of what `POST /count` answers."""


class IntervalAnswer(BaseModel):
    """Where the true number of heads lies, for the share `level` of images like those of the calibration."""

    low: float = Field(ge=0)
    high: float = Field(ge=0)
    level: float = Field(gt=0, lt=1)


class RegionAnswer(BaseModel):
    """One region of the image."""

    name: str
    count: float = Field(description="heads inside, outside ignore zones")
    area_m2: float | None = Field(description="square metres, as the request says")
    per_m2: float | None = Field(description="people per square metre")


class RegionsAnswer(BaseModel):
    """How many people are in each part of the image."""

    regions: list[RegionAnswer] = Field(description="in the order of the request, without ignore zones")
    elsewhere: float = Field(description="heads in no region and no ignore zone")
    ignored: float | None = Field(description="heads in ignore zones; null where there are none")
    counted_twice: float = Field(description="by how much the regions add up to more, because they overlap")


class OverlayAnswer(BaseModel):
    """The image under its density."""

    media_type: str
    base64: str = Field(description="the file, in base64")


class Answer(BaseModel):
    """What `POST /count` answers."""

    adapter: str = Field(description="what counted")
    count: float = Field(description="number of heads, without those in ignore zones")
    width: int = Field(description="of the image in pixels, as displayed")
    height: int = Field(description="of the image in pixels, as displayed")
    interval: IntervalAnswer | None = Field(description="null where it is not known")
    why_no_interval: str | None = Field(description="null where there is one")
    warnings: list[str] = Field(description="why this count may be wrong or differs from what was asked for")
    points: list[tuple[float, float]] | None = Field(description="(x, y) of heads in pixels; null where not asked for")
    regions: RegionsAnswer | None = Field(description="null where not asked for")
    overlay: OverlayAnswer | None = Field(description="null where not asked for")


@dataclass(frozen=True)
class Counted:
    """A count, and what belongs to it.

    Attributes:
        result: of the counter.
        served: the adapter that counted.
        image: the file that was counted.
        name: what its sender calls it.
        warnings: of reading it.
    """

    result: CountResult
    served: Served
    image: MemoryFile
    name: str
    warnings: list[str]


def answer(counted: Counted, asked: Asked, limits: Limits, warned: Warned) -> Answer:
    """Return a count as JSON has it.

    Raises:
        UsageError: the regions are malformed or do not fit the image.
        RunError: the density is none of people.
    """
    with warned.here() as heard:
        result, regions, counts = _parts(counted, asked)
        picture = None
        if asked.overlay is not None:
            content = base64.b64encode(_drawn(counted, result, regions, asked, asked.overlay, limits))
            picture = OverlayAnswer(media_type=MEDIA[asked.overlay], base64=content.decode("ascii"))
        heads = None
        if asked.points:
            heads = result.points() if regions is None else result.points_outside(regions)
    height, width = result.image_size
    told = dict.fromkeys([*counted.result.warnings, *counted.warnings, *heard])
    why = OF_PARTS if counts is not None and counts.ignores else result.why_no_interval(asked.level)
    interval = None if why is not None else result.interval(asked.level)
    return Answer(
        adapter=counted.served.name,
        count=result.count if counts is None else counts.total,
        width=width,
        height=height,
        interval=None if interval is None else IntervalAnswer(**vars(interval)),
        why_no_interval=_without_folder(why, counted.served),
        warnings=[counted.image.unnamed(text, counted.name) for text in told],
        points=None if heads is None else np.round(heads.astype(np.float64), 2).tolist(),
        regions=None if counts is None else RegionsAnswer(**_of_regions(counts)),
        overlay=picture,
    )


def picture(counted: Counted, asked: Asked, kind: Picture, limits: Limits) -> bytes:
    """Return a count as a picture: the image under its density, at most `overlay_side` pixels a side.

    Raises:
        UsageError, RunError: as `answer`.
    """
    result, regions, _ = _parts(counted, asked)
    return _drawn(counted, result, regions, asked, kind, limits)


def _parts(counted: Counted, asked: Asked) -> tuple[CountResult, Regions | None, RegionCounts | None]:
    """Return the result under the name that its sender knows, which regions may name, and what is in the regions."""
    result = replace(counted.result, image=Path(counted.name))
    if asked.regions is None:
        return result, None, None
    regions = regions_of(asked.regions)
    return result, regions, result.regions(regions)


def regions_of(text: str) -> Regions:
    """Return the regions of a request. Raises UsageError where they are malformed."""
    try:
        file = MemoryFile(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise UsageError(f"{_REGIONS}: expected text, got half of a character.") from error
    try:
        return read_regions(file.path)
    except UsageError as error:
        raise UsageError(file.unnamed(error, _REGIONS)) from error
    finally:
        file.release()


def _drawn(
    counted: Counted, result: CountResult, regions: Regions | None, asked: Asked, kind: Picture, limits: Limits
) -> bytes:
    pixels: ByteImage = read_image(counted.image.path, counted.served.reading, enough=any_size)
    shown = fit_within(pixels, limits.overlay_side)
    drawn = result.overlay(shown, points=asked.points, level=asked.level, regions=regions)
    return encoded_image(drawn, _SUFFIX[kind])


def _of_regions(counts: RegionCounts) -> dict[str, Any]:
    return {name: value for name, value in counts.as_dict().items() if name != "total"}


def _without_folder(why: str | None, served: Served) -> str | None:
    """Return why there is no interval without where on this machine the adapter lies."""
    if why is None or not why.startswith("'"):
        return why
    behind = why.index("'", 1) + 1
    return f"'{served.name}'{why[behind:]}"


def accepted(header: str) -> Picture | None:
    """Return the picture that an Accept header asks for, None for JSON; that of the highest q, of equals the first.

    Raises:
        Problem: 406 where it asks for neither.
    """
    best, highest = "", 0.0
    for part in header.split(",") if header.strip() else ["*/*"]:
        kind, _, parameters = part.strip().lower().partition(";")
        quality = _quality(parameters)
        if kind.strip() in _KINDS and quality > highest:
            best, highest = kind.strip(), quality
    if not best:
        raise Problem(
            406, "not-acceptable", f"Expected Accept: application/json, image/png or image/jpeg, got '{header:.64}'."
        )
    return _KINDS[best]


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
