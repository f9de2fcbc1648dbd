"""The body of a request: an image as it is, or a form with an image and fields; counted while it is read."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .admission import Visit
from .asked import IMAGE
from .limits import Limits
from .problems import Problem

_FORM = "multipart/form-data"
_PLAIN = ("application/octet-stream", "application/x-www-form-urlencoded", "")
"""The second is what curl calls what it is given with --data-binary; nobody who sends a picture means a form by it."""
_FIELDS = 16
_FILES = 2
_HEADERS_OF_PARTS = 1 << 14


@dataclass
class Body:
    """What came.

    Attributes:
        image: the file's bytes.
        name: what its sender calls it, for messages and for regions that name an image.
        fields: of a form, in order.
    """

    image: bytes
    name: str = "image"
    fields: list[tuple[str, str]] = field(default_factory=list)


class _InMemory(MultiPartParser):
    """Keeps what it reads in memory, which is bounded, instead of writing it into temporary files."""

    spool_max_size = 1 << 62


async def read_body(request: Request, limits: Limits, visit: Visit) -> Body:
    """Read an image, or a form with one.

    Raises:
        Problem: 413 for too many bytes (those of the header Content-Length are believed before any is read), 415 for
            another type, 400 for a broken form, 422 for one without an image or with regions that are no text, 429
            where the bodies of all requests are too many bytes.
        ClientDisconnect: the client has gone.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind == _FORM or kind in _PLAIN or kind.startswith("image/")):
        raise Problem(
            415,
            "not-an-image",
            f"Expected an image as the body (such as image/jpeg) or a form (multipart/form-data) with a field "
            f"'{IMAGE}', got '{kind:.64}'. Send the image's own bytes.",
        )
    most = limits.max_bytes + (limits.max_regions_bytes + _HEADERS_OF_PARTS if kind == _FORM else 0)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_many(limits, int(declared))
    stream = _counted(request, limits, most, visit)
    if kind == _FORM:
        return await _read_form(request, stream, limits)
    return Body(b"".join([chunk async for chunk in stream]))


async def _counted(request: Request, limits: Limits, most: int, visit: Visit) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise _too_many(limits)
        visit.hold(len(chunk))
        yield chunk


async def _read_form(request: Request, stream: AsyncGenerator[bytes, None], limits: Limits) -> Body:
    parser = _InMemory(
        request.headers, stream, max_files=_FILES, max_fields=_FIELDS, max_part_size=limits.max_regions_bytes
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(
            400, "broken-form", f"Expected a form of one image and its fields, got a broken one: {error.message}"
        ) from error
    body, fields = None, list[tuple[str, str]]()
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            fields.append((name, value))
            continue
        content = await value.read()
        await value.close()
        if name == IMAGE and body is None:
            body = Body(content, _plain(value.filename))
        elif name == "regions":
            fields.append((name, _text(content, limits)))
        else:
            raise Problem(422, "invalid-value", f"Expected one file '{IMAGE}', got a file '{name:.64}' beside.")
    if body is None:
        raise Problem(422, "invalid-value", f"Expected a file in the field '{IMAGE}' of the form, got none.")
    if len(body.image) > limits.max_bytes:
        raise _too_many(limits, len(body.image))
    body.fields = fields
    return body


def _plain(name: str | None) -> str:
    """Return the last part of what a sender calls a file, or a word for it."""
    return PurePosixPath((name or "").replace("\\", "/")).name or IMAGE


def _text(content: bytes, limits: Limits) -> str:
    if len(content) > limits.max_regions_bytes:
        raise Problem(
            413,
            "too-many-bytes",
            f"regions: expected at most {limits.max_regions_bytes} bytes, got {len(content)}. Simplify the outlines.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(422, "invalid-value", "regions: expected text in UTF-8, got other bytes.") from error


def _too_many(limits: Limits, size: int | None = None) -> Problem:
    got = "more" if size is None else str(size)
    return Problem(
        413,
        "too-many-bytes",
        f"Expected an image of at most {limits.max_bytes} bytes, got {got}. Scale it down or save it as JPEG.",
    )
