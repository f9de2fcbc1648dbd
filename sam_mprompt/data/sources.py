"""Where annotated images come from: a dataset on disk, or procedural scenes painted on demand."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays import ByteImage, FloatArray
from ..errors import UsageError
from ..files import is_folder
from ..geometry import Geometry, resize_image, resized
from ..recipe.data import DataRecipe, SyntheticRecipe
from ..recipe.find import recipes_for_photographs
from ..recipe.schema import Recipe
from ..targets import context_radius
from .augment import AnnotatedImage
from .bounds import Reading
from .cache.images import ImageCache, open_image_cache
from .formats.read import FORMATS, Problems, read_split, recognise
from .image import read_image
from .masks import mask_path, read_mask
from .noise import disturbed_boxes, disturbed_points, heads_of
from .sample import Sample
from .scenes.crowd import Scene, crowd_scene

DATA_VARIABLE = "SAM_MPROMPT_DATA"
_SUGGESTED = 4
_READING = Reading()
# Validation scenes are the same whatever the seed of a training, and no training draws them.
_VALIDATION_SEED = 1_000_001


class Source(Protocol):
    """Annotated images by number."""

    def __len__(self) -> int: ...

    def original(self, index: int) -> tuple[ByteImage, FloatArray]:
        """Return an image before any resizing, uint8 (H, W, 3), and its heads, float32 (N, 2)."""

    def frame(self, epoch: int, index: int) -> AnnotatedImage:
        """Return an image with its annotation, at the size it is counted at."""

    def name(self, index: int) -> str:
        """Return what to call the image in a message."""

    def counts(self) -> list[int]:
        """Return the number of heads of every image (of the first epoch)."""


class DiskSource:
    """The samples of a dataset on disk.

    Args:
        samples: annotated samples.
        geometry: how images are resized; points, boxes and radii move along.
        context_k: K of the context radius.
        mask_of: where the pseudo mask of an image is, or None without any.
        images: where resized images are kept, or None to decode them whenever they are asked for.
        reading: how image files are decoded.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        geometry: Geometry,
        *,
        context_k: int,
        mask_of: Callable[[Path], Path] | None = None,
        images: ImageCache | None = None,
        reading: Reading = _READING,
    ) -> None:
        self.samples, self.geometry, self.context_k, self.mask_of = samples, geometry, context_k, mask_of
        self.images, self.reading = images, reading
        self._radii: dict[int, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def of(self, samples: Sequence[Sample]) -> "DiskSource":
        """Return a source of other samples of the same dataset, read in the same way."""
        return DiskSource(
            samples,
            self.geometry,
            context_k=self.context_k,
            mask_of=self.mask_of,
            images=self.images,
            reading=self.reading,
        )

    def name(self, index: int) -> str:
        """Return the image's path."""
        return str(self.samples[index].image)

    def counts(self) -> list[int]:
        """Return the number of annotated heads of every sample."""
        return [sample.count for sample in self.samples]

    def original(self, index: int) -> tuple[ByteImage, FloatArray]:
        """Read one image. Raises UsageError when it can't be decoded or has no annotation."""
        sample = self.samples[index]
        if sample.points is None:
            raise UsageError(f"'{sample.image}' has no annotation to train on or to compare with.")
        return read_image(sample.image, self.reading), sample.points

    def frame(self, epoch: int, index: int) -> AnnotatedImage:  # noqa: ARG002 - a file is the same in every epoch
        """Read and resize one image. Raises UsageError as `original`, or when its pseudo mask cannot be had."""
        if self.images is None:
            original, points = self.original(index)
            return self._annotated(index, points, resize_image(original, self.geometry)[0])
        sample = self.samples[index]
        return self._annotated(index, sample.points, self.images.read(sample.image))

    def outline(self, index: int) -> AnnotatedImage:
        """Return `frame` with a black image, for its annotation alone: nothing is decoded. Raises as `frame`."""
        sample = self.samples[index]
        return self._annotated(index, sample.points, np.zeros((*resized(sample.size, self.geometry), 3), np.uint8))

    def _annotated(self, index: int, points: FloatArray | None, image: ByteImage) -> AnnotatedImage:
        """Return a resized image with its annotation, which is moved along."""
        sample = self.samples[index]
        if points is None:
            raise UsageError(f"'{sample.image}' has no annotation to train on.")
        ratio = image.shape[1] / sample.size[1], image.shape[0] / sample.size[0]
        if index not in self._radii:  # the same in every epoch, and the dearest part of a crowd's targets
            self._radii[index] = context_radius(points, k=self.context_k, zoom=math.sqrt(ratio[0] * ratio[1]))
        mask = read_mask(self.mask_of(sample.image), sample.size) if self.mask_of is not None else None
        return AnnotatedImage(image, points, self._radii[index], sample.boxes, mask).moved(image, ratio, (0.0, 0.0))


class SyntheticSource:
    """Procedural scenes; with `fresh` every epoch sees new ones, else scene i is always the same.

    Args:
        recipe: size and number of heads of the scenes.
        geometry: how scenes are resized, as photographs are; annotations move along.
        length: scenes an epoch.
        seed: of the whole series.
        noise: annotation noise, 0 to 1.
        context_k: K of the context radius.
    """

    def __init__(
        self,
        recipe: SyntheticRecipe,
        geometry: Geometry,
        length: int,
        *,
        seed: int,
        fresh: bool,
        noise: float,
        context_k: int,
    ) -> None:
        self.recipe, self.geometry, self.length, self.seed, self.fresh = recipe, geometry, length, seed, fresh
        self.noise, self.context_k = noise, context_k

    def __len__(self) -> int:
        return self.length

    def name(self, index: int) -> str:
        """Return the scene's number."""
        return f"synthetic scene {index} of seed {self.seed}"

    def counts(self) -> list[int]:
        """Return the number of heads of every scene of the first epoch."""
        return [len(self._scene(index).points) for index in range(self.length)]

    def original(self, index: int) -> tuple[ByteImage, FloatArray]:
        """Paint one scene of the first epoch."""
        scene = self._scene(index)
        return scene.image, scene.points

    def frame(self, epoch: int, index: int) -> AnnotatedImage:
        """Paint and resize one scene."""
        scene = self._scene(epoch * self.length + index if self.fresh else index)
        image, ratio = resize_image(scene.image, self.geometry)
        radius = context_radius(scene.points, k=self.context_k, zoom=math.sqrt(ratio[0] * ratio[1]))
        return AnnotatedImage(scene.image, scene.points, radius, scene.boxes).moved(image, ratio, (0.0, 0.0))

    def _scene(self, number: int) -> Scene:
        size = (self.recipe.size, self.recipe.size)
        return crowd_scene(self.seed, number, size, max_heads=self.recipe.max_heads, annotation_noise=self.noise)


@dataclass(frozen=True)
class OpenedData:
    """One split ready for use.

    Attributes:
        source: its images.
        problems: what was left out of it; None for procedural scenes.
        carved: whether the dataset has no val split of its own, so that train was divided.
    """

    source: Source
    problems: Problems | None
    carved: bool = False


def format_of(data: DataRecipe, folder: Path, given: str | None = None) -> str:
    """Return the format in which a folder is read: the given one, else the one that its files have.

    The format of a recipe's `data` is taken where the folder fits it too; else it says nothing about a folder that was
    named.

    Raises:
        UsageError: the recipe's data are procedural and read no folder; no such folder; or no format is given and none
            fits: the message lists what was looked for.
    """
    refuse_folder(data, folder)
    if given is not None:
        return given
    return data.format if is_folder(folder) and FORMATS[data.format].recognises(folder) else recognise(folder)


def refuse_folder(data: DataRecipe, folder: Path) -> None:
    """Raise UsageError where a folder is given and a recipe's data are procedural."""
    if data.format != "synthetic":
        return
    try:
        found = recognise(folder)
    except UsageError:
        found = ""
    fitting = ", ".join(recipes_for_photographs(found)[:_SUGGESTED])
    raise UsageError(
        f"This recipe trains on procedural scenes and reads no folder: expected none, got '{folder}'"
        f"{f' (format {found})' if found else ''}. Recipes that fit a folder of photographs: {fitting}.",
        about="procedural data",
    )


def data_root(data: DataRecipe, given: Path | None) -> Path | None:
    """Return the dataset's folder: the given one, else the recipe's own; None for procedural crowds.

    A recipe's `data/NAME` stands for `$SAM_MPROMPT_DATA/NAME` where that variable is set.

    Raises:
        UsageError: the folder does not exist (says what to put where), or is given where data are procedural.
    """
    if data.format == "synthetic":
        if given is not None:
            refuse_folder(data, given)
        return None
    shared = os.environ.get(DATA_VARIABLE)
    folder = given or Path(data.root)
    if given is None and shared and folder.parts[:1] == ("data",):
        folder = Path(shared, *folder.parts[1:])
    if not is_folder(folder):
        raise UsageError(
            f"No folder '{folder}' with the {data.format} data of the recipe. Put it there, or set ${DATA_VARIABLE} to "
            "the folder above it.",
            about="data folder",
        )
    return folder


def open_split(recipe: Recipe, split: Literal["train", "val"], root: Path | None, *, whole: bool = False) -> OpenedData:
    """Open a split of the recipe's data; `root` is the dataset's folder (None for procedural scenes).

    With `whole` no val split is carved from train.

    Raises:
        UsageError: no such data, no annotated image, or a pseudo mask from boxes where there are none.
    """
    k = recipe.targets.context_k
    if recipe.data.format == "synthetic":
        scenes, train = recipe.synthetic, split == "train"
        seed = recipe.train.seed if train else _VALIDATION_SEED
        noise = recipe.data.annotation_noise if train else 0.0
        length = scenes.train if train else scenes.val
        source = SyntheticSource(
            scenes, recipe.geometry, length, seed=seed, fresh=train and scenes.fresh, noise=noise, context_k=k
        )
        return OpenedData(source, None)
    if root is None:
        raise UsageError(f"Expected the folder of a {recipe.data.format} dataset, got none.")
    data = recipe.data
    found = read_split(
        *(root, split),
        format=data.format,
        val_fraction=0.0 if whole else data.val_fraction,
        fold=data.fold,
        label=data.label or None,
        columns=data.columns,
    )
    samples = [sample for sample in found.samples if sample.points is not None]
    if not samples:
        raise UsageError(f"No annotated image in split '{split}' of '{root}'.", about="data", root=root)
    if split == "train" and recipe.targets.pseudo_mask == "boxes" and all(s.boxes is None for s in samples):
        raise UsageError(
            f"targets.pseudo_mask = 'boxes' needs head boxes, and the {data.format} data in '{root}' has none; "
            "'points' makes masks without.",
            about="no boxes",
        )
    if split == "train" and data.annotation_noise > 0:
        hasty = partial(
            _hastily_annotated,
            noise=data.annotation_noise,
            radius=recipe.targets.point_dilation,
            geometry=recipe.geometry,
            seed=recipe.train.seed,
        )
        samples = [hasty(one, one.points, index) for index, one in enumerate(samples) if one.points is not None]
    mask_of = None
    if recipe.targets.pseudo_mask == "files":
        folder = Path(recipe.targets.masks)
        if not is_folder(folder):
            raise UsageError(f"targets.masks: no folder '{folder}'.", about="masks folder", folder=folder)
        mask_of = partial(mask_path, folder, root=root)
    geometry = recipe.geometry
    # Beside cached features, pixels are read for the stem alone.
    pixels = data.cache == "images" or (data.cache == "features" and recipe.model.stem_channels > 0)
    images = open_image_cache(samples, geometry, data) if pixels else None
    reading = Reading(stretch=data.stretch)
    disk = DiskSource(samples, geometry, context_k=k, mask_of=mask_of, images=images, reading=reading)
    return OpenedData(disk, found.problems, found.carved)


def _hastily_annotated(
    sample: Sample, points: FloatArray, index: int, *, noise: float, radius: int, geometry: Geometry, seed: int
) -> Sample:
    """Disturb an annotation by data.annotation_noise; a head without a box reaches to targets.point_dilation.

    That radius is one in the resized image, as it is for masks from points; the annotation is the image's as it is.
    """
    boxes = sample.boxes
    rng = np.random.default_rng([seed, index])
    ratio = resized(sample.size, geometry)[0] / sample.size[0]
    heads = heads_of(points, boxes, radius=radius / ratio)
    moved = disturbed_points(points, heads, sample.size, noise, rng)
    return replace(
        sample, points=moved, boxes=None if boxes is None else disturbed_boxes(boxes, sample.size, noise, rng)
    )
