"""The shape of a SAM image encoder, given by hand or read from its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import RequestError


@dataclass(frozen=True)
class SamConfig:
    """The shape of a SAM image encoder; the defaults are SAM ViT-B.

    Attributes:
        dim: channels of a token.
        depth: number of blocks.
        heads: attention heads; `dim` is a multiple of it.
        global_blocks: indices of the blocks that attend over the whole image; the others attend inside windows.
        mlp_dim: hidden channels of a block's MLP, by default 4 * dim.
        out_channels: channels of the features.
        window: side of a window in tokens.
        grid: side of the absolute position table in tokens.
        span: side of the token grid that the global blocks' relative positions were made for, by default `grid`.
        patch: side of a token in pixels, the encoder's stride.

    Raises:
        RequestError: a value that no encoder can have.
    """

    dim: int = 768
    depth: int = 12
    heads: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    mlp_dim: int = 0
    out_channels: int = 256
    window: int = 14
    grid: int = 64
    span: int = 0
    patch: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "mlp_dim", self.mlp_dim or 4 * self.dim)
        object.__setattr__(self, "span", self.span or self.grid)
        sizes = {name: value for name, value in vars(self).items() if name != "global_blocks"}
        if wrong := [f"{name} = {value}" for name, value in sizes.items() if value < 1]:
            raise RequestError(f"SamConfig: expected positive sizes, got {', '.join(wrong)}.")
        if self.dim % self.heads:
            raise RequestError(f"SamConfig: expected dim to be a multiple of heads, got {self.dim} and {self.heads}.")
        if sorted(set(self.global_blocks) & set(range(self.depth))) != list(self.global_blocks):
            raise RequestError(
                f"SamConfig: expected ascending global_blocks from 0 to {self.depth - 1}, got {self.global_blocks}."
            )

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], source: str = "the state dict") -> "SamConfig":
        """Read the configuration from the shapes of an encoder's tensors (SAM's names, no prefix).

        A block with the shortest relative tables works in windows, any other is global. Where all tables are equally
        long, shapes alone cannot tell; tables that span the whole position grid are then taken as global, which at
        that size computes the same as one window that covers it.

        Raises:
            RequestError: a tensor that the configuration depends on is missing or has an impossible shape.
        """
        sides = {
            int(match[1]): (len(tensor) + 1) // 2
            for name, tensor in tensors.items()
            if (match := re.fullmatch(r"blocks\.(\d+)\.attn\.rel_pos_h", name))
        }
        try:
            dim, _, patch, _ = tensors["patch_embed.proj.weight"].shape
            _, grid, _, _ = tensors["pos_embed"].shape
            head_dim = tensors["blocks.0.attn.rel_pos_h"].shape[1]
            window = min(sides.values())
            spans = set(sides.values()) - {window} or {grid}
            return cls(
                dim=dim,
                depth=max(sides) + 1,
                heads=dim // head_dim,
                global_blocks=tuple(sorted(block for block, side in sides.items() if side in spans)),
                mlp_dim=tensors["blocks.0.mlp.lin1.weight"].shape[0],
                out_channels=tensors["neck.0.weight"].shape[0],
                window=window,
                grid=grid,
                span=max(spans),
                patch=patch,
            )
        except KeyError as error:
            raise RequestError(f"{source} is not SAM's image encoder: it has no tensor {error}.") from error
        except (ValueError, IndexError, ZeroDivisionError) as error:
            raise RequestError(
                f"{source} is not SAM's image encoder: its tensors have other shapes ({error})."
            ) from error


CONFIGS = {
    "tiny": SamConfig(dim=192, depth=9, heads=3, global_blocks=(2, 5, 8), span=28),
    "vit_b": SamConfig(),
    "vit_l": SamConfig(dim=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
    "vit_h": SamConfig(dim=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31)),
}
"""Configurations by name: "tiny" (5.6 M parameters), the bundled sam-tiny's, and those that SAM was published in."""
