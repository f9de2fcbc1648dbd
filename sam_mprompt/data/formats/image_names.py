"""Which image a foreign file means by a name: as it is spelt, or spelt otherwise, which is told."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from ...errors import UsageError
from ..image import HEIC_SUFFIXES, IMAGE_SUFFIXES
from .text import file_name
from .tools.label_studio import as_uploaded, without_upload_mark

_SUFFIXES = IMAGE_SUFFIXES | HEIC_SUFFIXES | {".gif", ".tga"}


class Meant(NamedTuple):
    """The image that a name means.

    Attributes:
        image: its path; it may turn out not to exist.
        told: in which other way the name is spelt, where somebody should know; empty for what is the same name.
    """

    image: Path
    told: str = ""


class ImageNames:
    """The images of one or several folders by their names.

    Names that differ only in how their accents are composed (NFC, or NFD of a Mac) are the same, and so are those that
    differ in case where there is but one (a camera's .JPG is .jpg to many a tool).

    Args:
        images: the images.
        folders: those in which they lie; a missing image is expected in the first.
    """

    def __init__(self, images: Iterable[Path], folders: Sequence[Path]) -> None:
        self.folders = folders
        self._images: dict[str, list[Path]] = {}
        self._decoded: dict[str, list[Path]] = {}
        for image in images:
            for name in (image.name, image.stem):
                self._images.setdefault(_key(name), []).append(image)
                if "%" in name:
                    self._decoded.setdefault(_key(unquote(name)), []).append(image)

    def has(self, name: str) -> bool:
        """Whether an image is called so, with or without folders and suffix."""
        plain = _plain(name)
        return any(_key(spelt) in self._images for spelt in (plain, unquote(plain)))

    def meant(self, name: str, where: str) -> Meant:
        """Return the image that is called `name`, with or without folders and suffix.

        A name is looked for as it is; without what Label Studio puts in front and spreadsheets are given; decoded from
        a web address (`%20`); and with the suffix of another image type, where but one image has the name otherwise.

        Raises:
            UsageError: two images have this name, or no file can have it.
        """
        plain = file_name(name, where)
        for found, told in self._spelt(plain):
            if near := self._in_folder(found, name):
                return Meant(_one_of(near, plain, name, where), told)
        said = _said(name)
        folder = next((place for place in self.folders if said[:1] == [_key(place.name)]), self.folders[0])
        return Meant(folder / plain)

    def _spelt(self, plain: str) -> Iterable[tuple[list[Path], str]]:
        """Yield the images of each spelling of a name, the surest first, and what is to be told of it."""
        original = without_upload_mark(plain)
        # A cell of a csv that a spreadsheet would take for a formula has an apostrophe in front.
        for spelt in (plain, original, plain.removeprefix("'")):
            yield self._images.get(_key(spelt), []), ""
        address = f"called '{plain}', as in a web address"
        for spelt in (unquote(plain), unquote(original)):
            yield self._images.get(_key(spelt), []), address
        yield self._decoded.get(_key(plain), []), address
        if original != plain:
            yield self._uploaded.get(_key(original), []), f"called '{plain}', as Label Studio renames what it is given"
        stem, suffix = _split(original)
        if suffix.lower() in _SUFFIXES:
            others = [image for image in self._images.get(_key(stem), []) if _key(image.stem) == _key(stem)]
            yield others, f"called '{plain}', with another suffix"

    @cached_property
    def _uploaded(self) -> dict[str, list[Path]]:
        """The images by the names that Label Studio would give them."""
        found: dict[str, list[Path]] = {}
        for image in dict.fromkeys(image for images in self._images.values() for image in images):
            found.setdefault(_key(as_uploaded(image.name)), []).append(image)
        return found

    def _in_folder(self, found: Sequence[Path], name: str) -> list[Path]:
        """Return those images that lie in the folders that a name says, as far as there are several folders."""
        if len(self.folders) == 1:
            return list(found)
        said = _said(name)
        agreeing = [(_agreement(said, image), image) for image in found]
        most = max((number for number, _ in agreeing), default=0)
        if not most and said and said[0] in {_key(folder.name) for folder in self.folders}:
            return []  # it is another folder's, and missing there
        return [image for number, image in agreeing if number == most]


def _said(name: str) -> list[str]:
    """Return the folders that a name says, from the lowest up."""
    return [_key(part) for part in PurePosixPath(name.replace("\\", "/")).parts[:-1]][::-1]


def _agreement(said: Sequence[str], image: Path) -> int:
    """Return how many of the folders above an image are as a name says, from the lowest up."""
    number = 0
    for part, folder in zip(said, image.parent.parts[::-1], strict=False):
        if part != _key(folder):
            break
        number += 1
    return number


def _one_of(found: Sequence[Path], plain: str, name: str, where: str) -> Path:
    exact: list[Callable[[Path], bool]] = [lambda image: image.name == plain, lambda image: image.stem == plain]
    images = list(dict.fromkeys(found))
    for is_exact in exact:
        if len(images) > 1:
            images = [image for image in images if is_exact(image)] or images
    if len(images) > 1:
        first, second = images[:2]
        apart = first.name if first.name != second.name else f"{first.parent.name}/{first.name}"
        other = second.name if first.name != second.name else f"{second.parent.name}/{second.name}"
        raise UsageError(f"{where} says '{name}', which may be '{apart}' or '{other}'. Rename one.")
    return images[0]


def _split(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.stem, path.suffix


def _plain(name: str) -> str:
    return re.split(r"[\\/]", name)[-1]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
