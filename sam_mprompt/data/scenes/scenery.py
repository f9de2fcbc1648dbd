"""Where synthetic crowds stand: the camera's view, the ground in perspective, and what is behind it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...arrays import ByteImage, Reals
from .painting import Rng, Size, chance, color, fractal, log_uniform, shaded, texture, tinted
from .people import TILTS

_STATURE = 6.75  # from the centre of a head down to the ground, in head heights


@dataclass(frozen=True, slots=True)
class View:
    """How a camera sees level ground on which people stand.

    Attributes:
        size: (height, width) of the image in pixels.
        tilt: index of `people.TILTS`.
        top: y of the centres of the farthest heads, in pixels (negative: the crowd reaches over the upper border).
        far, near: height of a head in pixels at y = `top` and at the lower border; it grows linearly between.
    """

    size: Size
    tilt: int
    top: float
    far: float
    near: float

    @property
    def growth(self) -> float:
        """Pixels by which heads grow per pixel down."""
        return (self.near - self.far) / (self.size[0] - self.top)

    @property
    def body(self) -> float:
        """Distance in the image from a standing person's head down to the feet, in head heights."""
        return _STATURE * float(np.cos(TILTS[self.tilt]))

    @property
    def wall(self) -> float:
        """y where the ground ends: just behind the feet of the farthest people."""
        return self.top + (self.body - 0.4) * self.far

    def head(self, y: Reals) -> Reals:
        """Height in pixels of heads whose centres are at `y`, any shape."""
        return np.maximum(self.far + self.growth * (y - self.top), 1.0)

    def unit(self, ground: Reals) -> Reals:
        """Pixels per head height of things that stand on the ground at `ground`, any shape."""
        return np.maximum((self.far + self.growth * (ground - self.top)) / (1 + self.body * self.growth), 1.0)

    def slope(self, ground: float) -> float:
        """Pixels down per pixel towards the viewer on the ground: small at the horizon, 1 straight below the camera."""
        here, middle = self.unit(np.array([ground, (max(self.top, 0) + self.size[0]) / 2]))
        return float(np.clip(np.sin(TILTS[self.tilt]) * here / middle, 0.12, 1.0))


def random_view(rng: Rng, size: Size) -> View:
    """A view at eye level over a street, from a balcony or a stand, or from high above. Heads are 6 to about 60 px."""
    height = size[0]
    largest = max(6.5, min(62.0, 0.28 * min(size)))
    tilt = int(rng.choice(len(TILTS), p=[0.42, 0.42, 0.16]))
    if tilt == 0:
        near = log_uniform(rng, min(14, largest), largest)
        far = float(np.clip(near * rng.uniform(0.12, 0.5), 6, near))
        top = rng.uniform(0.05, 0.5) * height
    elif tilt == 1:
        near = log_uniform(rng, min(9, largest), largest * 0.8)
        far = float(np.clip(near * rng.uniform(0.3, 0.95), 6, near))
        top = rng.uniform(-0.25, 0.3) * height
    else:
        near = log_uniform(rng, min(9, largest), largest * 0.7)
        far, top = max(6.0, near * rng.uniform(0.75, 1.0)), -near
    return View(size, tilt, float(top), float(min(far, near)), float(near))


def ground_and_background(rng: Rng, view: View) -> ByteImage:
    """An empty place (H, W, 3) seen in `view`."""
    height, width = view.size
    wall = int(np.clip(view.wall, 0, height))
    image = np.empty((height, width, 3), np.uint8)
    if wall < height:
        image[wall:] = _ground(rng, view, wall)
    if wall > 0:
        image[:wall] = _background(rng, (wall, width), view.far)
        image[wall - 1 : wall + max(1, int(view.far / 4))] //= 2  # the corner between ground and wall is dark
    return image


_GROUNDS = (
    (128, 124, 118),
    (150, 142, 130),
    (96, 96, 98),
    (70, 70, 72),
    (120, 100, 86),
    (96, 108, 66),
    (178, 168, 152),
)
_TILE = 288


def _ground(rng: Rng, view: View, wall: int) -> ByteImage:
    """Paving, asphalt, sand or grass (h, W, 3) from y = `wall` down, in perspective."""
    height, width = view.size
    base = np.array(_GROUNDS[rng.integers(len(_GROUNDS))]) * rng.uniform(0.6, 1.25) + rng.normal(0, 6, 3)
    detail = float(np.clip(view.unit(np.array(height)), 6, 28))  # texture pixels per head height
    scale = detail * log_uniform(rng, 0.8, 6)
    tile = texture(rng, (_TILE, _TILE), scale, base.astype(np.float32), contrast=rng.uniform(0.1, 0.6), built=True)
    # The plane's homography: at height y a pixel spans 1 / (rise * y + offset) head heights across the ground.
    rise = view.growth / (1 + view.body * view.growth)
    offset = (view.far - view.growth * view.top) / (1 + view.body * view.growth) + rise * wall
    stretch = 1 / np.sin(TILTS[view.tilt])
    plane = np.array([[1, 0, -width / 2], [0, stretch, -stretch * (0.6 * height - wall)], [0, rise, offset]])
    angle = rng.choice([0.0, rng.uniform(0, np.pi)])
    cos, sin = detail * np.cos(angle), detail * np.sin(angle)
    turn = np.array([[cos, sin, rng.uniform(0, _TILE)], [-sin, cos, rng.uniform(0, _TILE)], [0, 0, 1]])
    size = (width, height - wall)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(tile, turn @ plane, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    kept = 1.6 * (rise * np.arange(height - wall) + offset) / detail
    distant = int((kept < 1).sum())  # rows far away, where the texture is finer than a pixel: it fades
    mean, fading = tile.mean((0, 1)), kept[:distant, None, None]
    seen[:distant] = mean + fading * (seen[:distant] - mean)
    stains = fractal(rng, (size[1], width), cell=max(16.0, height / 4), finest=8) * np.float32(rng.uniform(0.03, 0.2))
    return shaded(seen, 1 + stains)


def _background(rng: Rng, size: Size, unit: float) -> ByteImage:
    """What is behind the ground (h, w, 3): sky, buildings, trees, walls; a head there is `unit` pixels high."""
    image = _sky(rng, size)
    kind = rng.choice(["town", "wall", "park", "hall", "open"], p=[0.35, 0.2, 0.15, 0.15, 0.15])
    if kind == "hall":
        image[:] = texture(
            rng, size, unit * log_uniform(rng, 2, 12), color(rng, value=(0.03, 0.4)), contrast=0.5, built=True
        )
    if kind == "wall":
        _building(rng, image, (0, 0, size[1], size[0]), unit)
    if kind == "town":
        x = 0
        while x < size[1]:
            width = int(max(12, unit * rng.uniform(8, 60)))
            rise = int(size[0] * rng.uniform(0.3, 1.1))
            _building(rng, image, (x, max(0, size[0] - rise), min(x + width, size[1]), size[0]), unit)
            x += width + int(unit * rng.uniform(0, 12) * chance(rng, 0.3))
    if kind in ("wall", "hall", "town"):
        for _ in range(rng.integers(0, 6)):
            _panel(rng, image, unit)
    if kind in ("park", "town", "open"):
        for _ in range(rng.integers(3, 12) if kind == "park" else rng.integers(0, 4)):
            crown = (rng.uniform(0, size[1]), size[0] - unit * rng.uniform(1, 9))
            stem = int(crown[0])
            cv2.line(image, (stem, int(crown[1])), (stem, size[0]), (52, 42, 34), max(1, int(0.6 * unit)))
            foliage(rng, image, crown, unit * rng.uniform(2, 9))
    return image


def _sky(rng: Rng, size: Size) -> ByteImage:
    zenith = np.array([(96, 148, 214), (186, 200, 214), (225, 228, 232), (30, 34, 52)][rng.integers(4)], np.float32)
    horizon = 0.5 * zenith + (0.5 * zenith.mean() / 200) * np.array([226, 226, 222], np.float32)
    small = (size[0] // 4 + 1, size[1] // 4 + 1)
    fall = np.linspace(0, 1, small[0], dtype=np.float32)[:, None, None]
    clouds = fractal(rng, small, cell=max(4.0, size[1] / 16)) * 2 - np.float32(rng.uniform(-0.3, 1))
    sky = zenith + fall * (horizon - zenith)
    sky = sky + 0.3 * np.clip(clouds, 0, 1)[..., None] * (250 - sky)
    return cv2.resize(np.clip(sky, 0, 255).astype(np.uint8), size[::-1], interpolation=cv2.INTER_LINEAR)


def _building(rng: Rng, image: ByteImage, box: tuple[int, int, int, int], unit: float) -> None:
    x1, y1, x2, y2 = box
    height, width = y2 - y1, x2 - x1
    if height < 2 or width < 2:
        return
    paint, scale = color(rng, saturation=0.12), max(2.0, unit * rng.uniform(0.3, 2))
    wall = texture(rng, (height, width), scale, paint, contrast=0.2, built=True)
    if chance(rng, 0.8):
        cell = np.array([unit * rng.uniform(4, 9), unit * rng.uniform(2, 8)])
        rows, columns = (int(v) for v in np.ceil((height, width) / np.maximum(cell, 3)))
        panes = color(rng, value=(0.08, 0.5), saturation=0.12) * rng.uniform(0.6, 1.4, (rows, columns, 1))
        lit = rng.random((rows, columns, 1)) < rng.choice([0.0, 0.0, 0.25])
        panes = np.clip(np.where(lit, np.array([250, 226, 170]), panes), 0, 255).astype(np.uint8)
        panes = cv2.resize(panes, (width, height), interpolation=cv2.INTER_NEAREST)
        v = (np.arange(height, dtype=np.float32) / (height / rows) % 1)[:, None]
        u = (np.arange(width, dtype=np.float32) / (width / columns) % 1)[None]
        margin = rng.uniform(0.08, 0.35, 2)
        glass = (abs(v - 0.5) < 0.5 - margin[0]) & (abs(u - 0.5) < 0.5 - margin[1])
        cv2.copyTo(panes, glass.astype(np.uint8), wall)
    image[y1:y2, x1:x2] = wall


def _panel(rng: Rng, image: ByteImage, unit: float) -> None:
    """A poster, a door, a shop window or a sign with letters."""
    height, width = (int(max(3, unit * rng.uniform(1.5, 9))) for _ in range(2))
    x, y = int(rng.uniform(-width / 2, image.shape[1])), int(image.shape[0] - height - unit * rng.uniform(0, 14))
    window = image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not window.size:
        return
    base = color(rng, saturation=0.35, value=(0.3, 1.0))
    window[:] = texture(rng, window.shape[:2], max(2.0, unit * log_uniform(rng, 0.3, 3)), base)
    if chance(rng, 0.5):
        letters = "".join(rng.choice(list("ABCEHKMNORSTUX0268"), int(rng.integers(2, 8))))
        bold = max(1, int(unit / 6))
        ink = tuple(float(c) for c in color(rng, saturation=0.4))
        place = (max(0, x) + 1, min(image.shape[0] - 1, max(0, y) + int(window.shape[0] * 0.7)))
        cv2.putText(image, letters, place, cv2.FONT_HERSHEY_SIMPLEX, unit / 20, ink, bold, cv2.LINE_AA)


def foliage(
    rng: Rng, image: ByteImage, centre: tuple[float, float], radius: float, labels: NDArray[np.uint16] | None = None
) -> None:
    """Paint a tree's crown or a bush over `image` in place; `labels` (H, W) become 0 there."""
    side = int(max(6, 2.6 * radius))
    x, y = int(centre[0] - side / 2), int(centre[1] - side / 2)
    top, left = max(0, -y), max(0, -x)
    window = image[max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)]
    if not window.size:
        return
    inside = np.s_[top : top + window.shape[0], left : left + window.shape[1]]
    axis = np.linspace(-1.3, 1.3, side, dtype=np.float32)
    ragged = fractal(rng, (side, side), cell=side / 3, persistence=0.75)
    leaves = fractal(rng, (side, side), cell=max(2.0, side / 10), persistence=0.9)
    solid = np.clip((1 - np.hypot(axis[None], axis[:, None]) + 0.55 * ragged) * 12, 0, 1)[inside]
    light = 0.45 - 0.2 * axis[:, None] + 0.3 * leaves + 0.2 * ragged
    green = (np.array([105, 138, 66]) * rng.uniform(0.4, 1.3) + rng.normal(0, 12, 3)).astype(np.float32)
    leafy = tinted(np.ascontiguousarray(light[inside]), green * np.float32(0.1), green)
    window[:] = cv2.blendLinear(leafy, np.ascontiguousarray(window), solid, 1 - solid)
    if labels is not None:
        labels[max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)][solid > 0.5] = 0
