"""Procedural crowd scenes with exact annotation: the data of a first run, when there is nothing to download.

Scene `index` of a `seed` is always the same, in any order and in any process. People are painted from far to near, so
that whoever stands in front hides whoever stands behind; a head of which less than `MIN_VISIBLE` can be seen, or whose
centre lies outside the image, is not annotated. Clutter of the same sizes, shapes and colours as heads is not either.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray
from ...errors import UsageError, did_you_mean
from ...files import replacing
from ...recipe.limits import MIN_SIDE, MOST_HEADS
from ..formats.entries import SPLIT_NAMES
from ..noise import disturbed_boxes, disturbed_points
from .camera import photograph
from .gathering import gathering
from .scenery import ground_and_background, random_view
from .staging import paint_crowd, paint_foreground

MIN_VISIBLE = 0.25
"""A head is annotated when at least this part of its pixels can be seen (what the border cuts off cannot)."""

_EMPTY = 0.06  # part of the scenes in which nobody is
_REFERENCE = 448 * 448  # pixels of an image that may hold `max_heads` heads; smaller ones hold proportionally fewer


@dataclass(frozen=True)
class Scene:
    """A photograph of a crowd that never was.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        points: float32 (N, 2), the centre (x, y) of each head in pixels, inside the image.
        boxes: float32 (N, 4), the extents (x1, y1, x2, y2) of each whole head with hair or hat in pixels, as if nothing
            hid it, cut at the image's border.
        mask: bool (H, W), every visible pixel of the annotated heads.
    """

    image: NDArray[np.uint8]
    points: FloatArray
    boxes: FloatArray
    mask: NDArray[np.bool_]


def crowd_scene(
    seed: int,
    index: int,
    size: tuple[int, int] = (448, 448),
    *,
    max_heads: int = 600,
    annotation_noise: float = 0.0,
) -> Scene:
    """Paint scene `index` of `seed`.

    Args:
        seed: which sequence of scenes, >= 0.
        index: which scene of the sequence, >= 0.
        size: (height, width) in pixels, each at least `MIN_SIDE`. Heads are 6 to about 60 pixels high at any size.
        max_heads: the most heads in an image of 448x448 or more pixels; smaller ones hold proportionally fewer.
        annotation_noise: 0 to 1 (Fig. 8 of the paper goes to 0.5). Points move uniformly within their box scaled about
            them by this factor (1: anywhere in the box); each side of a box moves uniformly by up to this part of the
            box's height. Image, mask, and the number and order of heads stay what they are without noise.

    Raises:
        UsageError: an argument is out of its range.
    """
    _check(seed, index, size, max_heads, annotation_noise)
    rng = np.random.default_rng([seed, index])
    most = min(max_heads, round(max_heads * size[0] * size[1] / _REFERENCE))
    # Many scenes with few people, few with many: as it is in photographs of crowds.
    wanted = 0 if rng.random() < _EMPTY else min(most, round(most * rng.random() ** 2.2 + rng.integers(1, 4)))
    view = random_view(rng, size)
    places = gathering(rng, view, wanted)
    image, labels = ground_and_background(rng, view), np.zeros(size, np.uint16)
    whole, areas = paint_crowd(rng, view, image, labels, places)
    paint_foreground(rng, view, image, labels)

    visible = np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:]
    centres, limits = (whole[:, :2] + whole[:, 2:]) / 2, np.array(size[::-1])
    kept = (visible >= MIN_VISIBLE * areas) & (centres >= 0).all(1) & (centres < limits).all(1)
    mask = np.concatenate([[False], kept])[labels]
    boxes = np.clip(whole[kept], 0, np.tile(limits, 2))
    hasty = np.random.default_rng([seed, index, 1])
    points = disturbed_points(centres[kept], boxes, size, annotation_noise, hasty)
    boxes = disturbed_boxes(boxes, size, annotation_noise, hasty)
    return Scene(photograph(rng, image, skyline=view.wall), points, boxes, mask)


def write_dataset(
    directory: Path,
    *,
    seed: int,
    splits: Mapping[str, int],
    size: tuple[int, int] = (448, 448),
    max_heads: int = 600,
    annotation_noise: float = 0.0,
) -> Path:
    """Write scenes of `seed` as a dataset in the `points` format, to look at and to train from.

    The folder holds `images/000000.png`, beside each image `000000.json` with `{"points": [[x, y], ...], "boxes":
    [[x1, y1, x2, y2], ...]}`, and a list of images for each split, such as `train.txt`. The splits take scenes 0, 1,
    2, ... in the order given. PNG keeps exactly what `crowd_scene` painted. The same arguments write the same files,
    and the folder appears whole or not at all.

    Args:
        directory: the folder to write; it must not exist yet, or be empty.
        seed, size, max_heads: as for `crowd_scene`.
        splits: number of scenes by split, for example `{"train": 800, "val": 100, "test": 100}`.
        annotation_noise: as for `crowd_scene`, in "train" only, so that results stay comparable.

    Returns:
        `directory`.

    Raises:
        UsageError: the folder holds something, a split has another name, or an argument is out of its range.
        RunError: the disk is full or not writable.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"Expected '{directory}' to be a new or an empty folder; it holds files. Choose another name.")
    for split, count in splits.items():
        if split not in SPLIT_NAMES:
            expected = ", ".join(SPLIT_NAMES)
            raise UsageError(f"Expected splits named {expected}, got '{split}'.{did_you_mean(split, SPLIT_NAMES)}")
        if count < 1:
            raise UsageError(f"Expected at least 1 scene for '{split}', got {count}. Leave the split out instead.")
    _check(seed, 0, size, max_heads, annotation_noise)
    with replacing(directory) as folder:
        images = folder / "images"
        images.mkdir(parents=True)
        numbers = itertools.count()
        for split, count in splits.items():
            noise, names = annotation_noise if split == "train" else 0.0, []
            for index in itertools.islice(numbers, count):
                scene = crowd_scene(seed, index, size, max_heads=max_heads, annotation_noise=noise)
                names.append(f"{index:06d}.png")
                _write(scene, images / names[-1])
            (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return directory


def _write(scene: Scene, image: Path) -> None:
    _, packed = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    image.write_bytes(packed.tobytes())
    # Not rounded up to the image's far border, which is outside.
    points = np.minimum(scene.points.astype(float), np.array(scene.image.shape[1::-1]) - 0.01)
    annotation = {"points": points.round(2).tolist(), "boxes": scene.boxes.astype(float).round(2).tolist()}
    image.with_suffix(".json").write_text(json.dumps(annotation) + "\n", encoding="utf-8")


def _check(seed: int, index: int, size: tuple[int, int], max_heads: int, annotation_noise: float) -> None:
    if seed < 0 or index < 0:
        raise UsageError(f"Expected a seed and a scene index of at least 0, got {seed} and {index}. Use 0, 1, 2, ...")
    if min(size) < MIN_SIDE:
        raise UsageError(f"Expected a scene of at least {MIN_SIDE}x{MIN_SIDE} pixels, got {size[0]}x{size[1]}.")
    if not 0 <= max_heads <= MOST_HEADS:
        raise UsageError(f"Expected max_heads between 0 and {MOST_HEADS}, got {max_heads}. The default is 600.")
    if not 0 <= annotation_noise <= 1:
        raise UsageError(f"Expected annotation_noise between 0 and 1, got {annotation_noise}. The paper goes to 0.5.")
