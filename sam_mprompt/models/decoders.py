"""The regressor and the segmenter, twins up to the last activation, and what brings features to their resolution."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..losses.counts import BinStatistics, BlockCounts

DECODER_CHANNELS = (128, 64, 32)


class ConvBlock(nn.Sequential):
    """Conv3x3-BN-ReLU: (B, in, h, w) -> (B, out, h/stride, w/stride)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def before_relu(self, x: Tensor) -> Tensor:
        """Return the block's output before its ReLU, (B, out, h, w), of both signs: what the gate needs."""
        return cast(Tensor, self[1](self[0](x)))


class ResidualBlock(ConvBlock):
    """A ConvBlock on top of what it gets: (B, C, h, w) -> the same."""

    def __init__(self, channels: int, *, dilation: int = 1) -> None:
        super().__init__(channels, channels, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus the block of x."""
        return x + super().forward(x)


class ReviveReLU(torch.autograd.Function):
    """ReLU whose gradient also reaches a negative input that the loss wants larger.

    A density is zero almost everywhere, so plain ReLU soon pushes every cell below zero, where no gradient comes back:
    the regressor is dead before it has found a head. Forward it is ReLU, exact zeros included, as the paper has it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Any shape -> the same, negative values zero."""
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Let through what a positive input gets, and what raises a negative one."""
        (x,) = ctx.saved_tensors
        return gradient * ((x > 0) | (gradient < 0))


class Decoder(nn.Module):
    """Three ConvBlocks to 128, 64 and 32 channels, then a 1x1 convolution to one map (paper section 3.1).

    Features are upsampled twofold (bilinear) before each of the last `upsample` blocks, so that the narrow blocks work
    at the fine resolution.

    Args:
        in_channels: channels of the encoder's features.
        upsample: number of twofold upsamplings, 0 to 3.
        stem_channels: channels of the high-resolution stem's features, which join the last block; 0 for none.
    """

    def __init__(self, in_channels: int, *, upsample: int = 0, stem_channels: int = 0) -> None:
        super().__init__()
        widths = (in_channels, *DECODER_CHANNELS)
        self.blocks = nn.ModuleList(ConvBlock(widths[i], widths[i + 1]) for i in range(len(DECODER_CHANNELS) - 1))
        self.last = ConvBlock(widths[-2] + stem_channels, widths[-1])
        self.first_upsampled = len(DECODER_CHANNELS) - upsample
        self.output: nn.Conv2d | None = nn.Conv2d(widths[-1], 1, 1)

    def trunk(self, features: Tensor, detail: Tensor | None = None) -> Tensor:
        """Features (B, C, h, w) -> (B, 32, h * 2**upsample, w * 2**upsample) before the last ReLU.

        `detail` (B, stem_channels, ...) is the stem's output at the head's own output resolution.
        """
        x = features
        for i, block in enumerate(cast(Sequence[ConvBlock], self.blocks)):
            x = block(self._upsampled(x, i))
        x = self._upsampled(x, len(self.blocks))
        return self.last.before_relu(x if detail is None else torch.cat([x, detail], dim=1))

    def _upsampled(self, x: Tensor, block: int) -> Tensor:
        if block < self.first_upsampled:
            return x
        return F.interpolate(x, scale_factor=2.0, mode="bilinear")


class BlockOutput(nn.Conv2d):
    """A 1x1 convolution to the distribution of each block's count: (B, C, h, w) -> (B, 1 + bins, h, w) logits.

    The first is that of emptiness, the others those of the bins of a count above zero. What the bins stand for is
    measured once (`begin`) and kept with the weights. Source: ZIP (https://arxiv.org/abs/2506.19955).

    Args:
        in_channels: of the features.
        bins: of a count above zero.

    Attributes:
        centres: (bins,), the count that each stands for.
    """

    centres: Tensor

    def __init__(self, in_channels: int, bins: int) -> None:
        super().__init__(in_channels, 1 + bins, 1)
        if not self.weight.is_meta:  # as in `CrowdCounter`
            nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.bias))
        self.register_buffer("centres", torch.arange(1, bins + 1, dtype=torch.float32))

    @torch.no_grad()
    def begin(self, seen: BinStatistics) -> None:
        """Start as what is known before any image is looked at: each block's expected count is the mean of all."""
        bias = cast(Tensor, self.bias)
        self.centres.copy_(torch.from_numpy(seen.centres))
        bias[0] = math.log(seen.emptiness) - math.log1p(-seen.emptiness)
        bias[1:] = torch.from_numpy(seen.frequencies).log()

    def counts(self, logits: Tensor) -> BlockCounts:
        """Return the distributions that logits (B, 1 + bins, h, w) stand for."""
        return BlockCounts(logits[:, :1], logits[:, 1:], self.centres)


class Stem(nn.Sequential):
    """A light trainable path from pixels to fine features: (B, 3, H, W) -> (B, channels, H/stride, W/stride).

    A stride-16 token covers several heads of a dense crowd; these features keep them apart. ResidualBlocks after the
    halvings, `blocks` of them, tell heads from what looks like them: their dilations of 1, 2 and 4 in turn see
    7 * stride pixels more to each side every three blocks.
    """

    def __init__(self, channels: int, *, stride: int, blocks: int = 0) -> None:
        halvings = stride.bit_length() - 1
        super().__init__(
            *(ConvBlock(3 if i == 0 else channels, channels, stride=2) for i in range(halvings)),
            *(ResidualBlock(channels, dilation=2 ** (i % 3)) for i in range(blocks)),
        )


class LevelFusion(nn.Module):
    """Adds features of several depths of the encoder to its last: list of (B, c_i, h, w) -> (B, C, h, w).

    Each earlier level passes a 1x1 convolution that starts at zero, so that fusion starts as the plain encoder.
    """

    def __init__(self, level_channels: Sequence[int]) -> None:
        super().__init__()
        *earlier, last = level_channels
        self.out_channels = last
        self.projections = nn.ModuleList(nn.Conv2d(c, last, 1) for c in earlier)
        for projection in self.projections:
            nn.init.zeros_(cast(nn.Conv2d, projection).weight)
            nn.init.zeros_(cast(Tensor, cast(nn.Conv2d, projection).bias))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Sum the projected levels; all share one height and width."""
        *earlier, last = levels
        return last + sum(p(x) for p, x in zip(self.projections, earlier, strict=True))


class SideNetwork(nn.Module):
    """A light ladder beside a frozen encoder: list of (B, c_i, h, w) -> (B, C, h, w), C the last level's channels.

    Each rung brings one level to `width` channels, adds it to what came from the rung before, and passes a
    ResidualBlock. The sum with the last level starts as that level. Nothing flows back through the encoder, whose
    outputs can therefore be computed once. Source: Ladder Side-Tuning, Sung et al. 2022 (https://arxiv.org/abs/2206.06522).
    """

    def __init__(self, level_channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.out_channels = level_channels[-1]
        self.inputs = nn.ModuleList(nn.Conv2d(c, width, 1) for c in level_channels)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in level_channels)
        self.output = nn.Conv2d(width, level_channels[-1], 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(cast(Tensor, self.output.bias))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Climb the ladder; all levels share one height and width."""
        x: Tensor | float = 0.0
        for project, block, level in zip(self.inputs, self.blocks, levels, strict=True):
            x = block(x + project(level))
        return levels[-1] + self.output(x)


class PyramidSideNetwork(nn.Module):
    """A light ladder beside a frozen pyramid: list of (B, c_i, H/s_i, W/s_i) -> (B, width, H/stride, W/stride).

    It climbs from the coarsest level to the finest, so that what is known of the surroundings reaches the details. Each
    rung brings its level to `width` channels, adds it to what came from the rung before, stretched to its size, and
    passes a ResidualBlock. A level finer than `stride` is read in patches that make one cell, so that nothing of it is
    averaged away. The normalisation after each projection takes the levels' different scales off them.

    Args:
        level_channels: of each level, the finest first.
        level_strides: pixels per cell of each, each a multiple of the one before.
        stride: pixels per cell of the result.
        width: channels of the ladder.

    Attributes:
        out_channels: of the result.
    """

    def __init__(self, level_channels: Sequence[int], level_strides: Sequence[int], *, stride: int, width: int) -> None:
        super().__init__()
        self.out_channels = width
        patches = [max(1, stride // own) for own in level_strides]
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, patch, patch, bias=False), nn.BatchNorm2d(width))
            for c, patch in zip(level_channels, patches, strict=True)
        )
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in level_channels)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Climb the ladder."""
        x: Tensor | None = None
        for project, block, level in reversed(list(zip(self.inputs, self.blocks, levels, strict=True))):
            rung = project(level)
            if x is not None:
                rung = rung + F.interpolate(x, rung.shape[-2:], mode="bilinear")
            x = block(rung)
        assert x is not None, "an encoder has at least one level"
        return x
