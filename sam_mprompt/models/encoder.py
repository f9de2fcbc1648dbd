"""What the counter asks of a backbone. Whoever adds one reads this file and nothing else.

An encoder is a `torch.nn.Module` that has what `Encoder` lists; `SamEncoder` and `TimmEncoder` are the two that there
are. Weights come in through its constructor, so that afterwards it is complete; it takes images of any size whose sides
are multiples of `size_divisor`, in any batch size, and computes in the dtype of its weights. It also keeps to this:

- its state dict's names never change, because saved adapters hold them;
- its transformer blocks, if it has any, are modules `blocks.N` that hold `attn` and `mlp` (and `norm1`, `norm2`), at
  any depth: this is where prompt modules and peft's methods are attached;
- nothing in it depends on the random state while it is frozen (no drop path), or cached features would not be its own.

Then `models/build.py` says which recipe makes it, and `recipe/model.py` what its recipe may say.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from torch import Tensor, nn

from ..arrays import Rgb
from ..errors import UsageError


class Encoder(Protocol):
    """Images in, features out.

    Attributes:
        out_channels: channels of the features.
        stride: pixels per side of a feature cell.
        size_divisor: image sides must be multiples of it; itself a multiple of `stride`.
        mean, std: statistics of the images that the weights were trained on, which are in [0, 1] before:
            (image - mean) / std is what the encoder expects.
        level_channels: channels of each tensor that a call with `levels=True` returns.
        level_strides: pixels per side of a cell of each of them.
    """

    out_channels: int
    stride: int
    size_divisor: int
    mean: Rgb
    std: Rgb
    level_channels: tuple[int, ...]
    level_strides: tuple[int, ...]

    def __call__(self, images: Tensor, *, levels: bool = False) -> list[Tensor]:
        """Encode normalised images (B, 3, H, W), H and W multiples of `size_divisor`.

        Args:
            images: float, normalised with `mean` and `std`.
            levels: return several depths, the shallowest first, each (B, level_channels[i], H / level_strides[i],
                W / level_strides[i]). Either all have the features' stride and the last one is the features, as
                `model.fuse_levels` needs them, or each has a stride of its own. `tuning.method = "side"` reads both.

        Returns:
            Without `levels` a list of one tensor, the features (B, out_channels, H / stride, W / stride).

        Raises:
            UsageError: images of another shape.
        """
        ...


class ResumableEncoder(Encoder, Protocol):
    """An encoder that can stop before a block and go on from there, so that what comes before is computed only once."""

    def forward_until(self, images: Tensor, stop_before: int, *, levels: bool = False) -> list[Tensor]:
        """Run what comes before block `stop_before`; what it returns is what `forward_from` takes."""
        ...

    def forward_from(self, state: Sequence[Tensor], stop_before: int, *, levels: bool = False) -> list[Tensor]:
        """Go on where `forward_until` stopped, and return what a call does."""
        ...

    def channels_until(self, stop_before: int, *, levels: bool = False) -> tuple[int, ...]:
        """Return the channels of each of `forward_until`'s tensors."""
        ...


def as_encoder(module: nn.Module) -> Encoder:
    """Return a module, as it is, under the type of what it can do: adapters around an encoder pass its attributes on.

    Raises:
        UsageError: it lacks something of `Encoder`.
    """
    if missing := [name for name in Encoder.__annotations__ if not hasattr(module, name)]:
        raise UsageError(
            f"{type(module).__name__} is no encoder: expected the attributes of models.encoder.Encoder, "
            f"and it has no {', '.join(missing)}."
        )
    return cast(Encoder, module)
