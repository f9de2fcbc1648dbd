"""What OpenAPI says that FastAPI cannot know: bodies that are images, names of adapters, problem details, the token."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .answer import EXAMPLE
from .asked import IMAGE, Asked
from .guard import OPEN
from .problems import ProblemDetails

_BINARY = {"type": "string", "format": "binary"}
_IMAGES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff", "application/octet-stream")
PICTURES: dict[str, Any] = {kind: {"schema": _BINARY} for kind in ("image/png", "image/jpeg")}
"""Answers of `POST /count` beside JSON."""

GEOJSON = "geojson"
"""The format of `regions`, for tools that make requests from the schema."""

EXAMPLE_REGIONS = (
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": "platform"}, '
    '"geometry": {"type": "Polygon", "coordinates": [[[0, 12], [60, 12], [60, 44], [0, 12]]]}}]}'
)


def _fields() -> dict[str, Any]:
    properties = Asked.model_json_schema()["properties"]
    properties["regions"]["anyOf"][0] |= {"format": GEOJSON, "examples": [EXAMPLE_REGIONS]}
    return {
        IMAGE: {**_BINARY, "description": "JPEG, PNG, BMP, TIFF or WebP"},
        **{name: _field(schema) for name, schema in properties.items()},
    }


def _field(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that may be left out: a form and a query have no null."""
    others = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    default = {} if schema.get("default") is None else {"default": schema["default"]}
    return others | (options[0] if options else {}) | default


COUNT_BODY: dict[str, Any] = {
    "required": True,
    "description": "An image as it is, or a form.",
    "content": {
        **{kind: {"schema": _BINARY} for kind in _IMAGES},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [IMAGE],
                "properties": _fields(),
                "additionalProperties": False,
            },
        },
    },
}
"""The body of `POST /count`."""


def describe(app: FastAPI, adapters: list[str], *, secured: bool) -> dict[str, Any]:
    """Return the application's OpenAPI document, made once.

    Args:
        app: what is described.
        adapters: their names.
        secured: whether a token is asked for.
    """
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
        schemas["Answer"]["examples"] = [EXAMPLE]  # not before: FastAPI leaves out what is null
        count = made["paths"]["/count"]["post"]
        fields = count["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        fields["adapter"] = {**fields["adapter"], "enum": adapters}
        for parameter in count["parameters"]:
            parameter["schema"] = {**fields[parameter["name"]]}
        if secured:
            made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, item in made["paths"].items():
                for operation in item.values() if path not in OPEN else ():
                    operation["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema
