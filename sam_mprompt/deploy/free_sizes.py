"""SAM's encoder for images of any size in one captured graph.

A capture follows one size through Python, and SAM's code decides by it: whether windows need padding, whether tables
of positions are resampled, whether an image is square. Here stand the same functions without a decision, so that one
graph holds for all sizes. Where a table needs no resampling, resampling changes nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models import sam_attention, sam_encoder
from ..models.sam_encoder import SamEncoder

_CUBIC = -0.5
"""The coefficient of torch's antialiased bicubic kernel."""


@contextmanager
def free_sizes() -> Iterator[None]:
    """Let SAM encoders be captured with free sides within the block. Not for several threads at a time."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(sam_encoder, "window_partition", partition_windows))
        stack.enter_context(patch.object(sam_encoder, "window_unpartition", join_windows))
        stack.enter_context(patch.object(sam_attention, "relative_positions", relative_positions))
        stack.enter_context(patch.object(SamEncoder, "_embed", _embed))
        yield


def partition_windows(x: Tensor, window: int) -> tuple[Tensor, tuple[Any, Any]]:
    """Tokens (B, H, W, C) -> windows (N, window, window, C), and height and width with padding.

    Sizes are written so that a capture sees without a proof that they fit: windows are counted, and padded sides are
    that number times `window`. With the remainder that SAM pads by, a capture takes four times as long.
    """
    batch, height, width, channels = x.shape
    rows, columns = (height + window - 1) // window, (width + window - 1) // window
    padded = rows * window, columns * window
    x = F.pad(x, (0, 0, 0, padded[1] - width, 0, padded[0] - height))
    x = x.view(batch, rows, window, columns, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(batch * rows * columns, window, window, channels), padded


def join_windows(windows: Tensor, window: int, padded: tuple[Any, Any], size: tuple[Any, Any]) -> Tensor:
    """Windows (N, window, window, C) -> tokens (B, *size, C) without the padding."""
    height, width = padded
    rows, columns, channels = height // window, width // window, windows.shape[-1]
    batch = windows.shape[0] // (rows * columns)
    x = windows.view(batch, rows, columns, window, window, channels)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)
    return x[:, : size[0], : size[1]]


def relative_positions(table: Tensor, size: Any, *, centred: bool = False) -> Tensor:
    """Return `sam_attention.relative_positions`: of a free size always resampled, of a window's only where needed."""
    if centred:  # sizes beyond the table are kept out by `capture`
        table = table[len(table) // 2 - size + 1 : len(table) // 2 + size]
    elif isinstance(size, torch.SymInt) or len(table) != 2 * size - 1:
        table = F.interpolate(table.float().T[None], size=2 * size - 1, mode="linear")[0].T.to(table.dtype)
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]


def absolute_positions(table: Tensor, height: Any, width: Any) -> Tensor:
    """Return `sam_positions.resample` of a table (1, G, G, C) as two products, (1, height, width, C)."""
    rows, columns = (_bicubic(size, table.shape[1]) for size in (height, width))
    return torch.einsum("hi,wj,ijc->hwc", rows, columns, table[0].float()).to(table.dtype)[None]


def _bicubic(size: Any, cells: int) -> Tensor:
    """Return the weights (size, cells) with which an antialiased bicubic resize reads an axis of `cells`."""
    scale = cells / size
    centres = (torch.arange(size, dtype=torch.float32) + 0.5) * scale
    x = ((torch.arange(cells, dtype=torch.float32) + 0.5)[None] - centres[:, None]).abs() / torch.sym_max(scale, 1.0)
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CUBIC
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(1, keepdim=True)


def _embed(encoder: SamEncoder, images: Tensor) -> Tensor:
    """As the encoder's own, whose sizes are checked before."""
    height, width = images.shape[2] // encoder.stride, images.shape[3] // encoder.stride
    table = encoder.pos_embed
    if encoder.positions != "resample":  # larger ones are kept out by `capture`
        centre, grid = encoder.positions == "center", encoder.config.grid
        top, left = ((grid - height) // 2, (grid - width) // 2) if centre else (0, 0)
        return encoder.patch_embed(images) + table[:, top : top + height, left : left + width]
    return encoder.patch_embed(images) + absolute_positions(table, height, width)
