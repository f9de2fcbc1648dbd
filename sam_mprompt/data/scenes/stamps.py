"""Shaded, recolourable cut-outs: everything that stands in a synthetic crowd scene is painted as a stamp.

A stamp is drawn once from smooth parts on an `Easel`. Each pixel stores how much of four *paints* it shows (times the
light that falls on it), so that one stamp can be pasted in any colours with one matrix product. A stamp keeps its own
small copies (each half as large), so that pasting costs microseconds at any size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...arrays import ByteImage, Reals
from .painting import fractal, relief

PAINTS = 4
SKIN, HAIR, TOP, OTHER = range(PAINTS)
"""The paints of a figure; props use them as first to fourth colour. A pixel with no paint at all is black."""

PURE = np.eye(PAINTS, dtype=np.float32)
"""Each paint alone, (4, 4): the share of the four paints that a `Surface` takes."""

UNIT = 48
"""Pixels per unit of length on the easel; a unit is the height of a head without its hair."""

_FULL = 96  # stored value of one paint in neutral light; 255 is then light 2.6 times as strong
_LARGEST = 16  # units, the longest side of an easel
_FOLDS = fractal(np.random.default_rng(7), (_LARGEST * UNIT, _LARGEST * UNIT), cell=UNIT / 2, persistence=0.6)
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)
"""A unit circle as a polygon (24, 2)."""

SQUARE = np.sign(CIRCLE) * np.abs(CIRCLE) ** 0.12
"""A square of half side 1 with round corners as a polygon (24, 2)."""

_SHIFT = 4  # fractional bits of polygon corners


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cut-out in several sizes.

    Attributes:
        paints: uint8 (h, w, 4), per size; light times the share of each paint, 96 for one paint in neutral light.
        cover: uint8 (h, w, 2), per size; opacity of everything and of the head alone, 0 to 255.
        anchor: (x, y) of the origin (a head's centre, a prop's foot) in units from the upper left corner.
        foot: distance in units from the origin down to where it stands on the ground.
    """

    paints: tuple[ByteImage, ...]
    cover: tuple[ByteImage, ...]
    anchor: tuple[float, float]
    foot: float


class Pasted(NamedTuple):
    """Where a head landed: its full extents (x1, y1, x2, y2) in pixels and its area, both as if nothing hid it."""

    box: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True, slots=True)
class Surface:
    """What a part is made of.

    Attributes:
        paint: share of each of the four paints, (4,); all 0 is black.
        relief: how strongly the part's roundness shows, 0 for flat.
        grain: strength of its folds.
        mix, second: where `mix` (a picture of the whole easel, 0..1) is 1, the part shows `second` instead of `paint`.
    """

    paint: Sequence[float] | Reals
    relief: float = 1.0
    grain: float = 0.15
    mix: Reals | None = None
    second: Sequence[float] | Reals | None = None


class Easel:
    """A canvas on which the parts of one stamp are painted from back to front. Lengths are in units, y points down."""

    def __init__(self, left: float, top: float, right: float, bottom: float) -> None:
        self._left, self._top = left, top
        height, width = int(np.ceil((bottom - top) * UNIT)), int(np.ceil((right - left) * UNIT))
        self._paints = np.zeros((height, width, PAINTS), np.float32)
        self._cover = np.zeros((height, width, 2), np.float32)

    def part(self, outlines: Sequence[Reals], surface: Surface) -> None:
        """Paint the union of closed polygons, each (n, 2), as one rounded body."""
        corners = [
            np.round(((o - (self._left, self._top)) * UNIT - 0.5) * 2**_SHIFT).astype(np.int32) for o in outlines
        ]
        every = np.concatenate(corners) / 2**_SHIFT
        x1, y1 = (int(v) for v in np.maximum(np.floor(every.min(0)) - 2, 0))
        x2, y2 = (int(v) for v in np.minimum(np.ceil(every.max(0)) + 3, self._cover.shape[1::-1]))
        if x2 - x1 < 2 or y2 - y1 < 2:
            return
        drawn = np.zeros((y2 - y1, x2 - x1), np.uint8)
        for polygon in corners:
            # One polygon a call: together they would be filled by the even-odd rule, and overlaps would be holes.
            cv2.fillPoly(drawn, [polygon - (np.array([x1, y1], np.int32) << _SHIFT)], 255, cv2.LINE_AA, _SHIFT)
        window = np.s_[y1:y2, x1:x2]
        shares = np.asarray(surface.paint, np.float32)[None, None]
        if surface.second is not None and surface.mix is not None:
            shares = shares + surface.mix[window][..., None] * (np.asarray(surface.second, np.float32) - shares)
        light = relief(drawn, surface.relief) * (1 + surface.grain * _FOLDS[window])
        self.paint((x1, y1), drawn.astype(np.float32) / 255, light[..., None] * shares, head=False)

    def paint(self, corner: tuple[int, int], cover: Reals, paints: Reals, *, head: bool) -> None:
        """Composite `paints` (h, w, 4) with opacity `cover` (h, w) at a pixel corner; parts outside are cut."""
        x, y = corner
        top, left = max(-y, 0), max(-x, 0)
        cover, paints = cover[top:, left:], paints[top:, left:]
        window = np.s_[y + top : y + top + cover.shape[0], x + left : x + left + cover.shape[1]]
        below, flags = self._paints[window], self._cover[window]
        cover, paints = cover[: below.shape[0], : below.shape[1]], paints[: below.shape[0], : below.shape[1]]
        below += cover[..., None] * (paints - below)
        flags *= 1 - cover[..., None]
        flags[..., 0] += cover
        if head:
            flags[..., 1] += cover

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """The pixel at a position in units."""
        return round((x - self._left) * UNIT), round((y - self._top) * UNIT)

    def stamp(self, foot: float) -> Stamp:
        """Cut the painting out along its opaque pixels; `foot` as in `Stamp`."""
        x, y, width, height = cv2.boundingRect((self._cover[..., 0] > 1 / 255).astype(np.uint8))
        window = np.s_[y : y + height, x : x + width]
        paints = [np.clip(self._paints[window] * _FULL, 0, 255).astype(np.uint8)]
        cover = [np.clip(self._cover[window] * 255, 0, 255).astype(np.uint8)]
        for factor in (2, 4):
            size = (max(1, round(width / factor)), max(1, round(height / factor)))
            paints.append(cv2.resize(paints[0], size, interpolation=cv2.INTER_AREA))
            cover.append(cv2.resize(cover[0], size, interpolation=cv2.INTER_AREA))
        return Stamp(tuple(paints), tuple(cover), (-self._left - x / UNIT, -self._top - y / UNIT), foot)


def turned(yaw: float) -> Reals:
    """Rotation about the vertical axis; a positive `yaw` turns what faces +z towards +x."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)


def tilted(tilt: float) -> Reals:
    """Rotation into the view of a camera that looks down by `tilt`: x right, y up, z towards the viewer."""
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], np.float32)


class Body:
    """A solid thing on an easel: collects its parts in space, then paints them from far to near.

    Its coordinates are x to the side, y up, z forward; `view` turns them into x right, y up, z towards the viewer, and
    `origin` lands on the easel's origin.
    """

    def __init__(self, easel: Easel, view: Reals, origin: Reals) -> None:
        self._easel, self._view, self._origin = easel, view, origin
        self._parts: list[tuple[float, Callable[[], None]]] = []

    def seen(self, points: Reals) -> Reals:
        """Body coordinates (..., 3) to the easel's (x right, y down) and distance towards the viewer."""
        return ((points - self._origin) @ self._view.T) * np.array([1, -1, 1], np.float32)

    def limb(self, joints: Reals, radii: Sequence[float], surface: Surface) -> None:
        """A chain of capsules through `joints` (n, 3)."""
        seen = self.seen(joints)
        discs = [spot[:2] + CIRCLE * radius for spot, radius in zip(seen, radii, strict=True)]
        self._add(float(seen[:, 2].mean()), discs, surface)

    def rings(self, rings: Sequence[Sequence[float]], surface: Surface, *, boxy: bool = False) -> None:
        """A body through horizontal ellipses (`boxy`: rectangles), each (height, half width, half depth, forward)."""
        discs, outline = [], SQUARE if boxy else CIRCLE
        for height, width, depth, forward in rings:
            points = [outline[:, 0] * width, np.full(len(outline), height), outline[:, 1] * depth + forward]
            discs.append(self.seen(np.stack(points, 1))[:, :2])
        middle = np.mean(rings, axis=0)
        self._add(float(self.seen(np.array([0, middle[0], middle[3]]))[2]), discs, surface)

    def plate(self, outline: Reals, surface: Surface) -> None:
        """A flat polygon (n, 3)."""
        seen = self.seen(outline)
        self._add(float(seen[:, 2].mean()), [seen[:, :2], seen[:, :2]], surface)

    def _add(self, nearness: float, discs: list[Reals], surface: Surface) -> None:
        hulls = [cv2.convexHull(np.concatenate(pair).astype(np.float32))[:, 0] for pair in pairwise(discs)]
        self._parts.append((nearness, lambda: self._easel.part(hulls, surface)))

    def paint(self) -> None:
        """Paint all parts."""
        for _, draw in sorted(self._parts, key=lambda part: part[0]):
            draw()


def paste(
    image: ByteImage,
    labels: NDArray[np.uint16],
    stamp: Stamp,
    at: tuple[float, float],
    unit: float,
    colors: Reals,
    *,
    label: int = 0,
    stretch: float = 1.0,
    flip: bool = False,
) -> Pasted | None:
    """Paste a stamp over `image` (H, W, 3) and `labels` (H, W) in place.

    `at` is where its origin goes (x, y), `unit` the pixels per unit, `colors` (4, 3) the colour of each paint, 0..255,
    `stretch` widens it. Pixels that it covers lose their label; those of its head get `label`. Returns None for a
    stamp without a head, or one wholly outside.
    """
    level = 0 if unit > UNIT / 2 else 1 if unit > UNIT / 4 else 2
    paints, cover = stamp.paints[level], stamp.cover[level]
    y = round(at[1] - stamp.anchor[1] * unit)
    rows = unit * 2**level / UNIT
    head_rows = int((stamp.anchor[1] + 1) * UNIT / 2**level)
    # Legs below the border need no work; a head is needed whole, for its extents.
    seen = min(paints.shape[0], max(int((image.shape[0] - y) / rows) + 2, head_rows))
    height, width = round(seen * rows), round(paints.shape[1] * rows * stretch)
    anchor = stamp.anchor[0] * stretch * unit
    x = round(at[0] - (width - anchor if flip else anchor))
    left, right = max(0, -x), min(width, image.shape[1] - x)
    top, bottom = max(0, -y), min(height, image.shape[0] - y)
    if right <= left or bottom <= top:
        return None
    paints = cv2.resize(paints[:seen], (width, height), interpolation=cv2.INTER_LINEAR)
    cover = cv2.resize(cover[:seen], (width, height), interpolation=cv2.INTER_LINEAR)
    if flip:
        paints, cover = cv2.flip(paints, 1), cv2.flip(cover, 1)
    _, opaque = cv2.threshold(cover, 127, 1, cv2.THRESH_BINARY)
    head = np.ascontiguousarray(opaque[..., 1])
    window, inside = np.s_[y + top : y + bottom, x + left : x + right], np.s_[top:bottom, left:right]
    painted = cv2.transform(paints[inside], colors.T / np.float32(_FULL))
    kept = cv2.cvtColor(~cover[inside][..., 0], cv2.COLOR_GRAY2BGR)
    canvas, marks = image[window], labels[window]
    cv2.add(cv2.multiply(canvas, kept, scale=1 / 255), painted, dst=canvas)
    np.copyto(marks, 0, where=opaque[inside][..., 0].view(np.bool_))
    area = cv2.countNonZero(head)
    if not label or not area:
        return None
    np.copyto(marks, label, where=head[inside].view(np.bool_))
    x1, y1, box_width, box_height = cv2.boundingRect(head)
    return Pasted((x + x1, y + y1, x + x1 + box_width, y + y1 + box_height), area)
