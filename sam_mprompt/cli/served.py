"""What `serve` and `ui` have in common: the packages of a server, who may ask it, what it takes, and its adapters."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..serve.limits import Limits
    from ..serve.loading import Load, Served

_PACKAGES = ("uvicorn", "fastapi", "prometheus_client", "python_multipart")
_MEGABYTE = 1_000_000
_HELD = 8


def check_packages(extra: str, what: str) -> None:
    """Expect what a server is made of. Raises UsageError, which names the extra that brings it."""
    from ..data.packages import needed

    for package in _PACKAGES:
        needed(package, extra, what)


def token_for(host: str, file: Path | None, *, without_token: bool) -> str | None:
    """Return the token that is asked for; None for none. Raises UsageError where an address takes one."""
    from ..serve.server import check_address, token_of

    token = token_of(file, os.environ)
    check_address(host, token, without_token=without_token)
    return token


def in_bytes(megabytes: float) -> int:
    """Return megabytes in bytes, one at least."""
    return max(1, round(megabytes * _MEGABYTE))


def limits_of(max_megabytes: float, max_pixels: int, **more: Any) -> "Limits":
    """Return what is taken of images: of one, and eight times as many bytes of all at a time."""
    from ..serve.limits import Limits

    most = in_bytes(max_megabytes)
    return Limits(max_bytes=most, held_bytes=_HELD * most, max_pixels=max_pixels, **more)


def opened(sources: Mapping[str, str], **options: Any) -> "tuple[dict[str, Served], Load]":
    """Load adapters by name, and return them with what loads further ones. Raises UsageError.

    Args:
        sources: where they lie.
        options: device, base, precision, max_pixels and stretch, as `sam_mprompt.load` takes them.
    """
    from ..serve.loading import load_all, loader

    load = loader(**options)
    return load_all(sources, load), load
