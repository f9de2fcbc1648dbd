"""The colours of people in synthetic crowd scenes, 0..255 RGB: every crowd is its own mixture."""

import numpy as np

from ...arrays import Reals
from .painting import Rng, chance, color

_SKINS = ((236, 196, 172), (222, 176, 146), (198, 148, 116), (160, 112, 82), (116, 78, 56), (78, 52, 40))
_HAIRS = ((24, 21, 21), (38, 29, 25), (62, 43, 32), (104, 74, 48), (168, 134, 86), (150, 148, 146), (120, 48, 30))
_NEUTRALS = ((22, 22, 25), (34, 35, 42), (48, 44, 44), (224, 222, 218), (202, 206, 210), (150, 150, 150))
_COLORED = (
    *((34, 48, 86), (62, 92, 142), (120, 156, 196), (54, 110, 170), (74, 130, 140)),  # blues
    *((160, 36, 40), (196, 60, 52), (110, 32, 44), (214, 132, 146), (196, 92, 140)),  # reds, pinks
    *((206, 178, 84), (212, 120, 52), (150, 120, 82), (186, 168, 136), (98, 72, 54)),  # yellow, orange, browns
    *((66, 96, 62), (112, 130, 80), (84, 60, 112), (150, 128, 172), (46, 78, 72)),  # greens, violets
)


def outfits(rng: Rng, count: int) -> Reals:
    """Colours (count, 4, 3), 0..255, for the paints of `count` people of one crowd: skin, hair, top, other."""
    tops, others = cloth_colors(rng, count), cloth_colors(rng, count)
    darker = rng.random(count) < 0.55  # trousers are darker than shirts, mostly
    others[darker] = others[darker] * 0.45 * (0.8, 0.85, 1.1)
    if chance(rng, 0.15):  # supporters, pupils, pilgrims: many wear the same
        same = rng.random(count) < rng.uniform(0.4, 0.95)
        tops[same] = color(rng, saturation=0.5) * rng.uniform(0.85, 1.1, (int(same.sum()), 1))
    colors = np.stack([skin_colors(rng, count), hair_colors(rng, count), tops, others], 1)
    return np.clip(colors, 0, 255).astype(np.float32)


def skin_colors(rng: Rng, count: int) -> Reals:
    """Colours (count, 3) of skin, in the mixture of one crowd."""
    return _mixed(rng, _SKINS, count, rng.dirichlet(np.full(len(_SKINS), 0.5)))


def hair_colors(rng: Rng, count: int) -> Reals:
    """Colours (count, 3) of hair, in the mixture of one crowd."""
    return _mixed(rng, _HAIRS, count, rng.dirichlet((3, 3, 1.5, 0.7, 0.4, 0.3, 0.15)))


def _mixed(rng: Rng, colors: tuple[tuple[int, int, int], ...], count: int, weights: Reals) -> Reals:
    picked = np.array(colors, np.float32)[rng.choice(len(colors), count, p=weights)]
    return picked * rng.uniform(0.85, 1.12, (count, 1)) + rng.normal(0, 4, (count, 3))


def cloth_colors(rng: Rng, count: int) -> Reals:
    """Colours (count, 3) of clothes and hats: black, white, grey and coloured as on a street."""
    share = np.concatenate([np.full(3, 1.2), np.full(len(_NEUTRALS) - 3, 1.0), np.full(len(_COLORED), 0.25)])
    cloths = np.array(_NEUTRALS + _COLORED, np.float32)
    picked = cloths[rng.choice(len(cloths), count, p=rng.dirichlet(share))]
    return np.clip(picked * np.exp(rng.normal(0, 0.2, (count, 1))) + rng.normal(0, 9, (count, 3)), 8, 245)
