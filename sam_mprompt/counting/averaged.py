"""Means of densities: of several networks, and of an image with its mirror image. Free of torch."""

import math
from collections.abc import Sequence

import numpy as np

from ..arrays import FloatArray, Rgb
from ..errors import UsageError
from .backend import DensityBackend


class Mirrored:
    """A network that also sees each tile mirrored left to right, and gives the mean of the two densities.

    It takes twice the time. What a network gets wrong by chance of place differs between the two, and halves at best.

    Args:
        backend: the network.
    """

    def __init__(self, backend: DensityBackend) -> None:
        self._backend = backend
        self.stride, self.size_divisor = backend.stride, backend.size_divisor
        self.mean: Rgb = backend.mean
        self.std: Rgb = backend.std

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell, as the network does. Raises RunError where the memory is not enough."""
        mirrored = self._backend.density(np.ascontiguousarray(tiles[..., ::-1]))[..., ::-1]
        return ((self._backend.density(tiles) + mirrored) / 2).astype(np.float32)


class Averaged:
    """Several networks that see the same tiles; gives the mean of their densities.

    Args:
        backends: of one stride and one normalisation; sides of tiles are multiples of all their divisors.

    Raises:
        UsageError: no network, or networks of different strides or normalisations.
    """

    def __init__(self, backends: Sequence[DensityBackend]) -> None:
        if not backends:
            raise UsageError("Expected at least one network to average, got none.")
        first = self._first = backends[0]
        for other in backends[1:]:
            for name in ("stride", "mean", "std"):
                expected, got = getattr(first, name), getattr(other, name)
                if expected != got:
                    raise UsageError(
                        f"Only networks that see images alike can be averaged: expected {name} {expected} as of the "
                        f"first, got {got}."
                    )
        self._backends = tuple(backends)
        self.stride, self.size_divisor = first.stride, math.lcm(*(one.size_divisor for one in backends))
        self.mean: Rgb = first.mean
        self.std: Rgb = first.std

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell, the mean. Raises RunError where the memory is not enough."""
        total = self._first.density(tiles).astype(np.float64)
        for backend in self._backends[1:]:
            total += backend.density(tiles)
        return (total / len(self._backends)).astype(np.float32)
