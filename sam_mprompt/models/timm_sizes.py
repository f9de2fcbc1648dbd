"""Which image sizes a timm model takes, found by trying it on the meta device, where nothing is computed."""

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import UsageError

_FACTORS = (1, 2, 4, 7, 8)
"""What windows of a fixed number of tokens can ask for beyond the coarsest stride (7 and 8 are the usual ones)."""

_SIDES = (5, 7)
"""A size to try, in units of the divisor: odd, so that no other divisor passes by chance, and not square."""


def size_divisor_of(
    shape_only: Any, name: str, strides: Sequence[int], *, coarsest: int, trained: Sequence[int]
) -> int:
    """Return the smallest divisor with which a model takes images of any size.

    The coarsest level that is kept is not always enough: HRNet and Hiera go on to coarser ones inside.

    Args:
        shape_only: the feature model on the meta device.
        name: of the model, for messages.
        strides: of the levels that it returns.
        coarsest: stride of the coarsest level that it has inside.
        trained: (height, width) that its weights were made for.

    Raises:
        UsageError: the model takes images of its own size only.
    """
    shape_only.eval()
    for divisor in dict.fromkeys((max(strides), *(coarsest * factor for factor in _FACTORS))):
        if _takes(shape_only, (_SIDES[0] * divisor, _SIDES[1] * divisor), strides):
            return divisor
    height, width = trained
    if _takes(shape_only, (height, width), strides):
        raise UsageError(
            f"timm's '{name}' takes images of {height} x {width} pixels only, and a counter needs any size. Choose "
            "another as model.base, such as a ViT, Swin, HRNet or 'hieradet_small'."
        )
    return coarsest  # it cannot be tried without computing


def _takes(shape_only: Any, size: tuple[int, int], strides: Sequence[int]) -> bool:
    """Say whether images of a size come out as levels of the sizes that their strides promise."""
    try:
        with torch.no_grad():
            levels = shape_only(torch.empty(1, 3, *size, device="meta"))
    except (RuntimeError, AssertionError, ValueError, NotImplementedError):
        return False
    nhwc = str(getattr(shape_only, "output_fmt", "")).endswith("NHWC")
    sides = [tuple(level.shape[1:3] if nhwc else level.shape[2:]) for level in levels]
    return sides == [tuple(side // stride for side in size) for stride in strides]
