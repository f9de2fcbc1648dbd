"""SAM's image encoder for images of any size that is a multiple of its patch, loaded strictly from its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..arrays import Rgb
from ..bases.locate import RandomBase, resolve
from ..bases.weights import encoder_tensors, open_checkpoint
from ..errors import UsageError, did_you_mean
from .sam_attention import Attention
from .sam_config import CONFIGS, SamConfig
from .sam_parts import LayerNorm2d, MLPBlock, PatchEmbed, window_partition, window_unpartition
from .sam_positions import ResampledTables, resample

Positions = Literal["resample", "slice", "center"]


class Block(nn.Module):
    """A transformer block on tokens (B, H, W, C), inside windows or, with `window` 0, over the whole grid."""

    def __init__(self, config: SamConfig, window: int) -> None:
        super().__init__()
        side = window or config.span
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.attn = Attention(config.embed_dim, config.num_heads, (side, side))
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.mlp = MLPBlock(config.embed_dim, config.mlp_dim)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, H, W, C) -> (B, H, W, C)."""
        shortcut, size = x, x.shape[1:3]
        x = self.norm1(x)
        if self.window:
            # Padding comes after the norm and is attended to: SAM was trained that way.
            x, padded = window_partition(x, self.window)
            x = window_unpartition(self.attn(x), self.window, padded, size)
        else:
            x = self.attn(x)
        x = shortcut + x
        return x + self.mlp(self.norm2(x))


class SamEncoder(nn.Module):
    """SAM's image encoder: `segment_anything`'s module tree, parameter names and numbers in less time and memory.

    Args:
        config: the shape.
        positions: how the position tables serve images of another size than they were made for. "resample" stretches
            the absolute table over the image (bicubic, antialiased, as timm does) and the global blocks' relative ones
            over its sides, as SAM does. "slice" takes the top-left part of the absolute table and stretches the
            relative ones. "center" takes the middle of all of them: the image is seen as the middle of one of the
            tables' size, with the distances that pre-training saw. A table that an image exceeds is resampled.

    Attributes:
        out_channels: channels of the features, 256 in every published SAM.
        stride: pixels per feature cell, 16 in every published SAM.
        size_divisor: image sides must be multiples of it.
        level_channels: channels of each tensor that a call with `levels=True` returns.
        level_strides: pixels per cell of each, the features' own.
        mean, std: RGB statistics for images in [0, 1]: (image - mean) / std is what the encoder expects.
        gradient_checkpointing: recompute each block in the backward pass: more time, less memory.

    Raises:
        UsageError: an unknown `positions`.
    """

    # SAM's pixel_mean (123.675, 116.28, 103.53) and pixel_std (58.395, 57.12, 57.375), divided by 255.
    mean: Rgb = (0.485, 0.456, 0.406)
    std: Rgb = (0.229, 0.224, 0.225)

    def __init__(self, config: SamConfig, *, positions: Positions = "resample") -> None:
        super().__init__()
        if positions not in get_args(Positions):
            suggestion = did_you_mean(positions, get_args(Positions))
            raise UsageError(f"positions: expected 'resample', 'slice' or 'center', got '{positions}'.{suggestion}")
        self.config = config
        self.positions = positions
        self.out_channels = config.out_channels
        self.stride = self.size_divisor = config.patch
        self.level_channels = (*(config.embed_dim for _ in config.global_attn_indexes), config.out_channels)
        self.level_strides = (config.patch,) * len(self.level_channels)
        self.gradient_checkpointing = False
        self.resampled = ResampledTables()

        self.patch_embed = PatchEmbed(config.patch, config.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid, config.grid, config.embed_dim))
        windows = (0 if index in config.global_attn_indexes else config.window_size for index in range(config.depth))
        self.blocks = nn.ModuleList(Block(config, window) for window in windows)
        for block in self.blocks:
            cast(Block, block).attn.centred = positions == "center"
        self.neck = nn.Sequential(
            nn.Conv2d(config.embed_dim, config.out_channels, 1, bias=False),
            LayerNorm2d(config.out_channels),
            nn.Conv2d(config.out_channels, config.out_channels, 3, padding=1, bias=False),
            LayerNorm2d(config.out_channels),
        )

    @classmethod
    def from_checkpoint(cls, base: str | Path, *, positions: Positions = "resample") -> "SamEncoder":
        """Load an encoder, in float32, whatever dtype it is stored in.

        Args:
            base: a registered name ("sam_vit_b"), a repository of the hub ("hf:OWNER/NAME"), a .pth or .safetensors
                file in SAM's own naming, timm's or transformers' with or without SAM's decoder, or "random:CONFIG" /
                "random:CONFIG@SEED" for random weights ("random:tiny").
            positions: see `SamEncoder`.

        Raises:
            UsageError: the base is not here (the message says how to get it), is damaged, or is not a SAM encoder;
                every missing, unexpected and reshaped tensor is named.
        """
        found = resolve(base)
        if isinstance(found, RandomBase):
            if found.config not in CONFIGS:
                raise UsageError(
                    f"Unknown configuration '{found.config}' in '{base}'.{did_you_mean(found.config, CONFIGS)} "
                    f"Expected random:CONFIG or random:CONFIG@SEED with one of {', '.join(CONFIGS)}."
                )
            return cls.random(CONFIGS[found.config], found.seed, positions=positions)
        tensors = encoder_tensors(open_checkpoint(found), f"'{found}'")
        config = SamConfig.from_tensors(tensors, f"'{found}'")
        with torch.device("meta"):
            encoder = cls(config, positions=positions)
        try:
            # Assigned, not copied: float32 weights stay memory-mapped, so that processes on one machine share them.
            encoder.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
        except RuntimeError as error:
            raise UsageError(f"'{found}' is not SAM's image encoder: {' '.join(str(error).split())}") from error
        return encoder

    @classmethod
    def random(cls, config: SamConfig, seed: int = 0, *, positions: Positions = "resample") -> "SamEncoder":
        """Build an encoder with random weights, non-zero positions included; the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = cls(config, positions=positions)
            for name, parameter in encoder.named_parameters():
                if "pos" in name:
                    nn.init.trunc_normal_(parameter, std=0.02)
        return encoder

    def forward(self, images: Tensor, *, levels: bool = False) -> list[Tensor]:
        """Encode normalised images.

        Args:
            images: (B, 3, H, W) float, normalised with `mean` and `std`; H and W multiples of `size_divisor`.
            levels: return the outputs of the global blocks (B, embed_dim, H / stride, W / stride) before the features.

        Returns:
            The features (B, out_channels, H / stride, W / stride), last and by default alone.

        Raises:
            UsageError: images of another shape.
        """
        return self.forward_from(self.forward_until(images, 0, levels=levels), 0, levels=levels)

    def forward_until(self, images: Tensor, stop_before: int, *, levels: bool = False) -> list[Tensor]:
        """Run the part of the encoder that comes before a block; `forward_from` runs the rest.

        Args:
            images: as for `forward`.
            stop_before: a block, from 0, which leaves the position of every token, to the number of blocks, which
                leaves the neck.
            levels: keep what a call with `levels` returns of the part that is run.

        Returns:
            With `levels` the outputs of global blocks that are not the last one run, then the tokens that enter
            the block; each (B, embed_dim, H / stride, W / stride).

        Raises:
            UsageError: images of another shape.
        """
        state = self._through([self._embed(images)], range(stop_before), levels=levels)
        return [tokens.permute(0, 3, 1, 2) for tokens in state]

    def channels_until(self, stop_before: int, *, levels: bool = False) -> tuple[int, ...]:
        """Return the channels of each of `forward_until`'s outputs."""
        earlier = sum(index < stop_before - 1 for index in self.config.global_attn_indexes) if levels else 0
        return (self.config.embed_dim,) * (earlier + 1)

    def forward_from(self, state: Sequence[Tensor], stop_before: int, *, levels: bool = False) -> list[Tensor]:
        """Go on where `forward_until` stopped.

        Args:
            state: what it returned for the same `stop_before` and `levels`, or the same crop of each tensor.
            stop_before: where it stopped: the first block to run.
            levels: as for a call, which returns the same.
        """
        # Tokens out of a cache have their channels first in memory, in which every block would be slower.
        state = [tokens.permute(0, 2, 3, 1).contiguous() for tokens in state]
        state = self._through(state, range(stop_before, len(self.blocks)), levels=levels)
        *earlier, last = [tokens.permute(0, 3, 1, 2) for tokens in state]
        if levels and len(self.blocks) - 1 in self.config.global_attn_indexes:
            earlier.append(last)
        return [*earlier, self.neck(last)]

    def _through(self, state: list[Tensor], blocks: range, *, levels: bool) -> list[Tensor]:
        """Earlier levels and tokens (B, H, W, C) -> the same behind `blocks`."""
        *earlier, tokens = state
        for index in blocks:
            # A level joins only when it is left: until then it is the tokens themselves, and would be cached twice.
            if levels and index - 1 in self.config.global_attn_indexes:
                earlier.append(tokens)
            tokens = self._run(self.blocks[index], tokens)
        return [*earlier, tokens]

    def _embed(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> tokens with positions (B, H / stride, W / stride, embed_dim)."""
        shape = tuple(images.shape)
        if (
            len(shape) != 4
            or shape[1] != 3
            or 0 in shape
            or shape[2] % self.size_divisor
            or shape[3] % self.size_divisor
        ):
            raise UsageError(
                f"Expected images (B, 3, H, W) with H and W multiples of {self.size_divisor}, got {shape}. "
                "Pad or resize them first."
            )
        return self.patch_embed(images) + self._positions(shape[2] // self.stride, shape[3] // self.stride)

    def _positions(self, height: int, width: int) -> Tensor:
        """Absolute positions (1, height, width, embed_dim)."""
        table, grid = self.pos_embed, self.config.grid
        if height == width == grid:
            return table
        if self.positions != "resample" and max(height, width) <= grid:
            top, left = (0, 0) if self.positions == "slice" else ((grid - height) // 2, (grid - width) // 2)
            return table[:, top : top + height, left : left + width]
        # A trained table changes all the time and needs its gradient; a compiler sees no real tensors.
        if table.requires_grad or table.is_inference() or torch.compiler.is_compiling():
            return resample(table, (height, width))
        return self.resampled.get(table, (height, width))

    def _run(self, block: nn.Module, tokens: Tensor) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, tokens, use_reentrant=False)
        return block(tokens)
