"""What lies beside a file of annotation, where that tells what it is: its image, or no other annotation."""

from pathlib import Path, PurePosixPath

from ....files import is_file
from ...image import IMAGE_SUFFIXES
from ..splits import LIST_SUFFIXES, split_called

_ANNOTATION = {".txt", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".geojson", ".pnt", ".roi", ".zip", ".mat"}


def beside_its_image(file: Path) -> bool:
    """Whether an image of the same name lies in the file's folder, the one above, or `images/` there."""
    folders = (file.parent, file.parent.parent, file.parent.parent / "images")
    suffixes = [form for suffix in sorted(IMAGE_SUFFIXES) for form in (suffix, suffix.upper(), suffix.title())]
    return any(is_file(folder / f"{file.stem}{suffix}") for folder in folders for suffix in suffixes)


def is_alone(file: Path) -> bool:
    """Whether no other file of the folder may annotate images; lists of a split's images do not."""
    return not any(
        other.suffix.lower() in _ANNOTATION
        and other != file
        and not other.name.startswith(".")
        and not (other.suffix.lower() in LIST_SUFFIXES and split_called(other.stem))
        for other in file.parent.iterdir()
    )


def is_called_as(file: Path, image: str) -> bool:
    """Whether a file is called as the image of this name, with or without its suffix; any is as one without a name."""
    name = PurePosixPath(image.replace("\\", "/"))
    return not image or file.stem.casefold() in (name.name.casefold(), name.stem.casefold())
