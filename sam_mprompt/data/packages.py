"""Packages that few users need: imported when they are, with one line where one is missing."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..errors import UsageError


def is_installed(module: str) -> bool:
    """Whether an optional package is there, without importing it."""
    return find_spec(module) is not None


def needed(module: str, extra: str, what: str) -> Any:
    """Return an optional package.

    Args:
        module: its name in Python.
        extra: the extra of this package that brings it.
        what: what it reads, the subject of the message.

    Raises:
        UsageError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.replace("_", "-")
        raise UsageError(
            f"{what} needs the package '{package}', which the extra '{extra}' brings.", about="extra", extra=extra
        ) from error
