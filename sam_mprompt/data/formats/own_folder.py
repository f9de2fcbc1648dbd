"""One folder of the user's own images: its images, its files of annotation, and which belongs to which."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ..image import natural_order, sort_folder
from .annotation import Annotation, Entry
from .image_folders import ANNOTATIONS, files_in, folders_below, image_folder, label_folders, without_twins
from .image_names import ImageNames, Meant
from .labels import Counts, Label, Marks
from .splits import LIST_SUFFIXES, TEXT_SUFFIXES, split_called
from .tools.collection import read_collection
from .tools.families import FAMILIES, told
from .tools.family import Collection, Family, Kind
from .tools.own_files import TXT
from .tools.sidecars import read_sidecar

_NO_SIDECARS = ("readme", "license", "licence", "classes")


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


class _Source(NamedTuple):
    """What one file says of one image: which it means, and how to get the marks."""

    meant: Meant
    name: str
    file: Path
    marks: Callable[[], Marks]


class OwnFolder:
    """One folder of images, listed once.

    Args:
        folder: where the annotation is: in it, in its `annotations/` or `labels/`, or beside the images.
        images: where the images are; several folders only of one dataset whose files tell which image they mean. None
            for `images/`, or the one folder below that has some, else `folder` itself; where that has none, and
            `folder` annotates many images, all folders below.
        families: the tools whose files are read; those of others are passed over.
        apart: files that are known to be no annotation.

    Attributes:
        image_folders: where the images are.
        spread: whether they are in several folders.
        images: the images.
        passed_over: pictures of other kinds among them.
        collections: the files that annotate many images.
        sidecars: the files that may annotate one image each.
    """

    def __init__(
        self,
        folder: Path,
        images: Path | Sequence[Path] | None = None,
        families: Sequence[Family] = tuple(FAMILIES.values()),
        apart: Sequence[Path] = (),
    ) -> None:
        self.folder, self.families, self.apart = folder, families, frozenset(apart)
        self.subset = images.name if isinstance(images, Path) else None
        given = [images] if isinstance(images, Path) else images
        self.image_folders = list(given) if given else [image_folder(folder)]
        self._list(folder if given is None else None)

    def _list(self, root: Path | None) -> None:
        """List images and files; where there is no image, and `root` has annotation, those of the folders below."""
        listed = [sort_folder(place) for place in self.image_folders]
        self.images = [image for found in listed for image in found.images]
        self.passed_over = [other for found in listed for other in found.passed_over]
        self.names = ImageNames(self.images, self.image_folders)
        if root is not None and not self.images and self._annotates_below(root) and (below := folders_below(root)):
            self.image_folders = below
            self._list(None)
            return
        kinds = {file: self._kind(file) for place in self.places for file in files_in(place) if file not in self.apart}
        self.collections = [file for file, kind in kinds.items() if kind == "many"]
        self.sidecars = [file for file, kind in kinds.items() if kind == "one"]

    def _annotates_below(self, root: Path) -> bool:
        """Whether a folder without images has a file of many images, or a folder of annotation with any file."""
        known = {suffix for family in self.families for suffix in family.suffixes}
        for name in ANNOTATIONS:
            for place in files_in(root / name):
                files = files_in(place) if place.is_dir() else [place]
                if any(file.suffix.lower() in known for file in files):
                    return True
        return any(self._kind(file) == "many" for file in files_in(root))

    @property
    def spread(self) -> bool:
        """Whether the images lie in several folders."""
        return len(self.image_folders) > 1

    @cached_property
    def places(self) -> list[Path]:
        """The folders in which annotation may be."""
        return without_twins([*self._beside_images, *label_folders(self.folder, self.image_folders)])

    @property
    def _beside_images(self) -> list[Path]:
        """The folders of images whose own files count: of several, each may be a dataset of its own."""
        return [] if self.spread else self.image_folders

    @property
    def annotated(self) -> bool:
        """Whether at least one image is annotated, as far as the names of the files tell."""
        named = any(self.names.has(self._called(file)) for file in self.sidecars)
        return bool(self.images and (self.collections or named))

    @property
    def used(self) -> set[Path]:
        """The files that annotate its images."""
        return {*self.collections} if self.collections else {*self.sidecars}

    @property
    def unused(self) -> list[Path]:
        """The files of a tool that could annotate its images and do not, beside those that `splits.unread` names."""
        known = (*self.collections, *self.sidecars)
        return [file for file in known if file not in self.used and file.suffix.lower() not in TEXT_SUFFIXES]

    def has(self, name: str) -> bool:
        """Whether an image is called so, with or without folders and suffix."""
        return self.names.has(name)

    def image(self, name: str, where: str) -> Path:
        """Return the image that a list means; see `ImageNames.meant`."""
        return self.names.meant(name, where).image

    def annotations(self) -> Annotated:
        """Read what the folder's files say; what is malformed in the file of one image is kept for that image.

        Raises:
            UsageError: two kinds of annotation, an image annotated twice, or a malformed file of many images.
        """
        self._check_one_kind()
        sources, labels, listed = self._collected() if self.collections else self._beside()
        marks: dict[Path, Callable[[], Marks]] = {}
        files: dict[Path, Path] = {}
        splits: dict[Path, str] = {}
        for meant, name, file, reader in sorted(sources, key=lambda source: bool(source.meant.told)):
            image, read = meant.image, reader
            if meant.told and image in marks:  # another file has this very name
                image = self.image_folders[0] / Path(name.replace("\\", "/")).name
            elif meant.told:
                read = partial(_noted, reader, meant.told)
            if image in marks:
                raise _choice(
                    f"'{file}' annotates '{image.name}' a second time, as '{name}'. Keep one annotation.",
                    [files[image], file],
                )
            marks[image], files[image] = read, file
            if self.collections and (split := reader().split):
                splits[image] = split
        return Annotated(marks, frozenset(labels), listed, splits)

    def _check_one_kind(self) -> None:
        """Refuse files of several kinds, and of one kind where their names say that they are of several splits."""
        if not self.collections:
            return
        found = self.collections + [file for file in self.sidecars if self.has(self._called(file))]
        families = {known.family.name for file in found if (known := told(file, self.families)) is not None}
        apart = any(split_called(part) for file in found for part in file.stem.replace("-", "_").split("_"))
        if len(found) > 1 and (len(families) > 1 or len(found) > len(self.collections) or apart):
            raise _choice(
                f"Expected one kind of annotation in '{self.folder}'; found '{found[0].name}' and '{found[1].name}'. "
                "Keep one of them, or make folders 'train', 'val' and 'test' with images and annotations of their own.",
                found,
            )

    def _collected(self) -> tuple[list[_Source], set[Label], frozenset[str]]:
        """Read the files of many images."""
        sources: list[_Source] = []
        listed: frozenset[str] = frozenset()
        for file in self.collections:
            collection = self._read_many(file)
            listed |= collection.listed
            for name, given in collection.marks.items():
                sources.append(_Source(self.names.meant(name, f"'{file}'"), name, file, partial(_given, given)))
            for number, given in collection.slices.items():
                image = self._numbered(number, file)
                sources.append(_Source(Meant(image), image.name, file, partial(_given, given)))
        return sources, {label for source in sources for label in _labels(source.marks)}, listed

    def _beside(self) -> tuple[list[_Source], set[Label], frozenset[str]]:
        """Read the files of one image each."""
        sources = []
        for file in self.sidecars:
            name = self._called(file)
            meant = self.names.meant(f"{file.parent.name}/{name}" if self.spread else name, f"'{file}'")
            sources.append(_Source(meant, name, file, self._read_one(file)))
        return sources, {label for source in sources for label in _labels(source.marks)}, frozenset()

    def entries(self, annotated: Annotated, counts: Counts) -> list[Entry]:
        """Return an entry for each image that is there or that an annotation names.

        Of several folders of images, one of which no image is annotated is named as unused.
        """
        known = {image.parent for image in annotated.marks} if self.spread else {*self.image_folders}
        images = {*(image for image in self.images if image.parent in known), *annotated.marks}
        found = [
            _entry(image, annotated.marks[image], counts) if image in annotated.marks else Entry(image, None)
            for image in sorted(images, key=natural_order)
        ]
        others = [*self.passed_over, *self.unused, *(place for place in self.image_folders if place not in known)]
        return found + [Entry(other, None, unused=True) for other in others]

    @property
    def tools(self) -> frozenset[str]:
        """The names of the families that its files of annotation are of."""
        found = (told(file, self.families) for file in self.used)
        return frozenset(known.family.name for known in found if known is not None)

    def _called(self, file: Path) -> str:
        """Return the name of the image that a file is called after, if it is one's own: its own without the suffix, or
        without what its tool adds to that."""
        if not self.has(file.stem):
            for family in self.families:
                if file.suffix.lower() in family.suffixes and self.has(name := family.image_of(file.stem)):
                    return name
        return file.stem

    def _kind(self, file: Path) -> Kind | None:
        """Return what a file annotates, None where nothing reads it."""
        suffix, stem = file.suffix.lower(), file.stem.casefold()
        if not any(suffix in family.suffixes for family in self.families) or stem.startswith(_NO_SIDECARS):
            return None
        named = self.has(self._called(file))
        if named and suffix in (".txt", ".json") and len(self.families) == len(FAMILIES):
            return "one"  # whose it is, is asked when it is read
        found = told(file, self.families)
        if found is None or (named and suffix == ".json" and found.kind == "many"):
            return None
        if found.kind == "one" or (named and found.family.read_one is not None):  # what is called so is its own
            is_list = suffix in LIST_SUFFIXES and split_called(stem) is not None
            return "one" if named or (file.is_file() and not is_list) else None
        if self.subset is not None and file.parent not in self.image_folders:  # of several subsets each has its own
            return "many" if stem.endswith(f"_{self.subset.casefold()}") else None
        return "many"

    def _numbered(self, number: int, file: Path) -> Path:
        """Return the image of a number from 1, or the only one for 0. Raises UsageError where there is none."""
        if 1 <= number <= len(self.images):
            return self.images[number - 1]
        if number == 0 and len(self.images) == 1:
            return self.images[0]
        what = f"slice {number}" if number else "no image by name nor number"
        raise UsageError(f"'{file}' says {what}; there are {len(self.images)} images in '{self.image_folders[0]}'.")

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


def _labels(read: Callable[[], Marks]) -> set[Label]:
    """Return the labels of an annotation that was read; a table that was not has none."""
    return set(read().labels) if _is_read(read) else set()


def _entry(image: Path, read: Callable[[], Marks], counts: Counts) -> Entry:
    embedded = _is_read(read) and read().embedded
    return Entry(image, partial(_heads, read, counts), embedded=embedded)


def _is_read(read: Callable[[], Marks]) -> bool:
    return isinstance(read, partial) and read.func is _given


def _heads(read: Callable[[], Marks], counts: Counts) -> Annotation:
    return read().heads(counts)


def _noted(read: Callable[[], Marks], told: str) -> Marks:
    marks = read()
    return replace(marks, reading="; ".join(filter(None, (marks.reading, told))))


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
