"""Things that stand, lie and float among synthetic crowds, many of them about as large and round as a head."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...arrays import Reals
from .painting import Rng, chance, color
from .people import TILTS
from .stamps import CIRCLE, PAINTS, PURE, Body, Easel, Stamp, Surface, tilted, turned
from .wardrobe import hair_colors, skin_colors

VARIANTS = 4
"""Different stamps of each kind of prop."""

_DARK = PURE[0] * 0.12
_STONE, _METAL = Surface(PURE[1], grain=0.3), Surface(PURE[1], grain=0.05)
_EASEL = (-5.6, -9.0, 5.6, 5.6)


def _ball(body: Body, centre: tuple[float, float, float], radius: float, surface: Surface) -> None:
    body.limb(np.array([centre, centre]), (radius, radius), surface)


def _tube(body: Body, bottom: float, top: float, radius: float, surface: Surface, narrow: float = 1.0) -> None:
    body.rings([(bottom, radius, radius, 0.0), (top, radius * narrow, radius * narrow, 0.0)], surface)


def _loose_ball(rng: Rng, body: Body) -> None:
    radius = rng.uniform(0.35, 0.6)
    _ball(body, (0, radius, 0), radius, Surface(PURE[0], grain=rng.uniform(0, 0.4)))


def _stone(rng: Rng, body: Body) -> None:
    for _ in range(3):
        x, z = rng.normal(0, 0.18, 2)
        _ball(body, (x, 0.3, z), rng.uniform(0.3, 0.5), Surface(PURE[0], grain=0.6))


def _bollard(rng: Rng, body: Body) -> None:
    """A post with a round top: the prop most like a head on shoulders."""
    height = rng.uniform(1.2, 4.5)
    _tube(body, 0, height, rng.uniform(0.3, 0.75), _STONE, narrow=rng.uniform(0.5, 0.95))
    _ball(body, (0, height + 0.3, 0), rng.uniform(0.38, 0.55), Surface(PURE[0]))


def _lamp(rng: Rng, body: Body) -> None:
    height = rng.uniform(5.5, 8.0)
    _tube(body, 0, height, 0.1, _METAL)
    for side in (-1, 1) if chance(rng, 0.5) else (0,):
        body.limb(np.array([(0, height - 0.4, 0), (0.8 * side, height, 0)]), (0.07, 0.07), _METAL)
        _ball(
            body,
            (0.8 * side, height + 0.2, 0),
            rng.uniform(0.4, 0.55),
            Surface(PURE[0] * 1.25, relief=0.4, grain=0.0),
        )


def _bin(rng: Rng, body: Body) -> None:
    height, radius = rng.uniform(2.5, 4), rng.uniform(0.8, 1.2)
    _tube(body, 0, height, radius, Surface(PURE[2]), narrow=rng.uniform(0.85, 1.1))
    body.rings(
        [(height, radius * 0.7, radius * 0.7, 0.1), (height + 0.02, radius * 0.7, radius * 0.7, 0.1)], Surface(_DARK)
    )


def _planter(rng: Rng, body: Body) -> None:
    """A pot with a clipped bush, dark and round."""
    _tube(body, 0, 1.6, 0.6, _STONE, narrow=1.3)
    top = rng.uniform(2.0, 3.4)
    _tube(body, 1.5, top, 0.12, Surface(_DARK))
    for _ in range(7):
        x, y, z = rng.normal(0, 0.35, 3)
        _ball(body, (x, top + 0.6 + y, z), rng.uniform(0.35, 0.7), Surface(PURE[3], grain=0.8))


def _wheels(rng: Rng, body: Body) -> None:
    """A bicycle or scooter from the side."""
    radius = rng.uniform(0.8, 1.35)
    for x in (-1.9, 1.9):
        circle = np.stack([x + radius * CIRCLE[:, 0], 1.4 + radius * CIRCLE[:, 1], 0 * CIRCLE[:, 0]], 1)
        for a, b in zip(circle, np.roll(circle, 1, axis=0), strict=True):
            body.limb(np.array([a, b]), (0.13, 0.13), Surface(_DARK, relief=0.3))
    for a, b in (((-1.9, 1.4), (0, 3.0)), ((0, 3.0), (1.6, 2.9)), ((1.6, 2.9), (1.9, 1.4)), ((0, 3), (0.2, 1.3))):
        body.limb(np.array([(*a, 0.05), (*b, 0.05)]), (0.12, 0.12), Surface(PURE[2]))
    _ball(body, (0, 3.3, 0.1), 0.35, Surface(_DARK))


def _car(rng: Rng, body: Body) -> None:
    """Drawn at half its size."""
    paint, roof = Surface(PURE[2], grain=0.05), rng.uniform(2.7, 3.4)
    for x in (-1.85, 1.85):
        for z in (-3.1, 3.1):
            wheel = [(x, 0.75 + 0.75 * v, z + 0.75 * u) for u, v in CIRCLE]
            body.plate(np.array(wheel), Surface(_DARK, relief=0.4))
    body.rings([(0.5, 1.9, 4.8, 0.0), (1.9, 1.95, 4.8, 0.0)], paint, boxy=True)
    body.rings([(1.9, 1.8, 3.0, -0.4), (roof, 1.5, 2.0, -0.5)], Surface(_DARK, relief=0.5), boxy=True)
    body.rings([(roof, 1.5, 2.0, -0.5), (roof + 0.1, 1.45, 1.9, -0.5)], paint, boxy=True)


def _stall(rng: Rng, body: Body) -> None:
    """A market stall or a tent, drawn at half its size; it hides people."""
    width, depth, eaves = rng.uniform(2, 4.5), rng.uniform(1.5, 3), rng.uniform(3.6, 4.6)
    for x in (-width, width):
        for z in (-depth, depth):
            body.limb(np.array([(x, 0, z), (x, eaves, z)]), (0.07, 0.07), _METAL)
    body.rings([(0, width, 0.5, depth), (1.2, width, 0.5, depth)], Surface(PURE[3], relief=0.4), boxy=True)
    roof = [(eaves, width * 1.1, depth * 1.1, 0.0), (eaves + rng.uniform(0.4, 2), width * 0.3, depth * 0.3, 0.0)]
    body.rings(roof, Surface(PURE[2], relief=0.6, grain=0.1), boxy=True)


def _umbrella(rng: Rng, body: Body) -> None:
    """A parasol; it hides whoever stands below."""
    _tube(body, 0, 7.0, 0.08, _METAL)
    radius, rise = rng.uniform(1.8, 3.2), rng.uniform(0.6, 1.6)
    rings = [(7.0 + rise * (1 - r * r), radius * r, radius * r, 0.0) for r in (1.0, 0.8, 0.5, 0.1)]
    body.rings(rings, Surface(PURE[2], grain=0.2))


def _sign(rng: Rng, body: Body) -> None:
    """A post with a round plate at the height of heads or above."""
    height = rng.uniform(4.5, 8.0)
    _tube(body, 0, height, 0.1, _METAL)
    disc = np.stack([CIRCLE[:, 0], height + CIRCLE[:, 1], 0 * CIRCLE[:, 0] + 0.2], 1)
    radius = rng.uniform(0.45, 0.9)
    for share, paint in ((1.0, PURE[0]), (0.7, PURE[1] * 1.2)):
        plate = (disc - (0, height, 0)) * (radius * share) + (0, height, 0.2 / share)
        body.plate(plate, Surface(paint, relief=0, grain=0))


def _balloons(rng: Rng, body: Body) -> None:
    for _ in range(rng.integers(1, 5)):
        x, y, z = rng.normal(0, 0.6), rng.uniform(5, 8), rng.normal(0, 0.3)
        body.limb(np.array([(0, 3.5, 0), (x, y - 0.5, z)]), (0.02, 0.02), Surface(_DARK, relief=0))
        paint = PURE[rng.integers(PAINTS)] * 1.1
        body.limb(np.array([(x, y - 0.15, z), (x, y + 0.1, z)]), (0.42, 0.5), Surface(paint, grain=0))


def _parcel(rng: Rng, body: Body) -> None:
    """A suitcase, a crate or a bench."""
    width, height = rng.uniform(0.6, 2.5), rng.uniform(0.7, 2.5)
    body.rings([(0, width, 0.6, 0.0), (height, width, 0.6, 0.0)], Surface(PURE[2], relief=0.5), boxy=True)
    strap = [(height * share, width * 1.01, 0.62, 0.0) for share in (0.4, 0.55)]
    body.rings(strap, Surface(PURE[3], relief=0.2), boxy=True)


def _cone(rng: Rng, body: Body) -> None:
    _tube(body, 0, 0.15, 0.7, Surface(_DARK))
    _tube(body, 0.1, rng.uniform(2.2, 3.0), 0.5, Surface(PURE[2], grain=0.05), narrow=0.2)
    body.rings([(1.0, 0.36, 0.36, 0.02), (1.6, 0.27, 0.27, 0.02)], Surface(PURE[0] * 1.2, grain=0.05))


_KINDS: tuple[Callable[[Rng, Body], None], ...] = (
    *(_loose_ball, _stone, _bollard, _lamp, _bin, _planter, _wheels, _car),
    *(_umbrella, _sign, _balloons, _parcel, _cone, _stall),
)
_HALVED = (_car, _stall)
_HEADLIKE = 6  # of _KINDS, the first are those most easily taken for heads


@dataclass(frozen=True, slots=True)
class Prop:
    """A prop as a stamp whose origin is the point where it stands.

    Attributes:
        stamp: the cut-out.
        scale: head heights per unit of the stamp.
        colors: (4, 3), 0..255, for its paints.
    """

    stamp: Stamp
    scale: float
    colors: Reals


@lru_cache(maxsize=len(TILTS) * len(_KINDS) * VARIANTS)
def _stamp(tilt: int, kind: int, variant: int) -> Stamp:
    rng = np.random.default_rng([2406, tilt, kind, variant])
    easel = Easel(*_EASEL)
    view = tilted(TILTS[tilt]) @ turned(float(rng.uniform(-np.pi, np.pi)))
    body = Body(easel, view, np.zeros(3, np.float32))
    _KINDS[kind](rng, body)
    body.paint()
    return easel.stamp(0.0)


def random_props(rng: Rng, tilt: int, count: int) -> list[Prop]:
    """`count` props for a view; several of one kind and colour, as street furniture is, but at most two large ones."""
    props: list[Prop] = []
    large = 0
    while len(props) < count:
        kind = int(rng.integers(_HEADLIKE)) if chance(rng, 0.45) else int(rng.integers(len(_KINDS)))
        number, scale = int(rng.integers(1, 5)), rng.uniform(0.8, 1.2)
        if _KINDS[kind] in _HALVED:
            number, scale = min(number, 2 - large), 2.0
            large += number
        props += [Prop(_stamp(tilt, kind, int(rng.integers(VARIANTS))), scale, _colors(rng))] * number
    return props[:count]


def _colors(rng: Rng) -> Reals:
    """The first paint is often that of hair or skin, so that colour alone does not tell a head."""
    balls = (hair_colors(rng, 1)[0], skin_colors(rng, 1)[0], color(rng, saturation=0.4))
    stone, paint = color(rng, saturation=0.15, value=(0.2, 0.8)), color(rng, saturation=0.3)
    leaves = np.array([70, 95, 45]) * rng.uniform(0.3, 1.2)
    colors = [balls[rng.choice(3, p=(0.35, 0.15, 0.5))], stone, paint, leaves]
    return np.clip(np.stack(colors), 0, 255).astype(np.float32)
