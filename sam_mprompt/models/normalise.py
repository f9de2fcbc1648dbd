"""Batches of pixels that are on their device already, as the network wants them.

The same rule as counting's own (`counting/preprocess.py`, NumPy), to the last bit on a CPU: zeros after normalisation.
"""

from collections.abc import Sequence

from torch import Tensor


def normalise(images: Tensor, mean: Tensor, std: Tensor, sizes: Sequence[tuple[int, int]] | None = None) -> Tensor:
    """Return float32 (B, 3, H, W): (image / 255 - mean) / std, and zeros beyond each image's own size.

    Args:
        images: uint8 (B, 3, H, W).
        mean, std: statistics of images in [0, 1], of a shape that broadcasts, such as (3, 1, 1).
        sizes: (height, width) of each image without its padding at the bottom and right; None without any padding.
    """
    normalised = (images.float() / 255.0 - mean) / std
    for image, (height, width) in zip(normalised, sizes, strict=True) if sizes is not None else ():
        if (height, width) != image.shape[-2:]:
            image[:, height:] = 0
            image[:, :, width:] = 0
    return normalised
