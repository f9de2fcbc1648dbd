"""Images larger than a tile are cut into overlapping ones and blended again, so that no head is lost or doubled."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..arrays import ByteImage, FloatArray
from ..geometry import Geometry, round_up, tile_grid, tile_weights
from ..targets import grid_size
from .backend import DensityBackend
from .preprocess import network_input

Forward = Callable[[FloatArray], FloatArray]
"""Normalised tiles (B, 3, H, W) -> float32 maps (B, K, H / stride, W / stride)."""


def blend_tiles(
    images: Sequence[ByteImage],
    forward: Forward,
    geometry: Geometry,
    backend: DensityBackend,
    *,
    batch_size: int = 1,
) -> list[FloatArray]:
    """Run a network over images of any size; tiles of one size, also of different images, share its calls.

    Every image is padded at the bottom and right to `size_divisor`; cells that lie entirely in the padding are dropped.
    An image larger than a tile is cut into overlapping tiles whose weights sum to one in every cell.

    Args:
        images: uint8 (H, W, 3), resized before.
        forward: what the network makes of a batch of tiles.
        geometry: tile and overlap.
        backend: the network's stride, size divisor, mean and standard deviation.
        batch_size: tiles per call.

    Returns:
        The maps of each image, float32 (K, ceil(H / stride), ceil(W / stride)).
    """
    canvases = [_Canvas(image, geometry, backend) for image in images]
    jobs: dict[tuple[int, int], list[_Job]] = defaultdict(list)
    for canvas in canvases:
        jobs[canvas.tile_size] += [(canvas, top, left) for top, left in canvas.weights]
    for size, same_size in jobs.items():
        batches = [same_size[start : start + batch_size] for start in range(0, len(same_size), batch_size)]
        for batch, tiles in _prepared(batches, size, backend):
            for (canvas, top, left), tile in zip(batch, forward(tiles), strict=True):
                canvas.add(top, left, tile)
    return [canvas.maps() for canvas in canvases]


def _prepared(
    batches: Sequence[Sequence["_Job"]], size: tuple[int, int], backend: DensityBackend
) -> Iterator[tuple[Sequence["_Job"], FloatArray]]:
    """Yield each batch with its normalised tiles, which are made in a thread while the network has those before."""

    def prepare(batch: Sequence["_Job"]) -> FloatArray:
        return network_input([canvas.crop(top, left) for canvas, top, left in batch], size, backend.mean, backend.std)

    if len(batches) == 1:
        yield batches[0], prepare(batches[0])
        return
    with ThreadPoolExecutor(1, "sam-mprompt-tiles") as pool:
        coming = pool.submit(prepare, batches[0])
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            tiles = coming.result()
            if following is not None:
                coming = pool.submit(prepare, following)
            yield batch, tiles


class _Canvas:
    """The cells of one image, on which tiles are blended."""

    def __init__(self, image: ByteImage, geometry: Geometry, backend: DensityBackend) -> None:
        self.image, self.stride = image, backend.stride
        self.size = (image.shape[0], image.shape[1])
        self.tile_size, tops, lefts = tile_grid(self.size, geometry, backend.size_divisor)
        height, width = (side // self.stride for side in self.tile_size)
        rows = tile_weights([top // self.stride for top in tops], height)
        columns = tile_weights([left // self.stride for left in lefts], width)
        self.weights = {(t, u): (rows[i], columns[j]) for i, t in enumerate(tops) for j, u in enumerate(lefts)}
        self.cells = tuple(round_up(side, backend.size_divisor) // self.stride for side in self.size)
        self.blended: NDArray[np.float64] | None = None

    def crop(self, top: int, left: int) -> ByteImage:
        """Return the image's part of a tile, without padding."""
        return self.image[top : top + self.tile_size[0], left : left + self.tile_size[1]]

    def add(self, top: int, left: int, maps: FloatArray) -> None:
        """Blend a tile's maps (K, h, w) into the image's."""
        if self.blended is None:
            self.blended = np.zeros((len(maps), *self.cells))
        row_weights, column_weights = self.weights[top, left]
        y, x = top // self.stride, left // self.stride
        area = (slice(None), slice(y, y + len(row_weights)), slice(x, x + len(column_weights)))
        self.blended[area] += row_weights[:, None] * column_weights * maps

    def maps(self) -> FloatArray:
        """Return what is blended, without the cells in the padding."""
        assert self.blended is not None, "every image has a tile"
        rows, columns = grid_size(self.size, self.stride)
        return self.blended[:, :rows, :columns].astype(np.float32)


_Job = tuple[_Canvas, int, int]
"""A tile of an image: top and left."""
