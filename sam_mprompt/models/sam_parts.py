"""The small parts of SAM's image encoder: `segment_anything`'s, with its parameter names and numbers.

They are written out here because importing them imports torchvision, which takes longer than counting an image; tests
compare the encoder with `segment_anything`'s own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .frozen_layers import mlp


class MLPBlock(nn.Module):
    """Two linear layers around a GELU, (..., features) -> the same."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(features, hidden)
        self.lin2 = nn.Linear(hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens -> tokens."""
        return mlp(self.lin1, self.lin2, x)


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of maps (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Maps -> maps."""
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + self.eps)
        return self.weight[:, None, None] * scaled + self.bias[:, None, None]


class PatchEmbed(nn.Module):
    """Images (B, 3, H, W) -> tokens (B, H / patch, W / patch, features)."""

    def __init__(self, patch: int, features: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, features, patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        """Images -> tokens."""
        tokens: Tensor = self.proj(images)
        return tokens.permute(0, 2, 3, 1)


def window_partition(x: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut tokens (B, H, W, C), padded with zeros, into windows.

    Returns:
        Windows (B * windows, window, window, C), and height and width with the padding.
    """
    batch, height, width, channels = x.shape
    below, right = -height % window, -width % window
    if below or right:
        x = F.pad(x, (0, 0, 0, right, 0, below))
    rows, columns = (height + below) // window, (width + right) // window
    x = x.view(batch, rows, window, columns, window, channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, window, window, channels), (height + below, width + right)


def window_unpartition(windows: Tensor, window: int, padded: tuple[int, int], size: Sequence[int]) -> Tensor:
    """Put windows together again: tokens (B, *size, C), without the padding."""
    rows, columns, channels = padded[0] // window, padded[1] // window, windows.shape[-1]
    x = windows.view(-1, rows, columns, window, window, channels).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, *padded, channels)
    return x if padded == tuple(size) else x[:, : size[0], : size[1]].contiguous()
