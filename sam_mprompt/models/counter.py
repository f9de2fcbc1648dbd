"""The crowd counter: encoder, regressor and, while training, the segmenter. The one forward to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..recipe.model import SamModel, TimmModel
from .decoders import Decoder, LevelFusion, ReviveReLU, SideNetwork, Stem


@dataclass(frozen=True)
class CounterOutput:
    """What the counter predicts; both maps are (B, 1, h, w) on cells of `stride` pixels.

    Attributes:
        density: non-negative, heads per cell; its sum is the number of heads.
        mask_logits: head region logits, or None without a segmenter.
    """

    density: Tensor
    mask_logits: Tensor | None


class CrowdCounter(nn.Module):
    """A frozen or trainable encoder with a density regressor and, during training, a segmenter.

    Args:
        encoder: maps normalised images (B, 3, H, W) to features (B, C, H/stride, W/stride); has `out_channels`,
            `stride`, `size_divisor`, `mean` and `std`, and to use several depths `level_channels` and `forward_levels`.
        recipe: density stride, fusion, stem and gate.
        segmenter: build the segmenter branch.
        side: width of a side network on several depths, 0 for none.

    Raises:
        UsageError: a density stride that does not divide the encoder's, or is more than eight times finer.
    """

    def __init__(self, encoder: nn.Module, recipe: SamModel | TimmModel, *, segmenter: bool, side: int = 0) -> None:
        super().__init__()
        features = cast(Any, encoder)
        ratio = features.stride / recipe.density_stride
        if ratio not in (1, 2, 4, 8):
            raise UsageError(
                f"model.density_stride: expected 1, 1/2, 1/4 or 1/8 of the encoder's stride {features.stride}, "
                f"got {recipe.density_stride}."
            )
        self.encoder = encoder
        self.stride = recipe.density_stride
        self.size_divisor = int(features.size_divisor)
        self.gate = recipe.gate
        self.fusion: nn.Module | None = None
        if side:
            self.fusion = SideNetwork(_levels_of(encoder), side)
        elif isinstance(recipe, SamModel) and recipe.fuse_levels:
            self.fusion = LevelFusion(_levels_of(encoder))
        self.stem: nn.Module | None = None
        if recipe.stem_channels:
            self.stem = Stem(recipe.stem_channels, stride=self.stride, blocks=recipe.stem_blocks)
        upsample = int(ratio).bit_length() - 1
        channels = int(features.out_channels)
        self.regressor = Decoder(channels, upsample=upsample, stem_channels=recipe.stem_channels)
        # A first density of the right size: torch's own start is tens of heads too many in every crop.
        output = cast(nn.Conv2d, self.regressor.output)
        nn.init.normal_(output.weight, std=0.01)
        nn.init.constant_(cast(Tensor, output.bias), 0.01)
        needed = segmenter or self.gate == "segmenter"
        self.segmenter = Decoder(channels, upsample=upsample, stem_channels=recipe.stem_channels) if needed else None
        self.register_buffer("mean", torch.tensor(features.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(features.std).view(1, 3, 1, 1), persistent=False)
        if not segmenter:
            self.strip_segmenter()

    def normalise(self, images: Tensor) -> Tensor:
        """Return float32 images as the encoder's checkpoint expects them, from uint8 (B, 3, H, W) in 0..255."""
        return (images.float() / 255.0 - cast(Tensor, self.mean)) / cast(Tensor, self.std)

    def encode(self, images: Tensor, until: int | None = None) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> the encoder's features that are used, each (B, c_i, H/s, W/s).

        `until` stops a SAM encoder before that block: what `SamEncoder.forward_until` returns.
        """
        encoder, levels = cast(Any, self.encoder), self.fusion is not None
        if until is not None:
            return encoder.forward_until(images, until, levels=levels)
        return encoder.forward_levels(images) if levels else [encoder(images)]

    def forward(
        self, images: Tensor, encoded: Sequence[Tensor] | None = None, until: int | None = None
    ) -> CounterOutput:
        """Normalised images (B, 3, H, W), both sides multiples of `size_divisor` -> density and mask logits.

        `encoded` is what `encode` returned for them and the same `until` before, where that is known; the encoder then
        runs from there on only.
        """
        if encoded is None:
            levels = self.encode(images)
        elif until is None:
            levels = [*encoded]
        else:
            levels = cast(Any, self.encoder).forward_from(encoded, until, levels=self.fusion is not None)
        features = self.fusion(levels) if self.fusion is not None else levels[-1]
        detail = self.stem(images) if self.stem is not None else None
        x = self.regressor.trunk(features, detail)
        mask_logits = None
        if self.segmenter is not None:
            context = self.segmenter.trunk(features, detail)
            if self.segmenter.output is not None:
                mask_logits = self.segmenter.output(F.relu(context))
            if self.gate == "segmenter":
                # Before its ReLU the context has both signs, so that the gate reaches 0 as well as 1.
                x = torch.sigmoid(context) * F.relu(x)
                return CounterOutput(self.density(x), mask_logits)
        return CounterOutput(self.density(F.relu(x)), mask_logits)

    def density(self, features: Tensor) -> Tensor:
        """Regressor features (B, 32, h, w) -> non-negative heads per cell (B, 1, h, w)."""
        x = cast(nn.Conv2d, self.regressor.output)(features)
        return cast(Tensor, ReviveReLU.apply(x)) if self.training else F.relu(x)

    def strip_segmenter(self) -> None:
        """Drop what only training needs: the segmenter, or just its mask convolution when its trunk is the gate."""
        if self.gate == "none":
            self.segmenter = None
        elif self.segmenter is not None:
            self.segmenter.output = None

    def decoder_state(self) -> dict[str, Tensor]:
        """Return the tensors outside the encoder that counting needs, by name (the stripped segmenter left out)."""
        kept = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("encoder.")}
        if self.gate == "none":
            return {name: tensor for name, tensor in kept.items() if not name.startswith("segmenter.")}
        return {name: tensor for name, tensor in kept.items() if not name.startswith("segmenter.output.")}


def _levels_of(encoder: nn.Module) -> list[int]:
    """Channels of an encoder's depths. Raises UsageError when it has one depth only."""
    levels = getattr(encoder, "level_channels", None)
    if levels is None or not hasattr(encoder, "forward_levels"):
        raise UsageError(
            f"{type(encoder).__name__} gives features of one depth: model.fuse_levels and tuning.method = 'side' need "
            "a SAM encoder."
        )
    return list(levels)
