"""Procedural pictures of things, without people, with exact instance masks: what a tiny encoder is pre-trained on.

Objects of 6 to 300 pixels lie on a textured ground, overlap, and throw shadows: blobs, polygons, strips, rings, leaves,
letters and things composed of several parts; scattered, heaped, or as arrays of many similar ones. A pixel belongs to
the object that covers at least half of it; the camera blurs but moves nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...arrays import ByteImage, Reals
from ...errors import UsageError
from ...recipe.limits import MIN_SIDE
from .camera import photograph
from .painting import Rng, Size, chance, color, log_uniform, pattern, relief, shaded, texture, tinted

SMALLEST, LARGEST = 6.0, 300.0
"""Range of an object's longer side in pixels (before others hide parts of it)."""

_SHEETS, _SHEET = 3, 320  # surface patterns of one scene, which its objects share in different colours
_REFERENCE = 448 * 448
_SHIFT = 4  # fractional bits of polygon corners
Outline = Sequence[Reals]


@dataclass(frozen=True)
class ObjectScene:
    """A picture of things.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        instances: int32 (H, W), 0 for the background, 1 .. N for the N objects that can be seen, from far to near.
    """

    image: ByteImage
    instances: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Cutout:
    """An object ready to be pasted: colours (h, w, 3) and coverage (h, w), 0..255."""

    colors: ByteImage
    cover: ByteImage


def object_scene(seed: int, index: int, size: Size = (448, 448)) -> ObjectScene:
    """Paint scene `index` (>= 0) of `seed` (>= 0); always the same one. `size` is (height, width), at least MIN_SIDE.

    Raises:
        UsageError: an argument is out of its range.
    """
    if seed < 0 or index < 0:
        raise UsageError(f"Expected a seed and a scene index of at least 0, got {seed} and {index}. Use 0, 1, 2, ...")
    if min(size) < MIN_SIDE:
        raise UsageError(f"Expected a scene of at least {MIN_SIDE}x{MIN_SIDE} pixels, got {size[0]}x{size[1]}.")
    rng = np.random.default_rng([seed, index, 2])
    base = color(rng)
    table = _Table(rng, _ground(rng, size, base), base)
    for _ in range(rng.integers(1, 5)):
        layout = rng.choice(3, p=[0.5, 0.22, 0.28])
        (_scatter, _array, _heap)[layout](rng, table)
    seen = np.bincount(table.instances.ravel(), minlength=2) > 0
    numbers = np.concatenate([[0], np.cumsum(seen[1:])]).astype(np.int32)  # without those that others hide wholly
    return ObjectScene(photograph(rng, table.image), numbers[table.instances])


def _ground(rng: Rng, size: Size, base: Reals) -> ByteImage:
    """A textured surface, sometimes two or three that meet: a table before a wall, a path through grass."""
    image = texture(rng, size, log_uniform(rng, 4, 120), base)
    for _ in range(rng.integers(1, 3) if chance(rng, 0.35) else 0):
        angle, middle = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.9, 2) * (size[1], size[0])
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        far, wide = 2 * max(size), rng.uniform(0.1, 2) * max(size)
        corners = [
            middle - far * along,
            middle + far * along,
            middle + far * along + wide * across,
            middle - far * along + wide * across,
        ]
        region = np.zeros(size, np.uint8)
        cv2.fillConvexPoly(region, np.round(corners).astype(np.int32), 255)
        cv2.copyTo(texture(rng, size, log_uniform(rng, 4, 120), color(rng)), region, image)
    return image


class _Table:
    """The picture while it is painted."""

    def __init__(self, rng: Rng, image: ByteImage, base: Reals) -> None:
        self.image, self.base = image, base
        self.instances = np.zeros(image.shape[:2], np.int32)
        self.largest = min(LARGEST, 0.7 * min(image.shape[:2]))
        self.area = image.shape[0] * image.shape[1] / _REFERENCE
        self._count = 0
        self._sheets = [pattern(rng, (_SHEET, _SHEET), log_uniform(rng, 3, 60)) for _ in range(_SHEETS)]
        direction, length = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.12)
        self._fall = (float(np.cos(direction) * length), float(np.sin(direction) * length))
        self._depth = rng.uniform(0.2, 0.7) * chance(rng, 0.7)
        self._likeness = rng.choice([0.0, 0.5, 0.85], p=[0.6, 0.2, 0.2])  # of the objects' colours to the ground's

    def cutout(self, rng: Rng, outline: Outline, extent: float) -> _Cutout:
        """An object of `extent` pixels in a random material; `outline` lies within the unit circle."""
        side = int(np.ceil(extent)) + 4
        cover = np.zeros((side, side), np.uint8)
        corners = [np.round((points * extent / 2 + side / 2 - 0.5) * 2**_SHIFT).astype(np.int32) for points in outline]
        cv2.fillPoly(cover, corners, 255, cv2.LINE_AA, _SHIFT)
        sheet = self._sheets[rng.integers(_SHEETS)]
        y, x = rng.integers(0, _SHEET - side + 1, 2)
        dark, bright = (self._likeness * self.base + (1 - self._likeness) * color(rng) for _ in range(2))
        if chance(rng, 0.5):
            bright = dark * np.float32(rng.uniform(0.6, 1.5))
        colors = tinted(np.ascontiguousarray(sheet[y : y + side, x : x + side]), dark, bright)
        if chance(rng, 0.7):
            colors = shaded(colors, relief(cover, rng.uniform(0.2, 1.2)))
        return _Cutout(colors, cover)

    def paste(self, x: float, y: float, *parts: _Cutout) -> None:
        """Lay the parts of one object with its centre at (x, y), over everything that is there."""
        self._count += 1
        for part in parts:
            self._lay(part, round(x - part.cover.shape[1] / 2), round(y - part.cover.shape[0] / 2))

    def _lay(self, part: _Cutout, x: int, y: int) -> None:
        if self._depth:
            extent = part.cover.shape[0]
            blurred = cv2.blur(part.cover, (max(1, extent // 12) * 2 + 1,) * 2)
            fall = (round(x + self._fall[0] * extent), round(y + self._fall[1] * extent))
            for window, inside in self._overlap(fall, blurred.shape):
                self.image[window] = shaded(self.image[window], 1 - np.float32(self._depth / 255) * blurred[inside])
        for window, inside in self._overlap((x, y), part.cover.shape):
            cover = part.cover[inside].astype(np.float32) / 255
            below = np.ascontiguousarray(self.image[window])
            self.image[window] = cv2.blendLinear(np.ascontiguousarray(part.colors[inside]), below, cover, 1 - cover)
            self.instances[window][cover >= 0.5] = self._count

    def _overlap(self, corner: tuple[int, int], shape: Size) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        """The part of the picture below a patch and the part of the patch above the picture; none if they are apart."""
        x, y = corner
        left, right = max(0, -x), min(shape[1], self.image.shape[1] - x)
        top, bottom = max(0, -y), min(shape[0], self.image.shape[0] - y)
        if right <= left or bottom <= top:
            return []
        return [(np.s_[y + top : y + bottom, x + left : x + right], np.s_[top:bottom, left:right])]


def _scatter(rng: Rng, table: _Table) -> None:
    """Different things of all sizes anywhere, large ones below small ones."""
    count = int(max(1, log_uniform(rng, 5, 60) * table.area))
    extents = sorted((log_uniform(rng, 2 * SMALLEST, table.largest) for _ in range(count)), reverse=True)
    for extent in extents:
        x, y = rng.uniform(0, table.image.shape[1]), rng.uniform(0, table.image.shape[0])
        parts = [table.cutout(rng, _shape(rng), extent)]
        for _ in range(rng.integers(1, 4) if chance(rng, 0.25) else 0):  # a thing with parts of other materials on it
            offset = rng.uniform(-0.35, 0.35, 2)
            part = [points * rng.uniform(0.2, 0.6) + offset for points in _shape(rng)]
            parts.append(table.cutout(rng, part, extent))
        table.paste(x, y, *parts)


def _array(rng: Rng, table: _Table) -> None:
    """Many alike in rows: dots, tiles, buttons, letters on a sheet."""
    extent = log_uniform(rng, SMALLEST, min(60, table.largest))
    kinds = [table.cutout(rng, _shape(rng), extent) for _ in range(rng.integers(1, 4))]
    pitch = extent * rng.uniform(1.05, 2.5)
    angle, jitter = rng.choice([0.0, rng.uniform(-0.6, 0.6)]), rng.choice([0.0, 0.1, 0.3]) * pitch
    height, width = table.image.shape[:2]
    rows = min(int(height / pitch * rng.uniform(0.3, 1)) + 1, 18)
    columns = min(int(width / pitch * rng.uniform(0.3, 1)) + 1, 18)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * pitch
    start, offset = rng.uniform(0.2, 0.8, 2) * (width, height), rng.choice([0.0, 0.5])
    for row in range(rows):
        for column in range(columns):
            step = (column - columns / 2 + offset * (row % 2), row - rows / 2)
            x, y = start + turn @ step + rng.uniform(-1, 1, 2) * jitter
            if -extent < x < width + extent and -extent < y < height + extent:
                table.paste(x, y, kinds[rng.integers(len(kinds))])


def _heap(rng: Rng, table: _Table) -> None:
    """Stones, leaves, fruit: similar things in similar colours that lie on each other, each turned and scaled."""
    extent = log_uniform(rng, 2 * SMALLEST, min(80, table.largest))
    make = _SHAPES[rng.integers(len(_SHAPES))]
    kinds = [table.cutout(rng, make(rng), extent) for _ in range(rng.integers(3, 7))]
    height, width = table.image.shape[:2]
    middle, spread = rng.uniform(0.1, 0.9, 2) * (width, height), rng.uniform(0.1, 0.6) * min(height, width)
    count = int(min(180, log_uniform(rng, 0.3, 2.5) * (2 * spread / extent) ** 2)) + 3
    for _ in range(count):
        kind = kinds[rng.integers(len(kinds))]
        side = kind.cover.shape[0]
        matrix = cv2.getRotationMatrix2D((side / 2 - 0.5,) * 2, rng.uniform(0, 360), rng.uniform(0.55, 1.0))
        turned = [cv2.warpAffine(layer, matrix, (side, side)) for layer in (kind.colors, kind.cover)]
        x, y = middle + rng.normal(0, 0.5, 2) * spread
        table.paste(
            x, y, _Cutout(shaded(turned[0], np.full((side, side), rng.uniform(0.7, 1.2), np.float32)), turned[1])
        )


def _shape(rng: Rng) -> Outline:
    return _SHAPES[rng.integers(len(_SHAPES))](rng)


def _closed(rng: Rng, radius: Reals) -> Outline:
    """The closed curve with this radius at equally spaced angles, squeezed and turned, its farthest point at 1."""
    angle = np.linspace(0, 2 * np.pi, len(radius), endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.35, 1)], 1) * radius[:, None]
    return _fitted(rng, [points])


def _fitted(rng: Rng, outline: Outline) -> Outline:
    """Centred, turned by a random angle, and scaled into the unit circle."""
    every = np.concatenate(outline)
    centre = (every.min(0) + every.max(0)) / 2
    reach = float(np.linalg.norm(every - centre, axis=1).max())
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / max(reach, 1e-6)
    return [(points - centre) @ turn.T for points in outline]


def _ellipse(rng: Rng) -> Outline:
    return _closed(rng, np.ones(40))


def _blob(rng: Rng) -> Outline:
    angle = np.linspace(0, 2 * np.pi, 56, endpoint=False)
    waves = [
        rng.normal(0, 0.28 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, rng.integers(4, 9))
    ]
    return _closed(rng, np.maximum(1 + np.sum(waves, axis=0), 0.15))


def _polygon(rng: Rng) -> Outline:
    corners = int(rng.integers(3, 9))
    return _closed(rng, rng.uniform(0.6, 1, corners) if chance(rng, 0.6) else np.ones(corners))


def _star(rng: Rng) -> Outline:
    return _closed(rng, np.tile([1.0, rng.uniform(0.3, 0.75)], rng.integers(4, 10)))


def _rectangle(rng: Rng) -> Outline:
    width, power = rng.uniform(0.15, 1), rng.choice([0.02, 0.3])  # corners sharp or round
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False) + np.pi / 4
    corner = np.stack(
        [
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power,
        ]
    )
    return _fitted(rng, [corner.T * (1, width)])


def _leaf(rng: Rng) -> Outline:
    along = np.linspace(-1, 1, 24)
    half = rng.uniform(0.2, 0.5) * (1 - along**2) * (1 + rng.uniform(-0.6, 0.6) * along)
    bend = rng.uniform(-0.3, 0.3) * along**2
    return _fitted(rng, [np.concatenate([np.stack([along, bend + half], 1), np.stack([along, bend - half], 1)[::-1]])])


def _strip(rng: Rng) -> Outline:
    """A band along a smooth curve: a ribbon, a rope, a worm."""
    along = np.linspace(0, 1, 30)
    heading = np.cumsum(np.interp(along, np.linspace(0, 1, 5), rng.normal(0, 0.22, 5))) + rng.uniform(0, 2 * np.pi)
    line = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    side = np.stack([-np.sin(heading), np.cos(heading)], 1) * rng.uniform(0.8, 3.5)
    return _fitted(rng, [np.concatenate([line + side, (line - side)[::-1]])])


def _ring(rng: Rng) -> Outline:
    """Any closed shape with a hole of its own form."""
    outer = (_ellipse, _blob, _polygon)[rng.integers(3)](rng)[0]
    return [outer, outer * rng.uniform(0.4, 0.75)]


def _letter(rng: Rng) -> Outline:
    side, letter = 64, str(rng.choice(list("ABCDEFGHJKLMNPQRSTUVWXYZ23456789&?")))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    drawn = np.zeros((side, side), np.uint8)
    cv2.putText(drawn, letter, (10, 52), font, 2, 255, int(rng.integers(4, 12)), cv2.LINE_AA)
    contours, _ = cv2.findContours((drawn > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return _fitted(rng, [contour[:, 0].astype(np.float64) for contour in contours])


_SHAPES: tuple[Callable[[Rng], Outline], ...] = (
    *(_ellipse, _blob, _blob, _polygon, _star, _rectangle, _leaf, _strip, _ring, _letter),
)
