"""Painting a crowd: people and things from far to near, each hiding what is behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...arrays import ByteImage, Reals
from .painting import Rng, chance, color, shaded
from .people import FIGURES, figure
from .props import random_props
from .scenery import View, foliage
from .stamps import HAIR, Stamp, paste
from .wardrobe import cloth_colors, outfits

_REFERENCE = 448 * 448  # pixels of an image for which numbers of props are given


@dataclass(frozen=True, slots=True)
class _Standing:
    """A person or a prop on the ground at (x, ground), `unit` pixels per unit of its stamp; `label` 0 has no head."""

    stamp: Stamp
    x: float
    ground: float
    unit: float
    colors: Reals
    stretch: float = 1.0
    label: int = 0


def paint_crowd(
    rng: Rng, view: View, image: ByteImage, labels: NDArray[np.uint16], places: Reals
) -> tuple[Reals, Reals]:
    """Paint people, their shadows, and props over an empty place, from far to near.

    Args:
        rng: decides everything but where people stand.
        view: the view that `image` was painted in.
        image: uint8 (H, W, 3), painted over in place.
        labels: (H, W), all 0; the visible pixels of the head of person i become i + 1.
        places: (x, y) of adults' heads, (N, 2); heads of seated people and children come to lie lower.

    Returns:
        Boxes (N, 4) of the heads as (x1, y1, x2, y2) in pixels, and the areas (N,) of the heads in pixels; both as if
        nothing hid them. The area of a head that lies wholly outside is infinite.
    """
    flip = chance(rng, 0.5)  # the sun shines from the left on every stamp
    standing = _people(rng, view, places) + _props(rng, view)
    _shadows(rng, image, standing, flip)
    haze, haze_color = rng.uniform(0, 0.5) * chance(rng, 0.3), color(rng, saturation=0.1, value=(0.5, 0.9))
    boxes, areas = np.zeros((len(places), 4)), np.full(len(places), np.inf)
    for thing in sorted(standing, key=lambda thing: thing.ground):
        distance = min(max((view.near - thing.unit) / max(view.near - view.far, 1), 0), 1)
        colors = thing.colors + np.float32(haze * distance) * (haze_color - thing.colors)
        at = (thing.x, thing.ground - thing.stamp.foot * thing.unit)
        landed = paste(
            *(image, labels, thing.stamp, at, thing.unit, colors), label=thing.label, stretch=thing.stretch, flip=flip
        )
        if landed is not None:
            boxes[thing.label - 1], areas[thing.label - 1] = landed
    return boxes, areas


def _people(rng: Rng, view: View, places: Reals) -> list[_Standing]:
    count = len(places)
    units = view.head(places[:, 1]) * rng.normal(1, 0.06, count).clip(0.8, 1.2)
    ground = places[:, 1] + view.body * units
    facing = rng.choice(4, count, p=rng.dirichlet((1.2, 0.8, 0.5, 0.8)))  # often all look the same way
    figures = [figure(view.tilt, k) for k in (facing + 4 * rng.integers(0, FIGURES // 4, count)).tolist()]
    colors, hats = outfits(rng, count), cloth_colors(rng, count)
    hatted = np.array([person.hatted for person in figures], bool)
    colors[hatted, HAIR] = hats[hatted]
    stretch = rng.normal(1, 0.05, count).clip(0.85, 1.15)
    return [
        _Standing(
            person.stamp, float(places[i, 0]), float(ground[i]), float(units[i]), colors[i], float(stretch[i]), i + 1
        )
        for i, person in enumerate(figures)
    ]


def _props(rng: Rng, view: View) -> list[_Standing]:
    usual = rng.choice([1.0, 6.0, 25.0], p=[0.4, 0.45, 0.15])
    props = random_props(rng, view.tilt, int(rng.poisson(usual * view.size[0] * view.size[1] / _REFERENCE)))
    start = max(view.wall, 0.0)
    ground = start + rng.random(len(props)) ** 0.7 * max(view.size[0] * 1.1 - start, 1.0)
    x, units = rng.uniform(0, view.size[1], len(props)), view.unit(ground)
    return [
        _Standing(prop.stamp, float(x[i]), float(ground[i]), float(units[i]) * prop.scale, prop.colors)
        for i, prop in enumerate(props)
    ]


def _shadows(rng: Rng, image: ByteImage, standing: Sequence[_Standing], flip: bool) -> None:
    """Darken the ground where people and things stand, and, when the sun is out, where their shadows fall."""
    shadow = np.zeros((image.shape[0] // 2 + 1, image.shape[1] // 2 + 1), np.uint8)
    long = rng.uniform(1.5, 7) * chance(rng, 0.45)
    reach = ((-1 if flip else 1) * long, float(long * rng.uniform(-0.15, 0.45)))
    for thing in standing:
        x, y, unit = thing.x / 2, thing.ground / 2, thing.unit / 2
        if long:
            end = (round(x + reach[0] * unit), round(y + reach[1] * unit))
            cv2.line(shadow, (round(x), round(y)), end, 255, max(1, round(1.1 * unit)))
        else:
            radii = (max(1, round(1.2 * unit)), max(1, round(0.5 * unit)))
            cv2.ellipse(shadow, (round(x), round(y)), radii, 0, 0, 360, 255, -1)
    blurred = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.5, 1.2) if long else 1.5)
    full = cv2.resize(blurred, image.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    image[:] = shaded(image, 1 - np.float32(rng.uniform(0.25, 0.6)) * full)


def paint_foreground(rng: Rng, view: View, image: ByteImage, labels: NDArray[np.uint16]) -> None:
    """Sometimes paint what is close to the camera, in place: leaves, a post, a railing. `labels` below it become 0."""
    height, width = view.size
    if chance(rng, 0.1):
        for _ in range(rng.integers(1, 4)):
            radius = rng.uniform(0.08, 0.2) * height
            centre = (rng.uniform(0, width), rng.choice([0.0, height]) + rng.normal(0, radius / 3))
            foliage(rng, image, centre, radius, labels)
    if chance(rng, 0.12):
        thickness = max(2, int(view.near * rng.uniform(0.15, 0.8)))
        x, y, slant = rng.uniform(0, width), rng.uniform(0.75, 1) * height, rng.normal(0, 0.03, 2) * (width, height)
        post = chance(rng, 0.6)
        ends = ((x, 0), (x + slant[0], height)) if post else ((0, y), (width, y + slant[1]))
        start, end = (tuple(int(v) for v in point) for point in ends)
        shade = tuple(float(c) for c in color(rng, saturation=0.15, value=(0.1, 0.7)))
        cv2.line(image, start, end, shade, thickness)
        cv2.line(labels, start, end, 0, thickness)
