"""Datasets that are made on the page: a folder of photographs, each with its heads in a JSON file beside it."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..data.formats.tools.sidecars import read_sidecar
from ..errors import RunError, UsageError
from ..files import recover_within, replacing, write_text

NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,62}[A-Za-z0-9_])?", re.ASCII)
"""Of a dataset or a training: no dot at either end, and nothing that leads elsewhere."""

FORMAT = "json"
"""The layout, as recipes call it."""

_IMAGES = "images"
_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"BM": ".bmp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
    b"RIFF": ".webp",
}
_MEANT_OTHERWISE = ("readme", "license", "licence", "classes", "annotations", "instances", "train", "val", "test")


@dataclass(frozen=True)
class SavedPhoto:
    """One photograph of a dataset."""

    file: str
    heads: int


@dataclass(frozen=True)
class SavedSet:
    """One dataset."""

    name: str
    photos: tuple[SavedPhoto, ...]


class Datasets:
    """The datasets below one folder.

    Args:
        root: where they lie; made when the first is saved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return the folder of a dataset, which need not exist. Raises UsageError where the name cannot be one."""
        return self.root / checked(name, "dataset")

    def all(self) -> list[SavedSet]:
        """List what is there, by name."""
        try:
            found = sorted(path.name for path in self.root.iterdir() if (path / _IMAGES).is_dir())
        except OSError:
            return []
        return [SavedSet(name, self._photos(name)) for name in found if NAME.fullmatch(name)]

    def save(
        self, name: str, photo: str, content: bytes, points: Sequence[tuple[float, float]], size: tuple[int, int]
    ) -> str:
        """Save a photograph with its heads, and return what its file is called.

        A photograph of the same name and content gets these heads; one of the same name and another content stays, and
        this one is numbered.

        Args:
            name: of the dataset.
            photo: what the photograph is called.
            content: the file as it came.
            points: heads (x, y) in pixels as displayed.
            size: (height, width) as displayed.

        Raises:
            UsageError: a name that cannot be one, or a head outside the photograph.
            RunError: the disk is full or not writable.
        """
        folder = self.path(name) / _IMAGES
        height, width = size
        heads = np.asarray(points, np.float64).reshape(-1, 2)
        inside = np.isfinite(heads).all() and (heads >= 0).all() and (heads <= (width, height)).all()
        if not inside:
            raise UsageError(f"Expected heads inside the photograph of {width}x{height} pixels, got some outside.")
        recover_within(folder)
        heads = np.minimum(heads, np.nextafter(np.array((width, height), np.float32), np.float32(0)))
        text = json.dumps({"points": heads.round(2).tolist(), "width": width, "height": height})
        try:
            file = _place(folder, photo, content)
            known = file.is_file()
            try:
                write_text(file.with_suffix(".json"), text + "\n")
                if not known:  # after its heads: whatever ends the process, no photograph is without them
                    with replacing(file) as temporary:
                        temporary.write_bytes(content)
            except BaseException:
                if not known:
                    self._forget(name, file)
                raise
        except OSError as error:
            raise RunError(f"Cannot write into the dataset '{name}': {error.strerror}.") from error
        return file.name

    def open(self, name: str, file: str) -> tuple[bytes, list[list[float]]]:
        """Return a saved photograph and its heads (x, y). Raises UsageError where it is not there or damaged."""
        path = self._file(name, file)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"Cannot read '{file}' of the dataset '{name}': {error.strerror}.") from error
        beside = path.with_suffix(".json")
        if not beside.is_file():
            return content, []
        return content, [[float(x), float(y)] for x, y in read_sidecar(beside).heads().points]

    def remove(self, name: str, file: str) -> None:
        """Take a photograph out of a dataset; the last one takes the dataset along. Raises RunError where it stays."""
        path = self._file(name, file)
        recover_within(path.parent)
        try:
            self._forget(name, path)
        except OSError as error:
            raise RunError(f"Cannot take '{file}' out of '{name}': {error.strerror}.") from error

    def _forget(self, name: str, path: Path) -> None:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            shutil.rmtree(self.path(name))

    def _file(self, name: str, file: str) -> Path:
        folder = self.path(name) / _IMAGES
        if file not in {photo.file for photo in self._photos(name)}:
            raise UsageError(f"No photograph '{file:.80}' in the dataset '{name}'.")
        return folder / file

    def _photos(self, name: str) -> tuple[SavedPhoto, ...]:
        try:
            files = sorted(path for path in (self.root / name / _IMAGES).iterdir() if _is_photo(path))
        except OSError:
            return ()
        return tuple(SavedPhoto(path.name, _heads(path.with_suffix(".json"))) for path in files)


def checked(name: str, what: str) -> str:
    """Return a name that a folder can have anywhere. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"Expected a name for the {what} of up to 64 letters, digits, '.', '_' and '-', the first and the last a "
            f"letter or digit, got '{name:.80}'."
        )
    return name


def _is_photo(path: Path) -> bool:
    return path.suffix in set(_SUFFIXES.values()) and not path.name.startswith(".")


def _heads(file: Path) -> int:
    try:
        return len(json.loads(file.read_text(encoding="utf-8"))["points"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _place(folder: Path, photo: str, content: bytes) -> Path:
    """Return where a photograph goes: where it is already, else under its own name or the next that is free."""
    suffix = next((suffix for start, suffix in _SUFFIXES.items() if content.startswith(start)), ".jpg")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(photo).stem).strip("-_")[:60] or "photo"
    if stem.lower().startswith(_MEANT_OTHERWISE):
        stem = f"photo-{stem}"
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        path = folder / f"{name}{suffix}"
        taken = [other for other in _SUFFIXES.values() if other != suffix and (folder / f"{name}{other}").exists()]
        if not taken and (not path.exists() or path.read_bytes() == content):
            return path
        number += 1
