"""Figures for synthetic crowd scenes: people as stamps, built on a small skeleton and seen from any side and height.

Lengths are in head heights. A figure stands on y = 0 and faces +z at yaw 0; the camera looks along -z, tilted down.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...arrays import Reals
from .heads import HATS, draw_head
from .painting import Rng, chance, fractal
from .stamps import HAIR, OTHER, PAINTS, PURE, SKIN, TOP, UNIT, Body, Easel, Stamp, Surface, tilted, turned

TILTS = tuple(float(np.radians(degrees)) for degrees in (10, 34, 66))
"""How far the camera looks down, for each kind of view: level, from a balcony, from above."""

FIGURES = 48
"""Different figures per kind of view; figure k is seen from behind, the front, the side, any side for k % 4 = 0..3."""

_BLACK = np.zeros(PAINTS, np.float32)
_NECK, _SKULL = 6.3, 6.76  # heights of the chin's joint and of the head's centre in an adult of 7.5 heads
_EASEL = (-3.25, -3.25, 3.25, 7.75)  # left, top, right, bottom around the head's centre


@dataclass(frozen=True, slots=True)
class Figure:
    """A person as a stamp (its origin is the head's centre); `hatted` when the paint HAIR belongs to a hat or scarf."""

    stamp: Stamp
    hatted: bool


@dataclass(frozen=True, slots=True)
class _Build:
    """What decides a figure's look: how it stands, what it wears."""

    yaw: float
    tilt: float
    width: float
    size: float  # 1 for an adult's body, less for a child's
    seated: bool
    dress: bool
    sleeves: float  # part of the arm that is covered
    trousers: float  # part of the leg that is covered
    hair: str
    pattern: Reals | None
    light_pattern: bool


@lru_cache(maxsize=len(TILTS) * FIGURES)
def figure(tilt: int, number: int) -> Figure:
    """The `number`-th figure (0 .. FIGURES - 1) for the view `tilt` (an index of TILTS); always the same one."""
    rng = np.random.default_rng([2405, tilt, number])
    build = _build(rng, TILTS[tilt], number)
    view = tilted(build.tilt) @ turned(build.yaw)
    head = np.array([0, _NECK * build.size + _SKULL - _NECK, rng.uniform(0, 0.25)], np.float32)
    if build.seated:
        head[1] -= 2.0 * build.size
    easel = Easel(*_EASEL)
    parts = Body(easel, view, head)
    _legs(rng, parts, build)
    _arms(rng, parts, build)
    _torso(rng, parts, build)
    parts.paint()
    draw_head(rng, easel, build.hair, tilt=build.tilt, yaw=build.yaw + float(rng.normal(0, 0.3)))
    ground = -float((view @ (np.array([0, 0, 0], np.float32) - head))[1])
    return Figure(easel.stamp(ground), build.hair in HATS)


def _build(rng: Rng, tilt: float, number: int) -> _Build:
    facing = (np.pi, 0.0, np.pi / 2 * rng.choice([-1, 1]), rng.uniform(-np.pi, np.pi))[number % 4]
    hair = rng.choice(
        ["short", "long", "bun", "bald", "cap", "brim", "scarf", "hood", "beanie"],
        p=[0.43, 0.24, 0.06, 0.04, 0.09, 0.05, 0.03, 0.03, 0.03],
    )
    return _Build(
        yaw=float(facing + rng.normal(0, 0.45)),
        tilt=float(tilt + rng.normal(0, 0.06)),
        width=float(rng.uniform(0.88, 1.15)),
        size=float(rng.uniform(0.6, 0.8) if chance(rng, 0.07) else rng.uniform(0.94, 1.04)),
        seated=chance(rng, 0.08),
        dress=chance(rng, 0.16),
        sleeves=float(rng.choice([0.0, 0.35, 0.4, 0.95], p=[0.1, 0.2, 0.3, 0.4])),
        trousers=float(rng.choice([0.35, 0.5, 1.0], p=[0.15, 0.1, 0.75])),
        hair=str(hair),
        pattern=_print(rng) if chance(rng, 0.22) else None,
        light_pattern=chance(rng, 0.3),
    )


def _print(rng: Rng) -> Reals:
    """The print of a garment, a picture of the whole easel: 0 for its paint, 1 for the second one."""
    height, width = round((_EASEL[3] - _EASEL[1]) * UNIT), round((_EASEL[2] - _EASEL[0]) * UNIT)
    rows, columns = np.arange(height)[:, None] / np.float32(UNIT), np.arange(width)[None] / np.float32(UNIT)
    kind, pitch = rng.integers(5), rng.uniform(14, 30)
    if kind == 0:
        drawn = (np.sin(rows * pitch) > 0) | (columns < 0)
    elif kind == 1:
        drawn = (np.sin(columns * pitch) > 0) | (rows < 0)
    elif kind == 2:
        drawn = (np.sin(rows * 16) > 0.4) | (np.sin(columns * 16) > 0.4)
    elif kind == 3:
        drawn = fractal(rng, (height, width), cell=UNIT / 3, finest=4) > 0.15
    else:
        drawn = (rows > rng.uniform(4, 5)) | (columns < 0)
    return drawn.astype(np.float32)


def _legs(rng: Rng, parts: Body, build: _Build) -> None:
    size, cloth, skin = build.size, Surface(PURE[OTHER], grain=0.2), Surface(PURE[SKIN])
    if build.seated:
        parts.rings([(1.5 * size, 0.6, 0.45, 0.0), (0.0, 0.6, 0.45, 0.0)], Surface(PURE[SKIN] * 0.4))
    stride = rng.uniform(0.2, 1.0) * chance(rng, 0.5) * rng.choice([-1, 1])
    for side in (-1, 1):
        if build.seated:
            chain = [(0.36 * side, 1.75, 0), (0.42 * side, 1.9, 1.75), (0.4 * side, 0.2, 1.7)]
        else:
            step = stride * side
            chain = [(0.33 * side, 3.6, 0), (0.31 * side, 1.95, 0.5 * step + 0.1), (0.3 * side, 0.2, step - 0.1)]
        hip, knee, ankle = np.array(chain, np.float32) * size
        shoe = np.array([ankle, ankle + np.array([0.04 * side, -0.08, 0.38])]) * (1, 0.8, 1)
        parts.limb(shoe, (0.16, 0.15), Surface(_BLACK if side * stride > -2 and not build.dress else PURE[SKIN] * 0.5))
        parts.limb(np.array([knee, ankle]), (0.23, 0.15), cloth if build.trousers == 1 and not build.dress else skin)
        thigh = skin if build.dress or build.trousers < 0.4 else cloth
        parts.limb(np.array([hip, knee]), (0.38 * build.width, 0.25), thigh)
        if thigh is skin and not build.dress:  # shorts
            parts.limb(np.array([hip, hip + 0.6 * (knee - hip)]), (0.4 * build.width, 0.33), cloth)


def _arms(rng: Rng, parts: Body, build: _Build) -> None:
    size, sleeve, skin = build.size, _cloth(build), Surface(PURE[SKIN])
    base = 5.82 - 1.85 * build.seated
    for side in (-1, 1):
        shoulder = np.array([0.8 * side * build.width, base, 0])
        gesture = rng.choice(["down", "phone", "raised", "hip"], p=[0.62, 0.2, 0.06, 0.12])
        if build.seated:
            gesture = "phone"
        out = rng.uniform(0.02, 0.25)
        elbow, hand = {
            "down": ((out, -1.25, -0.1), (out + 0.05, -2.4, 0.15)),
            "phone": ((0.1, -1.15, 0.25), (-0.3, rng.uniform(-1.2, 0.2), 1.1)),
            "raised": ((0.35, 0.8, 0.35), (rng.uniform(-0.1, 0.6), 2.0, 0.5)),
            "hip": ((0.5, -1.0, -0.2), (0.0, -1.9, 0.25)),
        }[str(gesture)]
        joints = np.array(
            [shoulder, shoulder + np.array(elbow) * (side, 1, 1), shoulder + np.array(hand) * (side, 1, 1)]
        )
        joints *= size
        radii = (0.27, 0.2, 0.14)
        parts.limb(joints[1:], radii[1:], sleeve if build.sleeves > 0.9 else skin)
        if build.sleeves > 0:
            end = 1.0 if build.sleeves > 0.9 else 0.75
            parts.limb(np.array([joints[0], joints[0] + end * (joints[1] - joints[0])]), (0.29, 0.23), sleeve)
        parts.limb(joints[:2], radii[:2], sleeve if build.sleeves > 0.9 else skin)
        if gesture == "down" and chance(rng, 0.15):
            x, y, z = joints[2]
            bag = [(x, y - 0.1, z), (x, y - 1.1, z)]
            parts.limb(np.array(bag), (0.12, 0.45), Surface(_BAGS[rng.integers(len(_BAGS))]))


_BAGS = (_BLACK, PURE[OTHER] * 0.8, PURE[TOP] * 0.5 + PURE[OTHER] * 0.5, PURE[SKIN] * 1.2, PURE[SKIN] * 0.4)


def _cloth(build: _Build) -> Surface:
    second = PURE[SKIN] * 1.2 if build.light_pattern else PURE[OTHER]
    return Surface(PURE[TOP], grain=0.25, mix=build.pattern, second=second)


def _torso(rng: Rng, parts: Body, build: _Build) -> None:
    size, down = build.size, 1.85 * build.seated
    waist = 0.6 if build.dress else 0.7
    rings = [
        (6.18, 0.4, 0.27, 0.0),
        (6.02, 0.72, 0.33, 0.0),
        (5.6, 0.86, 0.42, 0.02),
        (5.0, 0.8, 0.46, 0.04),
        (4.35, waist, 0.42, 0.03),
        (3.5, 0.74, 0.46, 0.0),
    ]
    if build.dress and not build.seated:
        rings.append((rng.uniform(1.6, 2.6), 0.86, 0.62, 0.0))
    shaped = [((y - down) * size, w * build.width * size, d * size, f) for y, w, d, f in rings]
    parts.rings(shaped, _cloth(build))
    neck = np.array([[0, 5.95 - down, -0.04], [0, 6.45 - down, 0.06]]) * size
    parts.limb(neck, (0.27, 0.23), Surface(PURE[SKIN] * 0.72))
    if chance(rng, 0.18):  # a backpack, with its colour between those of the clothes
        pack = [(5.85, 0.4, 0.16, -0.5), (5.5, 0.56, 0.3, -0.62), (4.3, 0.58, 0.34, -0.64), (4.1, 0.5, 0.2, -0.55)]
        parts.rings(
            [((y - down) * size, w * size, d * size, f * size) for y, w, d, f in pack], Surface(_BAGS[rng.integers(4)])
        )
    elif chance(rng, 0.2):  # an open jacket
        panel = [(6.0, 0.16, 0.1, 0.26), (5.3, 0.22, 0.1, 0.42), (4.0, 0.26, 0.1, 0.4)]
        parts.rings(
            [((y - down) * size, w * size, d * size, f * size) for y, w, d, f in panel], Surface(PURE[SKIN] * 1.25)
        )
    if build.hair in ("long", "scarf", "hood"):
        length = rng.uniform(4.6, 5.7) if build.hair == "long" else 5.8
        wide = 0.4 if build.hair == "long" else 0.5
        mane = [(7.0, 0.42, 0.3, -0.12), (6.3, wide + 0.05, 0.26, -0.22), (length, wide, 0.16, -0.42)]
        parts.rings(
            [(y + (size - 1) * _NECK - down * size, w, d, f) for y, w, d, f in mane], Surface(PURE[HAIR], grain=0.35)
        )
