"""Weights that a Python package carries: found by what the package's own list of files says, never imported."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path


def in_package(package: str, file: str) -> Path | None:
    """Return the file of that name in an installed package, or None; no code of the package is run.

    Args:
        package: name of the distribution, as one installs it.
        file: the file's name without folder.
    """
    try:
        listed = files(package) or ()
    except PackageNotFoundError:
        return None
    found = (Path(str(entry.locate())) for entry in listed if entry.name == file)
    return next((path for path in found if path.is_file()), None)
