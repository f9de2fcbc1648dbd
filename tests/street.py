"""Samples and results as evaluation sees them, made by hand."""

import numpy as np
from PIL import Image

from sam_mprompt.counting.result import CountResult
from sam_mprompt.data.sample import Sample


def sample(name, heads, *, size=(64, 96), boxes=None, **attributes):
    points = None if heads is None else np.random.default_rng(0).uniform(0, 64, (heads, 2)).astype(np.float32)
    return Sample(name, size, points, boxes, attributes)


def result(count, *, size=(64, 96), mask_logits=None):
    density = np.full((8, 12), count / 96, np.float32)
    return CountResult(density, mask_logits, size, (8.0, 8.0))


def make_street(folder):
    """Five images with 0, 10, 200, 600 and an unknown number of heads; predictions by name."""
    heads = {"0007": 0, "0012": 10, "0040": 200, "0041": 600, "0050": None}
    attributes = {"0007": (0, "park"), "0012": (2, "park"), "0040": (2, "square"), "0041": (1, "square")}
    samples = []
    for name, actual in heads.items():
        path = folder / f"{name}.png"
        Image.fromarray(np.full((64, 96, 3), 90, np.uint8)).save(path)
        luminance, place = attributes.get(name, (1, "park"))
        samples.append(sample(path, actual, luminance=luminance, place=place, exposure=0.25))
    predicted = {"0007": 2, "0012": 12, "0040": 150, "0041": 604, "0050": 33.33333}
    return samples, lambda path: result(predicted[path.stem])
