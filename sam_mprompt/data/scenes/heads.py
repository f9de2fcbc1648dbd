"""Heads for synthetic crowd scenes: faces, hair and hats, shaded pixel by pixel and seen from any direction."""

from collections.abc import Sequence

import cv2
import numpy as np

from ...arrays import Reals
from .painting import Rng, chance, fractal, lit
from .stamps import CIRCLE, HAIR, PAINTS, PURE, SKIN, UNIT, Easel, tilted, turned

HATS = ("cap", "brim", "scarf", "hood", "beanie")
"""Shapes on which the paint HAIR is that of a hat or a scarf."""

_HALF = 0.95  # half the side of the square, in units, in which a head is drawn


def draw_head(rng: Rng, easel: Easel, shape: str, *, tilt: float, yaw: float) -> None:
    """Draw a head at the easel's origin, one unit high without its hair.

    `shape` is "short", "long", "bun" or "bald" hair, or one of HATS; `tilt` is how far the camera looks down and `yaw`
    where the face looks (0: at the camera), both in radians.
    """
    skull = _Skull(rng, tilted(tilt) @ turned(yaw) @ tilted(-float(rng.normal(0.12, 0.16))))
    skull.face(rng)
    hat = shape in HATS
    if shape != "bald":
        dark = PURE[SKIN] * 0.16 if hat else PURE[HAIR]  # under a hat the paint HAIR is the hat's
        long = shape in ("long", "bun", "scarf", "hood")
        skull.shell(rng.uniform(1.08, 1.22), dark, hairline=rng.uniform(0.35, 0.62), nape=-2.0 if long else -0.42)
    if shape == "bun":
        skull.ball((0, rng.uniform(0.1, 0.5), -0.42), 0.2, PURE[HAIR])
    elif shape in ("scarf", "hood"):
        skull.shell(rng.uniform(1.22, 1.4), PURE[HAIR], hairline=0.6, nape=-2.0, soft=0.03)
    elif shape == "cap":
        skull.brim(centre=0.5, radius=0.36, height=0.2)
        skull.shell(1.2, PURE[HAIR], hairline=-2.0, nape=0.22, soft=0.02)
    elif shape == "brim":
        skull.brim(centre=0.0, radius=rng.uniform(0.62, 0.85), height=0.17)
        skull.shell(1.18, PURE[HAIR], hairline=-2.0, nape=0.3, soft=0.02)
    elif shape == "beanie":
        skull.shell(1.22, PURE[HAIR], hairline=-2.0, nape=0.05, soft=0.02)
    skull.onto(easel)


class _Skull:
    """A head, painted pixel by pixel: an ellipsoid for the face, shells around it for hair and hats."""

    _RADII = np.array([0.42, 0.51, 0.47], np.float32)
    _EDGE = 20.0  # pixels per unit of an ellipsoid's own coordinates: softens what ends on its surface

    def __init__(self, rng: Rng, rotation: Reals) -> None:
        side = round(2 * _HALF * UNIT)
        axis = ((np.arange(side) + 0.5) / UNIT - _HALF).astype(np.float32)
        self._rotation = rotation.astype(np.float32)
        across, up = np.meshgrid(axis, -axis)
        self._flat = np.stack([across, up, np.zeros_like(up)], -1) @ self._rotation
        self._cover = np.zeros((side, side), np.float32)
        self._paints = np.zeros((side, side, PAINTS), np.float32)
        self._strands = fractal(rng, (side, side), cell=16, persistence=0.8)

    def _surface(self, radii: Reals, centre: Sequence[float]) -> tuple[Reals, Reals, Reals]:
        """Where the view meets an ellipsoid: place on the unit sphere (x side, y up, z forward), light, coverage."""
        start, ray = (self._flat - np.array(centre, np.float32)) / radii, self._rotation[2] / radii
        along, squared = start @ ray, float(ray @ ray)
        inner = along * along - squared * (np.einsum("hwc,hwc->hw", start, start) - 1)
        sphere = start + ((np.sqrt(np.maximum(inner, 0)) - along) / squared)[..., None] * ray
        normals = (sphere / radii) @ (self._rotation.T * np.array([1, -1, 1], np.float32))
        normals /= np.sqrt(np.einsum("hwc,hwc->hw", normals, normals))[..., None] + np.float32(1e-6)
        edge = inner / squared * float(radii.min()) / 2 * UNIT  # about the distance to the silhouette in pixels
        return sphere, lit(normals), np.clip(edge + 0.5, 0, 1)

    def _put(self, mask: Reals, paints: Reals) -> None:
        self._cover += mask * (1 - self._cover)
        self._paints += mask[..., None] * (paints - self._paints)

    def face(self, rng: Rng) -> None:
        for side in (-1, 1):
            self.ball((0.4 * side, -0.02, -0.02), 0.1, PURE[SKIN] * 0.9)
        sphere, light, mask = self._surface(self._RADII, (0, 0, 0))
        u, v, forward = sphere[..., 0], sphere[..., 1], sphere[..., 2]
        glasses = chance(rng, 0.15)
        features = [(0.36 * side, 0.1, 0.24 if glasses else 0.15, 0.15 if glasses else 0.09, 0.8) for side in (-1, 1)]
        features += [(0.38 * side, 0.3, 0.22, 0.05, 0.5) for side in (-1, 1)]
        features += [(0.0, -0.5, rng.uniform(0.2, 0.32), 0.055, 0.5), (0.0, -0.2, 0.13, 0.06, 0.3)]
        shade = np.ones_like(u)
        for x, y, width, height, strength in features:
            shade *= 1 - strength * np.exp(-(((u - x) / width) ** 2) - ((v - y) / height) ** 2)
        shade = np.where(forward > 0, shade, 1)
        beard = rng.uniform(0.3, 0.9) * chance(rng, 0.15) * np.clip((-0.28 - v) * 8, 0, 1) * (forward > -0.1)
        paints = (light * shade)[..., None] * (PURE[SKIN] + beard[..., None] * (PURE[HAIR] - PURE[SKIN]))
        self._put(mask, paints)

    def ball(self, centre: Sequence[float], radius: float, paint: Reals) -> None:
        _, light, mask = self._surface(np.full(3, radius, np.float32), centre)
        self._put(mask, light[..., None] * paint)

    def shell(self, size: float, paint: Reals, *, hairline: float, nape: float, soft: float = 0.14) -> None:
        """Hair or cloth around the head: above `nape` at the back and sides, above `hairline` over the face."""
        sphere, light, mask = self._surface(self._RADII * np.float32(size), (0, 0.04, -0.04))
        ragged = self._strands * soft
        face = np.minimum(hairline - sphere[..., 1], (sphere[..., 2] - 0.22) * 1.5) + ragged
        inside = np.minimum(-face, sphere[..., 1] + ragged - nape)
        texture = light * (1 + 2.5 * soft * self._strands)
        sheen = 2.2 * soft * np.clip(light - 1.05, 0, 1) * (1 + self._strands)
        paints = texture[..., None] * paint + sheen[..., None] * PURE[SKIN]
        self._put(mask * np.clip(inside * self._EDGE + 0.5, 0, 1), paints)

    def brim(self, *, centre: float, radius: float, height: float) -> None:
        ring = np.stack([CIRCLE[:, 0] * radius, np.full(len(CIRCLE), height), CIRCLE[:, 1] * radius + centre], 1)
        seen = (ring @ self._rotation.T)[:, :2] * (1, -1)
        drawn = np.zeros(self._cover.shape, np.uint8)
        cv2.fillConvexPoly(drawn, np.round((seen + _HALF) * UNIT * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        self._put(drawn.astype(np.float32) / 255, np.broadcast_to(PURE[HAIR] * 0.85, self._paints.shape))

    def onto(self, easel: Easel) -> None:
        shown = self._paints / np.maximum(self._cover, 1e-3)[..., None]
        easel.paint(easel.pixel(-_HALF, -_HALF), self._cover, shown, head=True)
