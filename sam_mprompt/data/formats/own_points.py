"""The user's own annotated images: which annotation belongs to which image, and which image to which split.

    crowd/  (or crowd/images/)        one of
      a.jpg                             a.txt, or a.json, beside each image or in `annotations/`
      b.png                             annotations.csv, annotations.jsonl, or a COCO file such as annotations.json
      ...
      train.txt  val.txt  test.txt    optional: names of images, one a line, with or without suffix

Without lists there may be folders `train`, `val` and `test` of that form; without either, all images are train (and val
is carved from it), and there is no test split. With lists but without `train.txt`, train is what no list names.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from ...errors import UsageError
from ..image import images_in, natural_order
from .annotations import read_collection, read_sidecar
from .entries import SPLIT_NAMES, Annotation, Entries, Entry, SplitName
from .parsing import numbered_lines

_SPLIT_FOLDERS: dict[SplitName, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
_COLLECTIONS = ("annotations.csv", "annotations.jsonl", "annotations.json")
_COCO_NAMES = ("*coco*.json", "instances*.json", "person_keypoints*.json")
_NO_SIDECARS = {*SPLIT_NAMES, "readme", "license", "classes"}


def is_own_points(root: Path) -> bool:
    """Whether `root` holds images and an annotation of at least one of them, or folders of splits that do."""
    return _Folder(root).annotated or any(folder.annotated for folder in _split_folders(root).values())


def own_points(root: Path) -> Entries:
    """List the user's own images by split, with those that a list or an annotation names although they are not there.

    Raises:
        UsageError: an ambiguous layout or a malformed file; the message names what is in conflict.
    """
    whole, folders = _Folder(root), _split_folders(root)
    if any(folder.annotated for folder in folders.values()):
        if whole.annotated:
            raise UsageError(
                f"Expected annotated images either in '{root}' or in its folders 'train', 'val' and 'test'; "
                "found both. Move one of them away."
            )
        return {split: folder.entries() for split, folder in folders.items()}
    entries = whole.entries()
    known = {entry.image: entry for entry in entries}
    splits: Entries = {}
    for split in SPLIT_NAMES:
        if (file := root / f"{split}.txt").is_file():
            images = [whole.image(name, f"'{file}' line {number}") for number, name in numbered_lines(file)]
            splits[split] = [known.get(image, Entry(image, None)) for image in images]
    if "train" not in splits:
        taken = {entry.image for listed in splits.values() for entry in listed}
        splits = {"train": [entry for entry in entries if entry.image not in taken], **splits}
    return splits


def _split_folders(root: Path) -> dict[SplitName, "_Folder"]:
    places = {
        split: [root / name for name in names if (root / name).is_dir()] for split, names in _SPLIT_FOLDERS.items()
    }
    return {split: _Folder(found[0]) for split, found in places.items() if found}


class _Folder:
    """One folder of images, listed once.

    Attributes:
        images: the images, in `images/` or else directly in the folder.
        collections: the files that annotate many images; there should be at most one.
        sidecars: the files that may annotate one image each.
    """

    def __init__(self, folder: Path) -> None:
        inner = images_in(folder / "images")
        self.folder, self.image_folder = folder, folder / "images" if inner else folder
        self.images = inner or images_in(folder)
        self.names: dict[str, list[Path]] = {}
        for image in self.images:
            for name in (image.name, image.stem):
                self.names.setdefault(name, []).append(image)
        places = dict.fromkeys([self.image_folder, folder, folder / "annotations"])
        files = [file for place in places if place.is_dir() for file in sorted(place.iterdir()) if file.name[0] != "."]
        self.collections = [file for file in files if self._annotates_many(file)]
        self.sidecars = [file for file in files if file not in self.collections and self._annotates_one(file)]

    @property
    def annotated(self) -> bool:
        """Whether at least one image is annotated, as far as the names of the files tell."""
        return bool(self.images and (self.collections or any(file.stem in self.names for file in self.sidecars)))

    def image(self, name: str, where: str) -> Path:
        """Return the image that is called `name`, with or without folders and suffix; it may turn out not to exist.

        Raises:
            UsageError: two images have this name.
        """
        plain = PurePosixPath(name.replace("\\", "/")).name
        found = self.names.get(plain, [])
        if len(found) > 1:
            raise UsageError(f"{where} says '{name}', which may be '{found[0].name}' or '{found[1].name}'. Rename one.")
        return found[0] if found else self.image_folder / plain

    def entries(self) -> list[Entry]:
        """Return an entry for each image that is there or that an annotation names."""
        readers = self._readers()
        images = {*self.images, *readers}
        return [Entry(image, readers.get(image)) for image in sorted(images, key=natural_order)]

    def _readers(self) -> dict[Path, Callable[[], Annotation]]:
        """Return how to read the annotation of each annotated image."""
        found = self.collections + [file for file in self.sidecars if self.collections and file.stem in self.names]
        if len(found) > 1:
            raise UsageError(
                f"Expected one kind of annotation in '{self.folder}'; found '{found[0].name}' and '{found[1].name}'. "
                "Keep one of them, or make folders 'train', 'val' and 'test' with images and annotations of their own."
            )
        readers: dict[Path, Callable[[], Annotation]] = {}
        if found:
            named = read_collection(found[0]).items()
            sources = [(name, found[0], partial(_given, annotation)) for name, annotation in named]
        else:
            sources = [(file.stem, file, partial(read_sidecar, file)) for file in self.sidecars]
        for name, file, reader in sources:
            image = self.image(name, f"'{file}'")
            if image in readers:
                raise UsageError(f"'{file}' annotates '{image.name}' a second time, as '{name}'. Keep one annotation.")
            readers[image] = reader
        return readers

    def _annotates_many(self, file: Path) -> bool:
        if file.suffix == ".json" and file.stem in self.names:
            return False
        return file.name in _COLLECTIONS or any(file.match(pattern) for pattern in _COCO_NAMES)

    def _annotates_one(self, file: Path) -> bool:
        return file.suffix.lower() in {".txt", ".json"} and file.stem.lower() not in _NO_SIDECARS


def _given(annotation: Annotation) -> Annotation:
    return annotation
