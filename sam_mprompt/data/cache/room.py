"""Whether there is room for what is to be cached, of images or of features."""

import shutil
from pathlib import Path

from ...errors import UsageError
from ...files import check_output
from ...recipe.schema import DataRecipe


def check_room(recipe: DataRecipe, what: str, whole: int, missing: int) -> None:
    """Refuse a cache that is larger than allowed, or than what is free on its disk.

    Args:
        recipe: folder and limit.
        what: "features" or "images".
        whole, missing: bytes of the whole cache, and of what is not in it yet.

    Raises:
        UsageError: it does not fit; says what to change. The folder cannot be written, and has to be.
    """
    if missing:  # one that is complete may lie where nothing can be written
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
