"""Does a file count as its adapter does? The same images by both, compared; every export ends with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import ByteImage, FloatArray
from ..counting.backend import DensityBackend
from ..counting.predict import predict_density
from ..counting.result import ImageLike
from ..counting.torch_backend import TorchBackend
from ..data.bounds import Reading
from ..data.image import as_rgb
from ..data.scenes.crowd import crowd_scene
from ..errors import RunError
from ..geometry import Geometry
from ..models.counter import CrowdCounter
from .fixed_tile import on_a_fixed_tile

LIMITS = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 1e-2, "int8": 5e-2}
"""By dtype, how far counts may be off, as a share: the worst image's in float32 and float16, else that of all."""

_SIZES = ((448, 448), (300, 520), (620, 430), (768, 1024))
"""Of the procedural scenes: square, wide, high, and larger than many tiles."""


@dataclass(frozen=True)
class Parity:
    """How a file's counts compare with PyTorch's.

    Attributes:
        images: that were counted by both.
        density: the largest difference in a cell, as a share of the image's fullest cell.
        count: the largest difference of an image's counts, as a share of its count (of at least one head).
        total: the sum of all differences, as a share of all heads.
        tiles: the same sum against the adapter at its own tile, where the file has a fixed or another one.
    """

    images: int
    density: float
    count: float
    total: float
    tiles: float | None = None

    def as_dict(self) -> dict[str, float | int | str]:
        """Return JSON-ready values."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def fault(self, dtype: str) -> str | None:
        """Say what is off, None where nothing is."""
        limit = LIMITS[dtype]
        found = self.total if dtype in ("bfloat16", "int8") else self.count
        if found <= limit and (dtype != "float32" or self.density <= limit):
            return None
        return (
            f"expected counts within {100 * limit:g} % of PyTorch's on {self.images} images, got {100 * found:.3g} % "
            f"(densities within {100 * self.density:.3g} % of the fullest cell)"
        )


class OnFixedTile(TorchBackend):
    """PyTorch on tiles that are padded as an exported file's are."""

    def __init__(self, model: CrowdCounter, tile: int | None) -> None:
        super().__init__(model, "cpu")
        self.tile = tile

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell (B, h, w) of normalised tiles (B, 3, H, W)."""
        return on_a_fixed_tile(super().density, tiles, self.tile, self.stride)


def scenes() -> list[ByteImage]:
    """Return procedural crowds of several sizes: what is compared where no images are given."""
    return [crowd_scene(17, index, size).image for index, size in enumerate(_SIZES)]


def compare(
    model: CrowdCounter,
    backend: DensityBackend,
    images: Sequence[ImageLike],
    geometry: Geometry,
    *,
    tile: int | None,
    own: Geometry,
    reading: Reading,
    progress: Callable[[int, int], None] | None = None,
) -> Parity:
    """Count images by PyTorch and by a file.

    Args:
        model: the adapter on its base, as it counts.
        backend: the file's.
        images: paths or pixels.
        geometry: of the file.
        tile: the file's fixed tile.
        own: of the adapter; where it or `tile` makes a difference, images are counted a third time.
        reading: how files are decoded.
        progress: called after each image with the number done and of all.

    Raises:
        UsageError: an image that cannot be read.
        RunError: densities that are not finite, or a full memory.
    """
    plain, padded = TorchBackend(model, "cpu"), OnFixedTile(model, tile)
    densities, counts = [], []
    for done, image in enumerate(images, start=1):
        pixels = as_rgb(image, reading)
        expected, found = (predict_density(one, pixels, geometry) for one in (padded, backend))
        other = expected if tile is None and geometry == own else predict_density(plain, pixels, own)
        peak = max(float(expected.density.max()), 1e-6)
        densities.append(float(np.abs(expected.density - found.density).max()) / peak)
        counts.append((expected.count, found.count, other.count))
        if progress is not None:
            progress(done, len(images))
    expected_counts, found_counts, others = np.array(counts).T
    off = np.abs(expected_counts - found_counts)
    third = None
    if tile is not None or geometry != own:
        third = float(np.abs(others - found_counts).sum() / max(others.sum(), 1.0))
    return Parity(
        len(counts),
        max(densities),
        float((off / np.maximum(expected_counts, 1.0)).max()),
        float(off.sum() / max(expected_counts.sum(), 1.0)),
        third,
    )


def check(parity: Parity, dtype: str, what: str) -> None:
    """Raise RunError where a file is off."""
    if fault := parity.fault(dtype):
        raise RunError(f"{what} does not count as its adapter: {fault}. Nothing was written.")
