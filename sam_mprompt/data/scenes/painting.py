"""What both families of synthetic scenes are painted with: noise, colours, surface patterns, light on round things.

Everything draws its randomness from the generator it is given, and works at any size from a few pixels up.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ...arrays import ByteImage, Reals

Rng = np.random.Generator
Size = tuple[int, int]

_LIGHT = (np.array([-0.45, -0.7, 0.55]) / np.linalg.norm([-0.45, -0.7, 0.55])).astype(np.float32)
_STEPS = np.linspace(0, 1, 256, dtype=np.float32)[:, None]


def chance(rng: Rng, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number between `low` and `high` (both > 0) whose logarithm is uniform: as many small as large scales."""
    return float(low * (high / low) ** rng.random())


def fractal(rng: Rng, size: Size, *, cell: float = 96, persistence: float = 0.5, finest: int = 2) -> Reals:
    """Fractal noise (H, W), about -1..1: features of `cell` down to `finest` pixels, each octave `persistence` weaker.

    Built by repeatedly enlarging a small random grid to twice its size and adding finer noise, so that the cost is
    that of the last octave.
    """
    scale = 2 ** max(0, round(np.log2(max(cell, finest) / finest))) * finest
    field = np.zeros((size[0] // scale + 2, size[1] // scale + 2), np.float32)
    amplitude, total = 1.0, 0.0
    while True:
        field += amplitude * (rng.random(field.shape, dtype=np.float32) * 2 - 1)
        total += amplitude**2
        if scale <= finest:
            break
        scale //= 2
        field = cv2.resize(field, (size[1] // scale + 2, size[0] // scale + 2), interpolation=cv2.INTER_LINEAR)
        amplitude *= persistence
    if finest > 1:
        field = cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(field[: size[0], : size[1]]) / np.float32(np.sqrt(total))


def color(rng: Rng, *, value: tuple[float, float] = (0.12, 0.95), saturation: float = 0.35) -> Reals:
    """A colour (3,), 0..255, as surfaces have them: mostly muted; `saturation` is its mean, `value` its brightness."""
    hue = (rng.random() * 6 + np.array([0.0, 4.0, 2.0])) % 6
    pure = np.clip(np.abs(hue - 3) - 1, 0, 1)
    chroma = rng.beta(1.2, 1.2 * (1 - saturation) / saturation)
    return ((1 + chroma * (pure - 1)) * rng.uniform(*value) * 255).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Plane:
    """A surface to be patterned: its size and `scale` in pixels, and coordinates u, v in repeats along turned axes."""

    rng: Rng
    size: Size
    scale: float
    u: Reals
    v: Reals


def pattern(rng: Rng, size: Size, scale: float, *, built: bool = False) -> Reals:
    """A surface pattern (H, W), 0..1: one of plain, noise, stripes, checks, bricks, dots, gradient, rings, grid.

    `scale` is the size in pixels of its repeating element. Lines run at a random angle; on what is `built`, a wall or a
    pavement, they run straight, and there are no dots, rings or checks.
    """
    rows = np.arange(size[0], dtype=np.float32)[:, None] / np.float32(scale)
    columns = np.arange(size[1], dtype=np.float32)[None] / np.float32(scale)
    angle = 0.0 if built else rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    kinds = _BUILT if built else _PATTERNS
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    phase = rng.random(2, dtype=np.float32)
    plane = _Plane(rng, size, scale, columns * cos + rows * sin + phase[0], rows * cos - columns * sin + phase[1])
    return np.clip(kinds[rng.integers(len(kinds))](plane), 0, 1).astype(np.float32)


def _noise(plane: _Plane) -> Reals:
    field = fractal(plane.rng, plane.size, cell=2 * plane.scale, persistence=plane.rng.uniform(0.45, 0.85))
    return 0.5 + field * np.float32(plane.rng.choice([0.5, 0.8, 4.0]))  # the last: hard-edged patches, as camouflage


def _stripes(plane: _Plane) -> Reals:
    waves = np.float32(plane.rng.uniform(0, 1.5)) * np.sin(plane.v * np.float32(plane.rng.uniform(0.5, 3)))
    return _sharp(np.sin(plane.u * np.float32(2 * np.pi) + waves), plane.rng)


def _checks(plane: _Plane) -> Reals:
    return _sharp(np.sin(plane.u * np.float32(np.pi)) * np.sin(plane.v * np.float32(np.pi)) * 2, plane.rng)


def _bricks(plane: _Plane) -> Reals:
    rng = plane.rng
    length, joint = np.float32(rng.uniform(1, 3)), np.float32(rng.uniform(0.03, 0.12))
    row = np.floor(plane.v)
    along = plane.u / length + (row % 2) * np.float32(rng.choice([0.0, 0.5]))
    tone = np.modf(np.sin(row * np.float32(12.9898) + np.floor(along) * np.float32(78.233)) * np.float32(43758.5))[0]
    inside = ((plane.v - row) > joint) & ((along - np.floor(along)) > joint / length)
    return np.where(inside, np.float32(0.6) + np.float32(0.25) * tone, np.float32(rng.choice([0.0, 1.0])))


def _dots(plane: _Plane) -> Reals:
    u, v = plane.u + np.float32(0.5) * (np.floor(plane.v) % 2), plane.v
    radius = np.hypot(u - np.floor(u) - np.float32(0.5), v - np.floor(v) - np.float32(0.5))
    return np.clip((np.float32(plane.rng.uniform(0.15, 0.42)) - radius) * np.float32(plane.scale) + 0.5, 0, 1)


def _gradient(plane: _Plane) -> Reals:
    return (plane.u - plane.u.min()) / np.float32(max(float(np.ptp(plane.u)), 1e-3))


def _rings(plane: _Plane) -> Reals:
    u, v, rng = plane.u, plane.v, plane.rng
    du, dv = u - np.float32(rng.uniform(u.min(), u.max())), v - np.float32(rng.uniform(v.min(), v.max()))
    return _sharp(np.sin(np.hypot(du, dv) * np.float32(2 * np.pi)), rng)


def _grid(plane: _Plane) -> Reals:
    width = np.float32(plane.rng.uniform(0.05, 0.2))
    return (((plane.u % 1) < width) | ((plane.v % 1) < width)).astype(np.float32)


def _plain(plane: _Plane) -> Reals:
    return np.full(plane.size, 0.5, np.float32)


def _sharp(wave: Reals, rng: Rng) -> Reals:
    return 0.5 + wave * np.float32(rng.choice([0.5, 1.0, 4.0]))


_PATTERNS: tuple[Callable[[_Plane], Reals], ...] = (
    *(_plain, _noise, _noise, _noise, _stripes, _checks, _bricks, _dots, _gradient, _rings, _grid),
)
_BUILT: tuple[Callable[[_Plane], Reals], ...] = (_plain, _noise, _noise, _noise, _stripes, _bricks, _bricks, _grid)


def tinted(values: Reals, dark: Reals, bright: Reals) -> ByteImage:
    """Colours (H, W, 3) from `dark` (3,) where `values` (H, W) is 0 to `bright` where it is 1; clipped outside."""
    table = np.clip(dark + _STEPS * (bright - dark), 0, 255).astype(np.uint8)
    return cv2.applyColorMap(cv2.convertScaleAbs(np.maximum(values, 0), alpha=255), table[:, None])


def shaded(image: ByteImage, light: Reals) -> ByteImage:
    """`image` (H, W, 3) with each pixel multiplied by `light` (H, W), 0 to about 2."""
    scaled = cv2.convertScaleAbs(np.maximum(light, 0), alpha=127)
    return cv2.multiply(image, cv2.merge([scaled, scaled, scaled]), scale=1 / 127)


def texture(
    rng: Rng, size: Size, scale: float, base: Reals, *, contrast: float = 1.0, built: bool = False
) -> ByteImage:
    """A surface (H, W, 3): a `pattern` between `base` (3,) and a second colour, and the grain of its material.

    `contrast` (0..1) is how far the pattern goes towards the second colour; `scale`, `built` as in `pattern`.
    """
    other = color(rng, saturation=0.25) if chance(rng, 0.4) else base * np.float32(rng.uniform(0.45, 1.5))
    surface = tinted(pattern(rng, size, scale, built=built), base, base + np.float32(contrast) * (other - base))
    grain = fractal(rng, size, cell=log_uniform(rng, 4, 64), persistence=0.75) * np.float32(rng.uniform(0.02, 0.2))
    return shaded(surface, 1 + grain)


def lit(normals: Reals) -> Reals:
    """Light on surfaces with unit `normals` (..., 3) as (x right, y down, z to the viewer); about 0.5..1.2."""
    return _illuminated(normals @ _LIGHT)


def relief(drawn: ByteImage, strength: float) -> Reals:
    """Light (h, w), about 0.5..1.2, on a silhouette (h, w), 0..255, inflated to a body `strength` times as thick."""
    height, width = drawn.shape
    if strength == 0:
        return np.ones((height, width), np.float32)
    if min(height, width) > 96:  # light on large things is smooth: half the resolution will do
        coarse = relief(cv2.resize(drawn, (width // 2, height // 2), interpolation=cv2.INTER_AREA), strength)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    padded = cv2.copyMakeBorder(drawn, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    _, solid = cv2.threshold(padded, 127, 1, cv2.THRESH_BINARY)
    inner = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
    radius = max(float(inner.max()), 1.0)
    thickness = np.sqrt(np.maximum(radius**2 - (radius - inner) ** 2, 0))
    thickness = cv2.GaussianBlur(thickness, (0, 0), max(radius * 0.12, 0.7))[1:-1, 1:-1]
    slope_x = cv2.Sobel(thickness, cv2.CV_32F, 1, 0, scale=strength / 8)
    slope_y = cv2.Sobel(thickness, cv2.CV_32F, 0, 1, scale=strength / 8)
    facing = _LIGHT[2] - slope_x * _LIGHT[0] - slope_y * _LIGHT[1]
    return _illuminated(facing / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y))


def _illuminated(facing: Reals) -> Reals:
    return np.float32(0.55) + np.float32(0.65) * np.maximum(facing, 0)
