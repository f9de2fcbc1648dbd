"""An image of any size becomes a density: resized, cut into overlapping tiles, blended so that counts are conserved."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..arrays import ByteImage
from ..data.image import as_rgb
from ..errors import RunError, UsageError
from ..geometry import Geometry, resize_image, round_up, tile_starts, tile_weights
from ..targets import grid_size
from .result import CountResult, ImageLike, Prediction

Device = str | torch.device


class DensityModel(Protocol):
    """What counting needs of a model: `CrowdCounter` has it.

    Called with images float32 (B, 3, H, W), normalised by `encoder.mean` and `encoder.std`, H and W multiples of
    `size_divisor`, it returns `.density` (B, 1, H/stride, W/stride), whose sum is heads, and `.mask_logits` of the same
    shape or None.
    """

    @property
    def encoder(self) -> Any:
        """Holds `mean` and `std`: three floats each, for images in [0, 1]."""

    @property
    def stride(self) -> int:
        """Pixels per side of a density cell; divides `size_divisor`."""

    @property
    def size_divisor(self) -> int:
        """Image sides must be multiples of this."""

    def __call__(self, images: Tensor) -> Any:
        """Return the density and the mask logits."""

    def modules(self) -> Iterator[nn.Module]:
        """Return every submodule, itself included."""


def predict_density(
    model: DensityModel,
    image: ByteImage,
    geometry: Geometry,
    *,
    device: Device,
    batch_size: int = 1,
    autocast: torch.dtype | None = None,
) -> Prediction:
    """Count one uint8 RGB image (H, W, 3) of any size.

    The image is resized (`resize_image`) and padded at the bottom and right to the model's `size_divisor` with the mean
    colour, zeros after normalisation, as training pads its crops; cells that lie entirely in the padding are dropped.
    An image larger than a tile is cut into overlapping tiles whose weights sum to one in every cell, so that no head
    is lost or doubled at a seam. The model runs in evaluation mode; its own mode is restored afterwards.

    Args:
        batch_size: tiles per forward pass.
        autocast: the dtype of mixed precision on CUDA; other devices ignore it and run in float32.

    Raises:
        RunError: the device's memory is exhausted or the density is not finite.
    """
    return _predict(
        model, [_Resized.of(image, geometry)], geometry, device=device, batch_size=batch_size, autocast=autocast
    )[0]


def count_many(
    model: DensityModel,
    images: Iterable[ImageLike],
    geometry: Geometry,
    *,
    device: Device,
    batch_size: int = 1,
    autocast: torch.dtype | None = None,
    on_error: Callable[[ImageLike, UsageError], None] | None = None,
) -> Iterator[CountResult]:
    """Yield one result per image (path, PIL image or uint8 RGB array), in order; at most 2 x batch_size are in memory.

    Images are decoded and resized in threads while the model works on those before; tiles of up to `batch_size`
    images share forward passes where their sizes agree.

    Args:
        on_error: called with an image that cannot be read and the reason; the image is then left out. Without it
            the error is raised after the results of the images before it.

    Raises:
        UsageError: an image cannot be read and `on_error` is not given; a batch size below 1.
        RunError: as in `predict_density`.
    """
    if batch_size < 1:
        raise UsageError(f"Expected a batch size of at least 1, got {batch_size}.")
    remaining = iter(images)
    with ThreadPoolExecutor(min(4, batch_size), "sam-mprompt-decode") as pool:

        def submit() -> list[tuple[ImageLike, Future[_Resized]]]:
            return [(image, pool.submit(_Resized.read, image, geometry)) for image in islice(remaining, batch_size)]

        coming = submit()
        while coming:
            current, coming = coming, submit()
            frames, failure = _collect(current, on_error)
            predictions = _predict(model, frames, geometry, device=device, batch_size=batch_size, autocast=autocast)
            for frame, p in zip(frames, predictions, strict=True):
                yield CountResult(p.density, p.mask_logits, p.image_size, p.cell, frame.path, frame.original)
            if failure is not None:
                raise failure


@dataclass(frozen=True)
class _Resized:
    """An image resized for the model."""

    pixels: ByteImage
    size: tuple[int, int]
    ratio: tuple[float, float]
    path: Path | None = None
    original: ByteImage | None = None

    @classmethod
    def of(cls, image: ByteImage, geometry: Geometry) -> "_Resized":
        pixels, ratio = resize_image(image, geometry)
        return cls(pixels, (image.shape[0], image.shape[1]), ratio)

    @classmethod
    def read(cls, image: ImageLike, geometry: Geometry) -> "_Resized":
        """Decode and resize; the original's pixels are kept only when there is no path to read them from again."""
        path = Path(image) if isinstance(image, str | PathLike) else None
        original = as_rgb(image)
        pixels, ratio = resize_image(original, geometry)
        return cls(pixels, (original.shape[0], original.shape[1]), ratio, path, original if path is None else None)


def _collect(
    submitted: Sequence[tuple[ImageLike, Future[_Resized]]], on_error: Callable[[ImageLike, UsageError], None] | None
) -> tuple[list[_Resized], UsageError | None]:
    """Return the frames up to the first one that cannot be read, and its error; with `on_error`, all readable ones."""
    frames = []
    for image, future in submitted:
        try:
            frames.append(future.result())
        except UsageError as error:
            if on_error is None:
                return frames, error
            on_error(image, error)
    return frames, None


class _Canvas:
    """The cells of one frame, on which tiles are blended."""

    def __init__(self, frame: _Resized, geometry: Geometry, model: DensityModel) -> None:
        self.frame, self.stride = frame, model.stride
        self.size = (frame.pixels.shape[0], frame.pixels.shape[1])
        (self.height, tops), (self.width, lefts) = (
            tile_starts(side, geometry, model.size_divisor) for side in self.size
        )
        rows = tile_weights([top // self.stride for top in tops], self.height // self.stride)
        columns = tile_weights([left // self.stride for left in lefts], self.width // self.stride)
        self.tiles = {(t, u): (rows[i], columns[j]) for i, t in enumerate(tops) for j, u in enumerate(lefts)}
        cells = tuple(round_up(side, model.size_divisor) // self.stride for side in self.size)
        self.density = np.zeros(cells, np.float64)
        self.mask_logits: NDArray[np.float64] | None = None

    def tile(self, top: int, left: int) -> ByteImage:
        """Return the image's part of a tile, without padding."""
        return self.frame.pixels[top : top + self.height, left : left + self.width]

    def add(self, top: int, left: int, density: NDArray[Any], mask_logits: NDArray[Any] | None) -> None:
        """Blend the model's output (cells of one tile) into the frame."""
        row_weights, column_weights = self.tiles[top, left]
        weights = row_weights[:, None] * column_weights
        y, x = top // self.stride, left // self.stride
        area = (slice(y, y + weights.shape[0]), slice(x, x + weights.shape[1]))
        self.density[area] += weights * density
        if mask_logits is not None:
            if self.mask_logits is None:
                self.mask_logits = np.zeros_like(self.density)
            self.mask_logits[area] += weights * mask_logits

    def prediction(self) -> Prediction:
        rows, columns = grid_size(self.size, self.stride)
        density = self.density[:rows, :columns].astype(np.float32)
        if not np.isfinite(density).all():
            name = self.frame.path or "the image"
            raise RunError(f"The density of {name} holds NaN or infinity: expected finite heads. Count in float32.")
        logits = None if self.mask_logits is None else self.mask_logits[:rows, :columns].astype(np.float32)
        ratio_x, ratio_y = self.frame.ratio
        return Prediction(density, logits, self.frame.size, (self.stride / ratio_x, self.stride / ratio_y))


def _predict(
    model: DensityModel,
    frames: Sequence[_Resized],
    geometry: Geometry,
    *,
    device: Device,
    batch_size: int,
    autocast: torch.dtype | None,
) -> list[Prediction]:
    """Count all frames; tiles of one size, also of different frames, share forward passes of `batch_size`."""
    device = torch.device(device)
    canvases = [_Canvas(frame, geometry, model) for frame in frames]
    jobs: dict[tuple[int, int], list[tuple[_Canvas, int, int]]] = defaultdict(list)
    for canvas in canvases:
        jobs[canvas.height, canvas.width] += [(canvas, top, left) for top, left in canvas.tiles]
    mixed = torch.autocast(device.type, autocast, enabled=autocast is not None and device.type == "cuda")
    with _evaluation_mode(model), torch.inference_mode(), mixed:
        for size, same_size in jobs.items():
            for start in range(0, len(same_size), batch_size):
                batch = same_size[start : start + batch_size]
                density, mask_logits = _forward(model, [c.tile(top, left) for c, top, left in batch], size, device)
                for i, (canvas, top, left) in enumerate(batch):
                    canvas.add(top, left, density[i], None if mask_logits is None else mask_logits[i])
    return [canvas.prediction() for canvas in canvases]


def _forward(
    model: DensityModel, tiles: Sequence[ByteImage], size: tuple[int, int], device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return density and mask logits, both (B, h, w), of tiles that are padded to (height, width) `size`."""
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (model.encoder.mean, model.encoder.std))
    try:
        images = torch.zeros(len(tiles), 3, *size, device=device)
        for image, tile in zip(images, tiles, strict=True):
            pixels = torch.from_numpy(tile.copy())
            if device.type == "cuda":
                pixels = pixels.pin_memory()  # so that the copy does not stop the CPU
            pixels = pixels.to(device, non_blocking=True).permute(2, 0, 1)
            image[:, : tile.shape[0], : tile.shape[1]] = (pixels / 255 - mean) / std
        output = model(images)
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"Out of memory on {device} with {len(tiles)} tile(s) of {size[0]}x{size[1]}: lower batch_size or tile."
        ) from error
    logits = output.mask_logits
    return output.density[:, 0].float().cpu().numpy(), None if logits is None else logits[:, 0].float().cpu().numpy()


@contextmanager
def _evaluation_mode(model: DensityModel) -> Iterator[None]:
    """Put every module into evaluation mode and give each its own mode back: a frozen part may differ from the rest."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
