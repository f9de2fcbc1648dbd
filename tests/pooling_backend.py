"""A backend of NumPy alone whose density is known, for the tests of counting."""

import numpy as np

MEAN, STD = (0.25, 0.5, 0.125), (0.5, 0.25, 0.125)
AS_IS = {"max_side": 10_000, "min_side": 1}


class PoolingBackend:
    """Its density is known: each pixel holds the mean absolute normalised value of its channels / 100 heads."""

    mean, std = MEAN, STD

    def __init__(self, *, stride=4, size_divisor=16):
        self.stride, self.size_divisor = stride, size_divisor
        self.batches = []

    def density(self, tiles):
        self.batches.append(tiles)
        pixels = np.abs(tiles.astype(np.float64)).mean(1) / 100
        count, height, width = pixels.shape
        cells = pixels.reshape(count, height // self.stride, self.stride, width // self.stride, self.stride)
        return cells.sum((2, 4)).astype(np.float32)

    def density_and_mask(self, tiles):
        density = self.density(tiles)
        return np.stack([density, density - 1], axis=1)


def known_density(image, stride):
    pixels = (np.abs(image / 255 - MEAN) / STD).mean(2) / 100
    height, width = pixels.shape
    pixels = np.pad(pixels, ((0, -height % stride), (0, -width % stride)))
    return pixels.reshape(pixels.shape[0] // stride, stride, -1, stride).sum((1, 3))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
