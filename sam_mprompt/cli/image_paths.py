"""The images that files, folders and globs name, what is passed over there, and how their pictures are called."""

import glob
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..files import is_file, is_folder
from ..resources import bundled

_EXAMPLES = 3


class Found(NamedTuple):
    """What paths name: images in order and without repeats, and pictures of other kinds, pipes and devices."""

    images: list[Path]
    passed_over: list[Path]

    @property
    def line(self) -> str:
        """What was passed over, in a line; empty where nothing was."""
        return f"Passed over, as it reads no such files: {named(self.passed_over)}." if self.passed_over else ""


def expand(paths: Sequence[str]) -> Found:
    """Return the image files behind files, folders and globs, and what was passed over in folders and globs.

    Raises:
        UsageError: a path or pattern without any image.
    """
    from ..data.image import HEIC_SUFFIXES, reads_heic, sort_folder

    images: dict[Path, None] = {}
    passed_over: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not _there(path) and _there(shipped := bundled("adapters").parent / path):
            path = shipped  # "adapters/demo/examples" works from anywhere, as "adapters/demo" does
        if is_file(path):
            found, others = [path], list[Path]()
        elif is_folder(path):
            found, others = sort_folder(path)
        else:
            matches = [Path(match) for match in sorted(glob.glob(text, recursive=True)) if not is_folder(Path(match))]
            found = [match for match in matches if is_file(match)]
            others = [match for match in matches if not is_file(match)]
        if not found and any(other.suffix.lower() in HEIC_SUFFIXES for other in others) and not reads_heic():
            raise UsageError(
                f"The photographs at '{text}' are HEIC, which needs the package 'pillow-heif'.",
                about="extra",
                extra="heic",
            )
        if not found:
            there = f" There are only: {named(others)}." if others else ""
            raise UsageError(
                f"No image at '{text}': expected an image file, a folder of images or a quoted glob.{there}"
            )
        images |= dict.fromkeys(found)
        passed_over |= dict.fromkeys(others)
    return Found(list(images), list(passed_over))


def _there(path: Path) -> bool:
    return is_file(path) or is_folder(path)


def named(paths: Sequence[Path]) -> str:
    """Return how many files these are and the names of the first ones."""
    names = ", ".join(path.name for path in paths[:_EXAMPLES])
    more = f" and {len(paths) - _EXAMPLES} more" if len(paths) > _EXAMPLES else ""
    return f"{len(paths)} file{'s' if len(paths) > 1 else ''} ({names}{more})"


def picture_names(images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return one path of a JPEG per image, no two of them the same file on any file system.

    Images of one name from several folders get their folder's name too, then a number; names that differ in case or
    in how their characters are composed are one to some file systems.
    """
    from ..files import name_of

    taken: set[str] = set()
    names: dict[Path, Path] = {}
    for image in images:
        name, number = name_of(image.stem, after=".jpg"), 1
        while unicodedata.normalize("NFC", name).casefold() in taken:
            name = name_of(f"{image.parent.name}_{image.stem}", after=".jpg" if number == 1 else f"_{number}.jpg")
            number += 1
        taken.add(unicodedata.normalize("NFC", name).casefold())
        names[image] = folder / name
    return names
