"""Images decoded and resized once, kept on disk as plain pixels, of which only the crop is read."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...arrays import ByteImage
from ...errors import RunError, UsageError
from ...files import recover_within
from ...geometry import Geometry, resize_image, resized
from ...recipe.schema import DataRecipe
from ..bounds import Reading
from ..image import read_image
from ..sample import Sample
from .arrays import read_cached, write_array
from .room import check_room

_READING = Reading()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageCache:
    """Resized images as uint8 (H, W, 3) files, mapped into memory.

    A file is found by its image's path, size and time of change, and by the sizes that images are brought to: a changed
    image or recipe never reads what belongs to another. It is written when the image is first asked for, and again
    when it is damaged.
    """

    folder: Path
    geometry: Geometry
    reading: Reading = _READING

    def read(self, path: Path) -> ByteImage:
        """Return an image, resized. Raises UsageError when it can't be decoded, RunError on a full or bad disk."""
        file = self.file_of(path)
        if file.is_file():
            try:
                return read_cached(file)
            except RunError as error:
                _log.warning("Decoded anew: '%s'. %s", path, error)
        image, _ = resize_image(read_image(path, self.reading), self.geometry)
        write_array(file, image)
        return read_cached(file)

    def file_of(self, path: Path) -> Path:
        """Return where an image's pixels are, or will be. Raises UsageError when there is no such image."""
        try:
            found = path.stat()
        except OSError as error:
            raise UsageError(f"Cannot read '{path}': {error.strerror}.", about="data", root=path.parent) from error
        sizes = [getattr(self.geometry, key) for key in ("max_side", "min_side", "scale")]
        stretched = ["stretch"] if self.reading.stretch else []
        described = json.dumps([str(path.absolute()), found.st_size, found.st_mtime_ns, sizes, *stretched])
        return self.folder / f"{hashlib.sha256(described.encode()).hexdigest()[:24]}.npy"


def open_image_cache(samples: Sequence[Sample], geometry: Geometry, recipe: DataRecipe) -> ImageCache:
    """Return the cache of these images. Raises UsageError when it would take more room than is there or allowed."""
    cache = ImageCache(Path(recipe.cache_root) / "images", geometry, Reading(stretch=recipe.stretch))
    sizes = [3 * height * width for height, width in (resized(sample.size, geometry) for sample in samples)]
    missing = [size for size, s in zip(sizes, samples, strict=True) if not cache.file_of(s.image).is_file()]
    check_room(recipe, "images", sum(sizes), sum(missing))
    recover_within(cache.folder)
    return cache
