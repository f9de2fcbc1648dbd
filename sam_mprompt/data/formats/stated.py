"""Splits that an annotation states itself for its images: a column of a table, a field in JSON, CVAT's subset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UsageError, listed
from .annotation import SPLIT_NAMES, Entry, SplitName
from .splits import split_called

_DEFAULT = "default"
"""As CVAT calls what is in no subset: train."""


def stated_splits(named: Mapping[Path, str], where: str) -> dict[Path, SplitName]:
    """Return the split of each image by what its annotation calls it.

    Names of which none is that of a split (sets "A" and "B") divide otherwise and are passed over.

    Args:
        named: what the annotation calls the image's split.
        where: what is annotated, for messages.

    Raises:
        UsageError: some names are those of splits and others are not.
    """
    called = {image: split_called(name) for image, name in named.items()}
    if not any(called.values()):
        return {}
    other = {name for image, name in named.items() if called[image] is None and name.casefold() != _DEFAULT}
    if other:
        names = listed(set(named.values()))
        raise UsageError(f"{where}: its images are of the splits {names}: expected train, val and test alone.")
    return {image: split or "train" for image, split in called.items()}


def of_splits(stated: Mapping[Path, SplitName]) -> dict[SplitName, list[Path]]:
    """Return the images of val and test; train is what is in none of them, with those of which nothing is stated."""
    found = {name: [image for image, split in stated.items() if split == name] for name in SPLIT_NAMES[1:]}
    return {name: images for name, images in found.items() if images}


def expect_agreement(splits: Mapping[SplitName, Sequence[Entry]], stated: Mapping[Path, SplitName], where: str) -> None:
    """Refuse with UsageError an image that a list or a folder puts into another split than its annotation."""
    for split, entries in splits.items():
        for entry in entries:
            if not entry.unused and stated.get(entry.image, split) != split:
                raise UsageError(
                    f"{where}: '{entry.image.name}' is in the {split} split by a list or folder and in "
                    f"{stated[entry.image]} by its annotation: expected the same split, or one of them alone."
                )
