"""How many people stand where: groups, queues, rows, dense and empty areas, in perspective."""

import numpy as np
from numpy.typing import NDArray

from ...arrays import Reals
from .painting import Rng, fractal
from .scenery import View


def gathering(rng: Rng, view: View, wanted: int) -> Reals:
    """Where people stand: (x, y) of adults' heads, float (N, 2) with N <= `wanted`, most of them inside the image.

    Of the places of a crowd that fills all ground those are taken where a random field is highest.
    """
    packed, rows = _packed(rng, view)
    stray = rng.choice([0.02, 0.3, 1.5]) * rng.random(len(packed))
    return packed[np.argsort(-_attraction(rng, view, packed, rows) - stray, kind="stable")[:wanted]]


def _packed(rng: Rng, view: View) -> tuple[Reals, NDArray[np.intp]]:
    """Places (N, 2) of a crowd that fills all ground, as close as shoulders allow, and the row (N,) of each."""
    across, along = rng.uniform(1.25, 2.3), rng.uniform(1.5, 3.0)  # head heights between neighbours and between rows
    loose = rng.choice([0.15, 0.5])
    rows, y = [], view.top
    while y < view.size[0] + view.near / 2:
        unit = float(view.head(np.array(y)))
        x = np.arange(-rng.random() * across * unit, view.size[1], across * unit)
        step = along * view.slope(y + view.body * unit) * unit
        shift = rng.uniform(-loose, loose, (len(x), 2)) * (across * unit, step)
        rows.append(np.stack([x, np.full(len(x), y)], 1) + shift)
        y += max(step, 0.45 * unit)
    return np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(row) for row in rows])


def _attraction(rng: Rng, view: View, places: Reals, rows: NDArray[np.intp]) -> Reals:
    """How much each place (N,) draws people, about 0..1: to groups, a front, a queue, seats, everywhere alike."""
    height, width = view.size
    u, v = places[:, 0] / width, places[:, 1] / height
    kind = rng.choice(["even", "patches", "groups", "front", "queue", "rows"], p=[0.15, 0.25, 0.25, 0.15, 0.1, 0.1])
    if kind == "patches":
        field = fractal(rng, (64, 64), cell=rng.uniform(12, 48), finest=4)
        return field[np.clip(v * 64, 0, 63).astype(int), np.clip(u * 64, 0, 63).astype(int)] * 0.5 + 0.5
    if kind == "groups":
        centres = places[rng.integers(0, len(places), rng.integers(1, 30))]
        apart = (places[:, None] - centres[None]) / view.head(places[:, 1])[:, None, None]
        away = np.hypot(apart[..., 0], apart[..., 1]).min(1)
        return np.exp(-away / rng.uniform(1.5, 8))
    if kind == "front":
        angle = rng.choice([np.pi / 2, -np.pi / 2, rng.uniform(-np.pi, np.pi)])
        return np.cos(angle) * (u - 0.5) + np.sin(angle) * (v - 0.5) + 0.5
    if kind == "queue":
        bend, slant, start = rng.uniform(-0.4, 0.4), rng.uniform(-1.5, 1.5), rng.uniform(0.1, 0.9)
        return np.exp(-np.abs(u - start - slant * (v - 0.5) - bend * np.sin(v * 6)) / rng.uniform(0.01, 0.06))
    if kind == "rows":
        return (rows % rng.integers(2, 5) == 0) + 0.2 * u * rng.choice([-1, 1])
    return np.zeros(len(places))
