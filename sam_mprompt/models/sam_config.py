"""The shape of a SAM image encoder, given by hand or read from its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import UsageError


@dataclass(frozen=True)
class SamConfig:
    """The shape of a SAM image encoder; the defaults are SAM ViT-B.

    Attributes:
        embed_dim: channels of a token.
        depth: number of blocks.
        num_heads: attention heads; `embed_dim` is a multiple of it.
        global_attn_indexes: indices of the blocks that attend over the whole image; the others attend inside windows.
        mlp_dim: hidden channels of a block's MLP, by default 4 * embed_dim.
        out_channels: channels of the features.
        window_size: side of a window in tokens.
        grid: side of the absolute position table in tokens.
        span: side of the token grid that the global blocks' relative positions were made for, by default `grid`.
        patch: side of a token in pixels, the encoder's stride.

    Raises:
        UsageError: a value that no encoder can have.
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    mlp_dim: int = 0
    out_channels: int = 256
    window_size: int = 14
    grid: int = 64
    span: int = 0
    patch: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "mlp_dim", self.mlp_dim or 4 * self.embed_dim)
        object.__setattr__(self, "span", self.span or self.grid)
        sizes = {name: value for name, value in vars(self).items() if name != "global_attn_indexes"}
        if wrong := [f"{name} = {value}" for name, value in sizes.items() if value < 1]:
            raise UsageError(f"SamConfig: expected positive sizes, got {', '.join(wrong)}.")
        if self.embed_dim % self.num_heads:
            raise UsageError(
                f"SamConfig: expected embed_dim, {self.embed_dim}, to be a multiple of num_heads, {self.num_heads}."
            )
        if sorted(set(self.global_attn_indexes) & set(range(self.depth))) != list(self.global_attn_indexes):
            raise UsageError(
                f"SamConfig: expected ascending global_attn_indexes from 0 to {self.depth - 1}, got "
                f"{self.global_attn_indexes}."
            )

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], source: str = "the state dict") -> "SamConfig":
        """Read the configuration from the shapes of an encoder's tensors (SAM's names, no prefix).

        A block with the shortest relative tables works in windows, any other is global. Where all tables are equally
        long, shapes alone cannot tell; tables that span the whole position grid are then taken as global, which at
        that size computes the same as one window that covers it.

        Raises:
            UsageError: a tensor that the configuration depends on is missing or has an impossible shape.
        """
        try:
            sides = {
                int(match[1]): (tensor.shape[0] + 1) // 2
                for name, tensor in tensors.items()
                if (match := re.fullmatch(r"blocks\.(\d+)\.attn\.rel_pos_h", name))
            }
            if sides and len(sides) <= max(sides):  # one name may claim any number of blocks
                raise ValueError(f"{len(sides)} tables of relative positions, the last one of block {max(sides)}")
            dim, _, patch, _ = tensors["patch_embed.proj.weight"].shape
            _, grid, _, _ = tensors["pos_embed"].shape
            head_dim = tensors["blocks.0.attn.rel_pos_h"].shape[1]
            window = min(sides.values())
            spans = set(sides.values()) - {window} or {grid}
            return cls(
                embed_dim=dim,
                depth=max(sides) + 1,
                num_heads=dim // head_dim,
                global_attn_indexes=tuple(sorted(block for block, side in sides.items() if side in spans)),
                mlp_dim=tensors["blocks.0.mlp.lin1.weight"].shape[0],
                out_channels=tensors["neck.0.weight"].shape[0],
                window_size=window,
                grid=grid,
                span=max(spans),
                patch=patch,
            )
        except KeyError as error:
            raise UsageError(f"{source} is not SAM's image encoder: it has no tensor {error}.") from error
        except (ValueError, IndexError, ZeroDivisionError) as error:
            raise UsageError(
                f"{source} is not SAM's image encoder: its tensors have other shapes ({error})."
            ) from error


CONFIGS = {
    "tiny": SamConfig(embed_dim=192, depth=9, num_heads=3, global_attn_indexes=(2, 5, 8), span=28),
    "slimsam-77": SamConfig(embed_dim=168, mlp_dim=696),
    "slimsam-50": SamConfig(embed_dim=384),
    "vit_b": SamConfig(),
    "vit_l": SamConfig(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23)),
    "vit_h": SamConfig(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31)),
}
"""Configurations by name: "tiny" (5.6 M parameters), the bundled sam-tiny's, SlimSAM's, and those of SAM itself."""
