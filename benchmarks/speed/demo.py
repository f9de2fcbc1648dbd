"""The bundled demo adapter on images of any size: what several measurements count with."""

import numpy as np

import sam_mprompt
from sam_mprompt.counting.counter import load
from sam_mprompt.counting.predict import predict_density
from sam_mprompt.counting.torch_backend import TorchBackend
from sam_mprompt.geometry import Geometry


def demo() -> sam_mprompt.Counter:
    """Return the counter, on the CPU."""
    return load("adapters/demo", device="cpu")


def count_tiles(counter: sam_mprompt.Counter, image: np.ndarray, tile: int = 896) -> float:
    """Count a uint8 image (H, W, 3) at its own resolution in tiles of some side that overlap by 112 pixels."""
    geometry = Geometry(max_side=20_000, min_side=224, tile=tile, overlap=112, tile_step=224)
    return float(predict_density(TorchBackend(counter.model, "cpu"), image, geometry).count)


def noise(height: int, width: int) -> np.ndarray:
    """Return a uint8 image (H, W, 3) of noise: what is in an image changes neither time nor memory."""
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
