"""One folder of the user's own images: its images, its files of annotation, and which belongs to which."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ..image import natural_order, sort_folder
from .annotation import Annotation, Entry
from .collection import read_collection
from .labels import Counts, Label, Marks
from .sidecars import read_sidecar
from .splits import LIST_SUFFIXES, split_called
from .text import file_name

_COLLECTIONS = ("annotations.csv", "annotations.jsonl", "annotations.json")
_COCO_NAMES = ("*coco*.json", "instances*.json", "person_keypoints*.json")
_NO_SIDECARS = ("readme", "license", "licence", "classes")


class Annotated(NamedTuple):
    """What a folder's files of annotation say, before it is known which labels are heads.

    Attributes:
        marks: how to get the marks of each image, raising UsageError where its file is malformed.
        labels: the labels of all marks.
        listed: labels that are defined, whether or not a mark has them.
    """

    marks: Mapping[Path, Callable[[], Marks]]
    labels: frozenset[Label]
    listed: frozenset[str]


class OwnFolder:
    """One folder of images, listed once.

    Args:
        folder: where the annotation is: in it, in its `annotations/`, or beside the images.
        images: where the images are; None for `images/`, or the one folder below that has some, else `folder` itself.

    Attributes:
        images: the images.
        passed_over: pictures of other kinds among them.
        collections: the files that annotate many images; there should be at most one.
        sidecars: the files that may annotate one image each.
    """

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        self.folder = folder
        self.image_folder = images or _image_folder(folder)
        self.images, self.passed_over = sort_folder(self.image_folder)
        self.names: dict[str, list[Path]] = {}
        for image in self.images:
            for name in (image.name, image.stem):
                self.names.setdefault(_composed(name), []).append(image)
        subset = None if images is None else images.name
        files = [file for place in self.places for file in _files(place)]
        self.collections = [file for file in files if self._annotates_many(file, subset)]
        self.sidecars = [file for file in files if file not in self.collections and self._annotates_one(file)]

    @cached_property
    def places(self) -> list[Path]:
        """The folders in which annotation may be."""
        return list(dict.fromkeys([self.image_folder, self.folder, self.folder / "annotations"]))

    @property
    def annotated(self) -> bool:
        """Whether at least one image is annotated, as far as the names of the files tell."""
        named = any(_composed(file.stem) in self.names for file in self.sidecars)
        return bool(self.images and (self.collections or named))

    @property
    def used(self) -> set[Path]:
        """The files that annotate its images."""
        return {*self.collections} if self.collections else {*self.sidecars}

    def has(self, name: str) -> bool:
        """Whether an image is called so, with or without folders and suffix."""
        return _composed(name.replace("\\", "/").rsplit("/", 1)[-1]) in self.names

    def image(self, name: str, where: str) -> Path:
        """Return the image that is called `name`, with or without folders and suffix; it may turn out not to exist.

        Names that differ only in how their accents are composed (NFC, or NFD of a Mac) are the same.

        Raises:
            UsageError: two images have this name, or no file can have it.
        """
        plain = file_name(name, where)
        found = self.names.get(_composed(plain), [])
        if len(found) > 1:
            found = [image for image in found if image.name == plain] or found
        if len(found) > 1:
            raise UsageError(f"{where} says '{name}', which may be '{found[0].name}' or '{found[1].name}'. Rename one.")
        return found[0] if found else self.image_folder / plain

    def annotations(self) -> Annotated:
        """Read what the folder's files say; what is malformed in the file of one image is kept for that image.

        Raises:
            UsageError: two kinds of annotation, an image annotated twice, or a malformed file of many images.
        """
        found = self.collections + [file for file in self.sidecars if self.collections and self.has(file.stem)]
        if len(found) > 1:
            raise UsageError(
                f"Expected one kind of annotation in '{self.folder}'; found '{found[0].name}' and '{found[1].name}'. "
                "Keep one of them, or make folders 'train', 'val' and 'test' with images and annotations of their own."
            )
        marks: dict[Path, Callable[[], Marks]] = {}
        sources: list[tuple[str, Path, Callable[[], Marks]]] = []
        labels: set[Label] = set()
        listed: frozenset[str] = frozenset()
        if found:
            collection = read_collection(found[0])
            listed = collection.listed
            sources += [(name, found[0], partial(_given, given)) for name, given in collection.marks.items()]
            labels = {label for given in collection.marks.values() for label in given.labels}
        else:
            for file in self.sidecars:
                read = _kept(file)
                sources.append((file.stem, file, read))
                labels |= _labels(read)
        for name, file, reader in sources:
            image = self.image(name, f"'{file}'")
            if image in marks:
                raise UsageError(f"'{file}' annotates '{image.name}' a second time, as '{name}'. Keep one annotation.")
            marks[image] = reader
        return Annotated(marks, frozenset(labels), listed)

    def entries(self, annotated: Annotated, counts: Counts) -> list[Entry]:
        """Return an entry for each image that is there or that an annotation names."""
        images = {*self.images, *annotated.marks}
        found = [
            Entry(image, partial(_heads, annotated.marks[image], counts) if image in annotated.marks else None)
            for image in sorted(images, key=natural_order)
        ]
        return found + [Entry(picture, None, unused=True) for picture in self.passed_over]

    def _annotates_many(self, file: Path, subset: str | None) -> bool:
        if file.suffix == ".json" and _composed(file.stem) in self.names:
            return False
        if subset is not None and file.parent != self.image_folder:  # of several subsets each has its own
            return file.suffix == ".json" and file.stem.casefold().endswith(f"_{subset.casefold()}")
        return file.name in _COLLECTIONS or any(file.match(pattern) for pattern in _COCO_NAMES)

    def _annotates_one(self, file: Path) -> bool:
        stem = file.stem.casefold()
        if file.suffix.lower() not in {".txt", ".json"} or stem.startswith(_NO_SIDECARS):
            return False
        if self.has(file.stem):
            return True
        return not (file.suffix.lower() in LIST_SUFFIXES and split_called(stem)) and file.is_file()


def subsets(root: Path) -> dict[str, Path]:
    """Return the folders of images below `root/images/` by name, where that holds no image itself (as CVAT has it)."""
    inner = root / "images"
    if not inner.is_dir() or sort_folder(inner).images:
        return {}
    return {
        child.name: child
        for child in sorted(inner.iterdir())
        if child.is_dir() and not child.name.startswith(".") and sort_folder(child).images
    }


def _image_folder(folder: Path) -> Path:
    below = subsets(folder)
    if len(below) == 1:
        return next(iter(below.values()))
    return folder / "images" if sort_folder(folder / "images").images else folder


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (file for file in sorted(place.iterdir()) if not file.name.startswith("."))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _kept(file: Path) -> Callable[[], Marks]:
    """Read the annotation of one image now; a table of points, which has no labels, when it is asked for."""
    if file.suffix.lower() != ".json":
        return partial(read_sidecar, file)
    try:
        return partial(_given, read_sidecar(file))
    except UsageError as error:
        return partial(_raise, error)


def _labels(read: Callable[[], Marks]) -> set[Label]:
    """Return the labels of an annotation that was read; a table that was not has none."""
    if isinstance(read, partial) and read.func is _given:
        return set(read.args[0].labels)
    return set()


def _heads(read: Callable[[], Marks], counts: Counts) -> Annotation:
    return read().heads(counts)


def _given(marks: Marks) -> Marks:
    return marks


def _raise(error: UsageError) -> Marks:
    raise error
