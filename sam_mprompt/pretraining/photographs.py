"""Photographs without annotations: heavily augmented crops of a few, from which a teacher's features are learned.

The idea that a handful of images is enough is Asano and Saeed's, "The augmented image prior: distilling 1000 classes by
extrapolating from a single image", 2021, https://arxiv.org/abs/2112.00725.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..bases.locate import path_of
from ..data.augment import colour_jitter, random_blur
from ..data.image import images_in, read_image
from ..errors import UsageError, listed

PACKAGES = "packages"
"""As the source: the photographs that Python packages carry."""


class Carried(NamedTuple):
    """The photographs in a Python package, by the folder and the names of their files."""

    folder: str
    files: tuple[str, ...]


CARRIED = {
    # Public domain, CC0 or without known restrictions, as its documentation says of each. Left out: drawings, pages of
    # text, medical images, and photographs of which it states no licence.
    "skimage": Carried(
        "data",
        (
            *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
            *("gravel.png", "hubble_deep_field.jpg", "rocket.jpg"),
        ),
    ),
    # CC-BY 2.0, by danielbuechele (china) and vultilion (flower).
    "sklearn": Carried("datasets/images", ("china.jpg", "flower.jpg")),
}
"""By module: the photographs that are taken."""

_LONGEST = 1024  # pixels of a side, in memory
_IN_MEMORY = 32  # photographs
_AREA = 0.02, 1.0  # of the photograph
_ASPECT = 3 / 4, 4 / 3
_ANGLE = np.pi / 6
_SHEAR = 0.25
_PASTED, _GREY, _BLURRED = 0.25, 0.15, 0.3  # how often
_COLOURS = 0.5
_HUE = 18  # of OpenCV's 180
_BLUR = 2.0  # pixels


def find_photographs(source: str) -> list[Path]:
    """Return the files of a source: "packages" for those of `CARRIED`, else a folder's images.

    Nothing of the packages is imported.

    Raises:
        UsageError: a package is missing or lacks a photograph, or the folder holds no image.
    """
    if source == PACKAGES:
        return [path for module, carried in CARRIED.items() for path in _in_package(module, carried)]
    found = images_in(path_of(source))
    if not found:
        raise UsageError(f"teacher.photographs: expected a folder of images, or '{PACKAGES}'; '{source}' holds none.")
    return found


def _in_package(module: str, carried: Carried) -> list[Path]:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"teacher.photographs = '{PACKAGES}': the package '{module}' carries some, and is not installed.",
            about="extra",
            extra="distil",
        )
    folder = Path(spec.submodule_search_locations[0]) / carried.folder
    files = [folder / name for name in carried.files]
    if missing := [path.name for path in files if not path.is_file()]:
        raise UsageError(
            f"teacher.photographs = '{PACKAGES}': '{folder}' lacks {listed(missing)}. Give a folder of photographs."
        )
    return files


class PhotographCrops(Dataset[Tensor]):
    """Batch `step` of an endless, deterministic sequence of augmented crops, uint8 (crops, 3, side, side), RGB.

    Args:
        files: the photographs; each is as likely as any other.
        crops: per batch.
        side: of a crop in pixels.
        seed: which sequence.
    """

    def __init__(self, files: list[Path], *, crops: int, side: int, seed: int) -> None:
        self.files, self.crops, self.side, self.seed = files, crops, side, seed

    def __getitem__(self, step: int) -> Tensor:
        rng = np.random.default_rng([self.seed, step, 5])
        crops = [self._crop(rng) for _ in range(self.crops)]
        return torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())

    def _crop(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        crop = self._view(rng)
        if rng.random() < _PASTED:
            top, left = rng.integers(0, self.side // 2, size=2)
            height, width = rng.integers(self.side // 4, self.side // 2 + 1, size=2)
            part = slice(top, top + height), slice(left, left + width)
            crop[part] = self._view(rng)[part]
        return recoloured(crop, rng)

    def _view(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        return random_view(_read(self.files[rng.integers(len(self.files))]), self.side, rng)


def random_view(image: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a random part of 0.02 to 1 of an image's area, turned, sheared and mirrored at random, to side x side pixels.

    What lies beyond the image is its mirror image. uint8 (H, W, 3) in, (side, side, 3) out.
    """
    area = np.exp(rng.uniform(*np.log(_AREA))) * image.shape[0] * image.shape[1]
    aspect = np.exp(rng.uniform(*np.log(_ASPECT)))
    whole = np.array([image.shape[1], image.shape[0]], float)  # (x, y), as all below
    cut = np.minimum(np.sqrt([area * aspect, area / aspect]), whole)
    centre = cut / 2 + rng.random(2) * (whole - cut)
    angle, shear = rng.uniform(-_ANGLE, _ANGLE), rng.uniform(-_SHEAR, _SHEAR)
    mirror = rng.choice([-1.0, 1.0])
    if (shrink := side / cut.min()) < 1:  # averaged first: the warp looks at four pixels only
        size = np.maximum(np.round(whole * shrink), 1).astype(int)
        image = np.asarray(cv2.resize(image, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA), np.uint8)
        cut, centre = cut * size / whole, centre * size / whole
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1, shear], [0, 1]]) @ np.diag(cut / side * [mirror, 1])
    offset = centre - 0.5 - linear @ np.full(2, (side - 1) / 2)
    warped = cv2.warpAffine(
        image,
        np.column_stack([linear, offset]),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(warped, np.uint8)


def recoloured(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast, saturation and hue; sometimes to grey, sometimes blurred; uint8 (H, W, 3)."""
    image = colour_jitter(image, _COLOURS, rng)
    hue = rng.integers(-_HUE, _HUE + 1)
    if rng.random() < _GREY:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    else:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + hue) % 180
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
    return random_blur(image, _BLUR, rng) if rng.random() < _BLURRED else image


@lru_cache(maxsize=_IN_MEMORY)
def _read(path: Path) -> NDArray[np.uint8]:
    """Read a photograph, shrunk where a side is longer than `_LONGEST`; not to be written into."""
    image = read_image(path)
    shrink = _LONGEST / max(image.shape[:2])
    if shrink >= 1:
        return image
    size = max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
