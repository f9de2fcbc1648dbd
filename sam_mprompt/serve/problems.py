"""What went wrong, as HTTP tells it: problem details (RFC 9457), which say what was expected, what came, what to do."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
_URN = "urn:sam-mprompt:problem:"


class ProblemDetails(BaseModel):
    """The body of every answer that is no success (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": f"{_URN}not-an-image",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "Cannot read image 'street.jpg': it is not an image of a known kind. Expected JPEG, PNG, "
                    "BMP, TIFF or WebP; replace the file.",
                    "request_id": "5f0c1d0e7a2b4c6d",
                }
            ]
        }
    )

    type: str = Field(description="what kind of problem it is, the same for all of a kind")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status", ge=400, le=599)
    detail: str = Field(description="what was expected, what came, and what to do, in one line")
    request_id: str | None = Field(None, description="that of the header X-Request-ID, which the log has too")


class Problem(Exception):  # noqa: N818 - named as what is sent
    """An answer that is no success.

    Args:
        status: of HTTP.
        kind: of the problem, in a word or a few with hyphens.
        detail: one line: what was expected, what came, what to do.
        headers: of the answer, such as Retry-After.
    """

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers = status, kind, detail, dict(headers or {})

    @classmethod
    def later(cls, status: int, kind: str, detail: str, seconds: int) -> "Problem":
        """Return a problem that is over after some seconds."""
        return cls(status, kind, detail, {"Retry-After": str(seconds)})

    def response(self, request_id: str | None = None) -> JSONResponse:
        """Return it as an answer."""
        try:
            title = HTTPStatus(self.status).phrase
        except ValueError:
            title = "Error"
        details = ProblemDetails(
            type=_URN + self.kind, title=title, status=self.status, detail=self.detail, request_id=request_id
        )
        return JSONResponse(details.model_dump(exclude_none=True), self.status, {**self.headers}, media_type=MEDIA_TYPE)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of answers that are no success."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {"description": _WHEN[status], "content": {MEDIA_TYPE: {"schema": schema}}, **_headers(status)}
        for status in statuses
    }


def _headers(status: int) -> dict[str, Any]:
    if status not in (429, 503):
        return {}
    text = "seconds after which to try again"
    return {"headers": {"Retry-After": {"description": text, "schema": {"type": "integer", "minimum": 1}}}}


_WHEN = {
    400: "The request is malformed: a broken multipart body, or a host name that this service does not answer to.",
    401: "The bearer token is missing or another one.",
    404: "There is no adapter of that name.",
    406: "The answer is asked for in a form that there is not.",
    408: "The body of the request did not come in time.",
    413: "The body has more bytes than are taken; it is not read.",
    415: "The body has a type that is not taken.",
    422: "The image, the regions or a value cannot be used; an image of too many pixels is not decoded.",
    429: "More requests than are taken at a time: try again after Retry-After seconds.",
    500: "Counting failed; the log says why.",
    503: "It shuts down, its turn did not come in time, or the memory was not enough: try again later.",
    504: "Counting took longer than a request may take.",
}
