"""What the caches of images and features share: whether there is room, and reading an array back."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError, UsageError
from ...files import check_output
from ...recipe.schema import DataRecipe


def check_room(recipe: DataRecipe, what: str, whole: int, missing: int) -> None:
    """Refuse a cache that is larger than allowed, or than what is free on its disk.

    Args:
        recipe: folder and limit.
        what: "features" or "images".
        whole, missing: bytes of the whole cache, and of what is not in it yet.

    Raises:
        UsageError: it does not fit; says what to change.
    """
    check_output(Path(recipe.cache_root), "folder")
    if whole > recipe.cache_gb * 1e9:
        raise UsageError(
            f"The cached {what} would take {whole / 1e9:.1f} GB, more than data.cache_gb = {recipe.cache_gb:g}. Allow "
            "more, lower data.scale or data.max_side, or train without data.cache."
        )
    root = Path(recipe.cache_root).absolute()
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if missing > free:
        raise UsageError(
            f"The cached {what} need {missing / 1e9:.1f} GB, and '{there}' has {free / 1e9:.1f} GB free. Choose "
            "another folder with data.cache_root."
        )


def read_cached(path: Path) -> NDArray[Any]:
    """Return a cached array, mapped from disk. Raises RunError when it is damaged or gone."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' in the cache cannot be read ({error}). Delete it: it is made again.") from error
