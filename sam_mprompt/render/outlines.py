"""Regions in a picture: their outlines, names and counts, and hatching over what is ignored."""

import unicodedata
from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import ByteImage, Mask
from .pixels import WHITE, Colour, as_bytes
from .text import FONT, LEGIBLE, caption, caption_size, text_layout

_COLOURS: tuple[Colour, ...] = ((70, 215, 255), (130, 255, 130), (255, 255, 255), (255, 165, 220), (165, 185, 255))
_IGNORED: Colour = (190, 190, 190)
_BLACK: Colour = (0, 0, 0)
_FRACTION = 4  # binary digits behind the point of the coordinates that cv2 draws at
_MARGIN = 64.0  # pixels beyond the border at which outlines are cut
_STRIP = 256
_SMALL = 256  # pixels a side, of the copy in which the place of a label is looked for
_AS_WIDE = 0.9
_WRITTEN = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "ł": "l", "Ł": "L", "đ": "d"})

_Ring = NDArray[np.floating]
_Box = tuple[int, int, int, int]


class Outline(NamedTuple):
    """A region as it is drawn.

    Attributes:
        polygons: each its outline and holes, corners (N, 2) as (x, y) in pixels of the picture; they may reach beyond.
        lines: what is written inside, line by line; nothing where it is empty.
        ignored: hatched, and drawn in grey.
    """

    polygons: Sequence[Sequence[_Ring]]
    lines: Sequence[str] = ()
    ignored: bool = False


def draw_regions(image: ByteImage, outlines: Sequence[Outline], heading: str) -> ByteImage:
    """Return the image with outlined regions, each with its lines in the middle of where it is widest, and a caption.

    Hershey fonts have ASCII only: of other characters the accents are dropped, and the rest are question marks.
    """
    picture = image.copy()
    size = (image.shape[0], image.shape[1])
    palette = cycle(_COLOURS)
    shades = [_IGNORED if outline.ignored else next(palette) for outline in outlines]
    thickness = max(1, round(min(size) / 350))
    for outline in outlines:
        if outline.ignored:
            _hatch(picture, _filled(outline, size))
    for outline in outlines:  # a dark line below all coloured ones: they are seen on bright ground
        cv2.polylines(picture, _lines(outline, size), True, _BLACK, thickness + 2, cv2.LINE_AA, _FRACTION)
    for outline, shade in zip(outlines, shades, strict=True):
        cv2.polylines(picture, _lines(outline, size), True, shade, thickness, cv2.LINE_AA, _FRACTION)
    taken: list[_Box] = [(0, 0, *caption_size(size, heading)[::-1])]
    for outline, shade in zip(outlines, shades, strict=True):
        if outline.lines:
            _label(picture, outline, shade, taken)
    return caption(picture, heading)


def ascii_text(text: str) -> str:
    """Return text in the characters that pictures have: without accents, and ? for what is no Latin letter."""
    plain = unicodedata.normalize("NFKD", text.translate(_WRITTEN))
    kept = "".join(character for character in plain if not unicodedata.combining(character))
    return "".join(character if " " <= character <= "~" else "?" for character in kept)


def _label(picture: ByteImage, outline: Outline, colour: Colour, taken: list[_Box]) -> None:
    """Write an outline's lines where it is widest, beside the boxes that are taken, and take its box."""
    height, width = picture.shape[:2]
    x, y, radius = _widest(outline, (height, width))
    lines = [ascii_text(line) or "?" for line in outline.lines]
    wanted = min(max(LEGIBLE + 2, min(height, width) / 36), max(LEGIBLE + 2, radius / 2))
    layouts = [text_layout(line, wanted, 0.9 * width) for line in lines]
    tall = max(layout[2][1] for layout in layouts)
    if tall < LEGIBLE:
        return
    pad, step = max(2, round(0.5 * tall)), round(1.75 * tall)
    wide, high = max(layout[2][0] for layout in layouts) + 2 * pad, step * (len(lines) - 1) + tall + 2 * pad
    if wide > width or high > height:
        return
    box = _beside(round(x - wide / 2), round(y - high / 2), (wide, high), (width, height), taken)
    taken.append(box)
    left, top = box[:2]
    ground = picture[top : top + high, left : left + wide]
    ground[:] = as_bytes(ground * np.float32(0.25))
    for number, (line, layout) in enumerate(zip(lines, layouts, strict=True)):
        scale, thickness, (length, _), _ = layout
        place = (left + (wide - length) // 2, top + pad + tall + number * step)
        shade = colour if number == 0 else WHITE
        cv2.putText(picture, line, place, FONT, scale, shade, thickness, cv2.LINE_AA)


def _beside(left: int, top: int, box: tuple[int, int], size: tuple[int, int], taken: Sequence[_Box]) -> _Box:
    """Return (left, top, right, bottom) inside the picture: the wished place, or the nearest above or below it."""
    (wide, high), (width, height) = box, size
    left = min(max(0, left), width - wide)
    shifts = sorted(range(-height, height + 1, max(1, high // 4)), key=abs)
    places = [min(max(0, top + shift), height - high) for shift in (0, *shifts)]
    for place in places:
        found = (left, place, left + wide, place + high)
        if not any(_meet(found, other) for other in taken):
            return found
    return (left, places[0], left + wide, places[0] + high)


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _widest(outline: Outline, size: tuple[int, int]) -> tuple[float, float, float]:
    """Return the middle (x, y) of the largest circle in an outline, and its radius, in pixels."""
    factor = min(1.0, _SMALL / max(size))
    small = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    scaled = [[np.asarray(ring) * factor for ring in polygon] for polygon in outline.polygons]
    mask = np.pad(_filled(outline._replace(polygons=scaled), small).astype(np.uint8), 1)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1]
    rows, columns = np.nonzero(distance >= _AS_WIDE * distance.max())
    inside = np.argwhere(mask[1:-1, 1:-1])
    row, column = inside.mean(axis=0) if len(inside) else (small[0] / 2, small[1] / 2)
    nearest = int(np.hypot(rows - row, columns - column).argmin())  # in a band all places are as wide
    return (columns[nearest] + 0.5) / factor, (rows[nearest] + 0.5) / factor, float(distance.max()) / factor


def _lines(outline: Outline, size: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Return the rings of an outline as cv2 draws them, with what lies just beside the picture."""
    return _cut_rings([ring for polygon in outline.polygons for ring in polygon], size, _MARGIN)


def _cut_rings(rings: Sequence[_Ring], size: tuple[int, int], margin: float) -> list[NDArray[np.int32]]:
    return [_fixed(cut) for ring in rings if len(cut := _cut(ring, size, margin))]


def _filled(outline: Outline, size: tuple[int, int]) -> Mask:
    """Return bool (H, W): the pixels inside, holes left out."""
    mask = np.zeros(size, np.uint8)
    for polygon in outline.polygons:
        part = np.zeros(size, np.uint8)
        cv2.fillPoly(part, _cut_rings(polygon, size, 1.0), 1, cv2.LINE_8, _FRACTION)
        mask |= part
    return mask.astype(np.bool_)


def _hatch(picture: ByteImage, mask: Mask) -> None:
    """Darken what is masked and draw diagonal lines over it."""
    period = max(6, round(min(picture.shape[:2]) / 45))
    for top in range(0, len(picture), _STRIP):  # in strips: floats of a whole large photograph would fill the memory
        strip = picture[top : top + _STRIP]
        rows, columns = np.nonzero(mask[top : top + _STRIP])
        pixels = strip[rows, columns] * np.float32(0.4)
        lines = (rows + top + columns) % period < max(1, period // 5)
        pixels[lines] = 0.6 * pixels[lines] + 0.4 * np.asarray(_IGNORED, np.float32)
        strip[rows, columns] = as_bytes(pixels)


def _fixed(ring: _Ring) -> NDArray[np.int32]:
    """Return corners as cv2 takes them, whose pixel i has its middle, not its border, at i."""
    return np.rint((ring - 0.5) * 2**_FRACTION).astype(np.int32)


def _cut(ring: _Ring, size: tuple[int, int], margin: float) -> _Ring:
    """Return what of a ring lies within a margin around the picture: cv2 draws at no coordinates far outside.

    Source: Sutherland and Hodgman, "Reentrant polygon clipping", 1974.
    """
    height, width = size
    corners = [(float(x), float(y)) for x, y in ring]
    for axis, limit, sign in ((0, -margin, 1), (0, width + margin, -1), (1, -margin, 1), (1, height + margin, -1)):
        kept: list[tuple[float, float]] = []
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            a, b = (sign * ((ax, ay)[axis] - limit), sign * ((bx, by)[axis] - limit))
            if a >= 0:
                kept.append((ax, ay))
            if (a >= 0) != (b >= 0):
                kept.append((ax + (bx - ax) * a / (a - b), ay + (by - ay) * a / (a - b)))
        corners = kept
    return np.array(corners, np.float64).reshape(-1, 2)
