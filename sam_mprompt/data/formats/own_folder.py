"""One folder of the user's own images: its images, its files of annotation, and which belongs to which."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ..image import natural_order, sort_folder
from .annotation import Annotation, Entry
from .labels import Counts, Label, Marks
from .splits import LIST_SUFFIXES, split_called
from .text import file_name
from .tools.collection import read_collection
from .tools.families import FAMILIES, told
from .tools.family import Collection, Family, Kind
from .tools.label_studio import without_upload_mark
from .tools.own_files import TXT
from .tools.sidecars import read_sidecar

_NO_SIDECARS = ("readme", "license", "licence", "classes")
_IMAGES = ("images", "JPEGImages", "obj_train_data")
"""Folders of images as most tools, Pascal VOC and CVAT's YOLO call them."""
_ANNOTATIONS = ("annotations", "Annotations", "labels")


class Annotated(NamedTuple):
    """What a folder's files of annotation say, before it is known which labels are heads.

    Attributes:
        marks: how to get the marks of each image, raising UsageError where its file is malformed.
        labels: the labels of all marks.
        listed: labels that are defined, whether or not a mark has them.
        splits: the split that a file of many images states for each, as it says it; without those it states none for.
    """

    marks: Mapping[Path, Callable[[], Marks]]
    labels: frozenset[Label]
    listed: frozenset[str]
    splits: Mapping[Path, str]


class OwnFolder:
    """One folder of images, listed once.

    Args:
        folder: where the annotation is: in it, in its `annotations/` or `labels/`, or beside the images.
        images: where the images are; None for `images/`, or the one folder below that has some, else `folder` itself.
        families: the tools whose files are read; those of others are passed over.

    Attributes:
        images: the images.
        passed_over: pictures of other kinds among them.
        collections: the files that annotate many images; there should be at most one.
        sidecars: the files that may annotate one image each.
    """

    def __init__(
        self, folder: Path, images: Path | None = None, families: Sequence[Family] = tuple(FAMILIES.values())
    ) -> None:
        self.folder, self.families = folder, families
        self.subset = None if images is None else images.name
        self.image_folder = images or _image_folder(folder)
        self.images, self.passed_over = sort_folder(self.image_folder)
        self.names: dict[str, list[Path]] = {}
        for image in self.images:
            for name in (image.name, image.stem):
                self.names.setdefault(_key(name), []).append(image)
        kinds = {file: self._kind(file) for place in self.places for file in _files(place)}
        self.collections = [file for file, kind in kinds.items() if kind == "many"]
        self.sidecars = [file for file, kind in kinds.items() if kind == "one"]

    @cached_property
    def places(self) -> list[Path]:
        """The folders in which annotation may be."""
        below = [self.folder / name for name in _ANNOTATIONS]
        if self.image_folder.parent != self.folder:  # images/train/ has its labels in labels/train/
            below += [place / self.image_folder.name for place in below]
        return _without_twins([self.image_folder, self.folder, *below])

    @property
    def annotated(self) -> bool:
        """Whether at least one image is annotated, as far as the names of the files tell."""
        named = any(_key(file.stem) in self.names for file in self.sidecars)
        return bool(self.images and (self.collections or named))

    @property
    def used(self) -> set[Path]:
        """The files that annotate its images."""
        return {*self.collections} if self.collections else {*self.sidecars}

    def has(self, name: str) -> bool:
        """Whether an image is called so, with or without folders and suffix."""
        return _key(name.replace("\\", "/").rsplit("/", 1)[-1]) in self.names

    def image(self, name: str, where: str) -> Path:
        """Return the image that is called `name`, with or without folders and suffix; it may turn out not to exist.

        Names that differ only in how their accents are composed (NFC, or NFD of a Mac) are the same, and so are those
        that differ in case where there is but one (a camera's .JPG is .jpg to many a tool).

        Raises:
            UsageError: two images have this name, or no file can have it.
        """
        plain = file_name(name, where)
        # A cell of a csv that a spreadsheet would take for a formula has an apostrophe in front.
        spellings = (plain, without_upload_mark(plain), plain.removeprefix("'"))
        found = next((self.names[key] for name in spellings if (key := _key(name)) in self.names), [])
        if len(found) > 1:
            exact = [image for image in found if image.name == plain]
            found = exact or [image for image in found if image.stem == plain] or found
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
            raise _choice(
                f"Expected one kind of annotation in '{self.folder}'; found '{found[0].name}' and '{found[1].name}'. "
                "Keep one of them, or make folders 'train', 'val' and 'test' with images and annotations of their own.",
                found,
            )
        marks: dict[Path, Callable[[], Marks]] = {}
        files: dict[Path, Path] = {}
        sources: list[tuple[str, Path, Callable[[], Marks]]] = []
        labels: set[Label] = set()
        splits: dict[Path, str] = {}
        listed: frozenset[str] = frozenset()
        if found:
            collection = self._read_many(found[0])
            listed = collection.listed
            sources += [(name, found[0], partial(_given, given)) for name, given in collection.marks.items()]
            sources += [
                (self._numbered(number, found[0]).name, found[0], partial(_given, given))
                for number, given in collection.slices.items()
            ]
            labels = {label for _, _, read in sources for label in _labels(read)}
        else:
            for file in self.sidecars:
                read = self._read_one(file)
                sources.append((file.stem, file, read))
                labels |= _labels(read)
        for name, file, reader in sources:
            image = self.image(name, f"'{file}'")
            if image in marks:
                raise _choice(
                    f"'{file}' annotates '{image.name}' a second time, as '{name}'. Keep one annotation.",
                    [files[image], file],
                )
            marks[image], files[image] = reader, file
            if found and (split := reader().split):
                splits[image] = split
        return Annotated(marks, frozenset(labels), listed, splits)

    def entries(self, annotated: Annotated, counts: Counts) -> list[Entry]:
        """Return an entry for each image that is there or that an annotation names."""
        images = {*self.images, *annotated.marks}
        found = [
            Entry(image, partial(_heads, annotated.marks[image], counts) if image in annotated.marks else None)
            for image in sorted(images, key=natural_order)
        ]
        return found + [Entry(picture, None, unused=True) for picture in self.passed_over]

    @property
    def tools(self) -> frozenset[str]:
        """The names of the families that its files of annotation are of."""
        found = (told(file, self.families) for file in self.used)
        return frozenset(known.family.name for known in found if known is not None)

    def _kind(self, file: Path) -> Kind | None:
        """Return what a file annotates, None where nothing reads it."""
        suffix, stem = file.suffix.lower(), file.stem.casefold()
        if not any(suffix in family.suffixes for family in self.families) or stem.startswith(_NO_SIDECARS):
            return None
        named = self.has(file.stem)
        if named and suffix in (".txt", ".json") and len(self.families) == len(FAMILIES):
            return "one"  # whose it is, is asked when it is read
        found = told(file, self.families)
        if found is None or (named and suffix == ".json" and found.kind == "many"):
            return None
        if found.kind == "one" or (named and found.family.read_one is not None):  # what is called so is its own
            is_list = suffix in LIST_SUFFIXES and split_called(stem) is not None
            return "one" if named or (file.is_file() and not is_list) else None
        if self.subset is not None and file.parent != self.image_folder:  # of several subsets each has its own
            return "many" if stem.endswith(f"_{self.subset.casefold()}") else None
        return "many"

    def _numbered(self, number: int, file: Path) -> Path:
        """Return the image of a number from 1, or the only one for 0. Raises UsageError where there is none."""
        if 1 <= number <= len(self.images):
            return self.images[number - 1]
        if number == 0 and len(self.images) == 1:
            return self.images[0]
        what = f"slice {number}" if number else "no image by name nor number"
        raise UsageError(f"'{file}' says {what}; there are {len(self.images)} images in '{self.image_folder}'.")

    def _read_many(self, file: Path) -> Collection:
        found = told(file, self.families)
        read = found.family.read_many if found is not None and found.kind == "many" else None
        return (read or read_collection)(file)

    def _read_one(self, file: Path) -> Callable[[], Marks]:
        """Read the annotation of one image now; a table of points, which has no labels, when it is asked for."""
        found = told(file, self.families)
        if found is not None and found.family is TXT:
            return partial(read_sidecar, file)
        read = found.family.read_one if found is not None else None
        try:
            return partial(_given, (read or read_sidecar)(file))
        except UsageError as error:
            return partial(_raise, error)


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
    called = (folder / name for name in _IMAGES)
    return next((place for place in called if sort_folder(place).images), folder)


def _without_twins(places: list[Path]) -> list[Path]:
    """Return the folders that are there, one that a file system calls by two names once."""
    found: dict[tuple[int, int], Path] = {}
    for place in places:
        if place.is_dir():
            status = place.stat()
            found.setdefault((status.st_dev, status.st_ino), place)
    return list(found.values())


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (file for file in sorted(place.iterdir()) if not file.name.startswith("."))


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _labels(read: Callable[[], Marks]) -> set[Label]:
    """Return the labels of an annotation that was read; a table that was not has none."""
    if isinstance(read, partial) and read.func is _given:
        return set(read.args[0].labels)
    return set()


def _heads(read: Callable[[], Marks], counts: Counts) -> Annotation:
    return read().heads(counts)


def _given(marks: Marks) -> Marks:
    return marks


def _choice(message: str, files: Sequence[Path]) -> UsageError:
    """Return the error of several files that annotate the same; where they are of several tools it names those."""
    names = {known.family.name for file in files if (known := told(file)) is not None}
    if len(names) < 2:
        return UsageError(message)
    return UsageError(message, about="several tools", tools=" or ".join(sorted(names)))


def _raise(error: UsageError) -> Marks:
    raise error
