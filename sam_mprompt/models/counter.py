"""The crowd counter: encoder, regressor and, while training, the segmenter. The one forward to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..losses import BlockCounts
from ..recipe.model import SamModel, TimmModel
from .decoders import BlockOutput, Decoder, LevelFusion, PyramidSideNetwork, ReviveReLU, SideNetwork, Stem
from .encoder import Encoder, ResumableEncoder, as_encoder
from .normalise import normalise


@dataclass(frozen=True)
class CounterOutput:
    """What the counter predicts; both maps are (B, 1, h, w) on cells of `stride` pixels.

    Attributes:
        density: non-negative, heads per cell; its sum is the number of heads.
        mask_logits: head region logits, or None without a segmenter.
        counts: the distribution whose mean the density is, of a counter that predicts one.
    """

    density: Tensor
    mask_logits: Tensor | None
    counts: BlockCounts | None = None


class CrowdCounter(nn.Module):
    """A frozen or trainable encoder with a density regressor and, during training, a segmenter.

    Args:
        encoder: a module that is an `models.encoder.Encoder`, with or without adapters.
        recipe: density stride, fusion, stem and gate.
        segmenter: build the segmenter branch.
        side: width of a side network on several depths, 0 for none.
        bins: of the distribution that is predicted for each cell, 0 for a density alone.

    Raises:
        UsageError: a density stride that does not divide the encoder's, or is more than eight times finer; depths to be
            fused of an encoder that has them at several resolutions; a module that is no encoder.
    """

    def __init__(
        self, encoder: nn.Module, recipe: SamModel | TimmModel, *, segmenter: bool, side: int = 0, bins: int = 0
    ) -> None:
        super().__init__()
        features = as_encoder(encoder)
        ratio = features.stride / recipe.density_stride
        if ratio not in (1, 2, 4, 8):
            raise UsageError(
                f"model.density_stride: expected 1, 1/2, 1/4 or 1/8 of the encoder's stride {features.stride}, "
                f"got {recipe.density_stride}."
            )
        self.encoder = encoder
        self.stride = recipe.density_stride
        self.size_divisor = features.size_divisor
        self.gate = recipe.gate
        self.fusion: SideNetwork | PyramidSideNetwork | LevelFusion | None = None
        if side:
            self.fusion = _side_network(features, side)
        elif isinstance(recipe, SamModel) and recipe.fuse_levels:
            self.fusion = _level_fusion(features)
        channels = features.out_channels if self.fusion is None else self.fusion.out_channels
        self.stem: nn.Module | None = None
        if recipe.stem_channels:
            self.stem = Stem(recipe.stem_channels, stride=self.stride, blocks=recipe.stem_blocks)
        upsample = int(ratio).bit_length() - 1
        self.regressor = Decoder(channels, upsample=upsample, stem_channels=recipe.stem_channels)
        # A first density of the right size: torch's own start is tens of heads too many in every crop.
        output = cast(nn.Conv2d, self.regressor.output)
        if not output.weight.is_meta:  # where it is only measured: torch would import its compiler, for seconds
            nn.init.normal_(output.weight, std=0.01)
        nn.init.constant_(cast(Tensor, output.bias), 0.01)
        if bins:
            self.regressor.output = BlockOutput(output.in_channels, bins)
        needed = segmenter or self.gate == "segmenter"
        self.segmenter: Decoder | None = None
        if needed:
            self.segmenter = Decoder(channels, upsample=upsample, stem_channels=recipe.stem_channels)
        self.register_buffer("mean", torch.tensor(features.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(features.std).view(1, 3, 1, 1), persistent=False)
        if not segmenter:
            self.strip_segmenter()

    @property
    def predicts_masks(self) -> bool:
        """Whether the segmenter is there with its output, and not just its trunk as the gate."""
        return self.segmenter is not None and self.segmenter.output is not None

    def normalise(self, images: Tensor, sizes: Sequence[tuple[int, int]] | None = None) -> Tensor:
        """Return float32 images as the encoder's checkpoint expects them, from uint8 (B, 3, H, W) in 0..255.

        `sizes` are their (height, width) without padding, which becomes zero; None where nothing is padded.
        """
        return normalise(images, cast(Tensor, self.mean), cast(Tensor, self.std), sizes)

    def encode(self, images: Tensor, stop_before: int | None = None) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> the encoder's features that are used, each (B, c_i, H/s, W/s).

        `stop_before` stops a resumable encoder before that block: what its `forward_until` returns.
        """
        levels = self.fusion is not None
        if stop_before is None:
            return cast(Encoder, self.encoder)(images, levels=levels)
        return cast(ResumableEncoder, self.encoder).forward_until(images, stop_before, levels=levels)

    def forward(
        self, images: Tensor, encoded: Sequence[Tensor] | None = None, stop_before: int | None = None
    ) -> CounterOutput:
        """Normalised images (B, 3, H, W), both sides multiples of `size_divisor` -> density and mask logits.

        `encoded` is what `encode` returned for them and the same `stop_before` earlier, where that is known; the
        encoder then runs from there on only.
        """
        if encoded is None:
            levels = self.encode(images)
        elif stop_before is None:
            levels = [*encoded]
        else:
            encoder = cast(ResumableEncoder, self.encoder)
            levels = encoder.forward_from(encoded, stop_before, levels=self.fusion is not None)
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
                return self._counted(x, mask_logits)
        return self._counted(F.relu(x), mask_logits)

    def _counted(self, features: Tensor, mask_logits: Tensor | None) -> CounterOutput:
        """Regressor features (B, 32, h, w) -> non-negative heads per cell, and the distribution that they come from."""
        output = cast(nn.Conv2d, self.regressor.output)
        x = output(features)
        if isinstance(output, BlockOutput):
            counts = output.counts(x)
            return CounterOutput(counts.density, mask_logits, counts)
        return CounterOutput(cast(Tensor, ReviveReLU.apply(x)) if self.training else F.relu(x), mask_logits)

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


def _side_network(encoder: Encoder, width: int) -> SideNetwork | PyramidSideNetwork:
    """Return the ladder for an encoder's depths, of one resolution or of several."""
    if {*encoder.level_strides} == {encoder.stride} and encoder.level_channels[-1] == encoder.out_channels:
        return SideNetwork(encoder.level_channels, width)
    return PyramidSideNetwork(encoder.level_channels, encoder.level_strides, stride=encoder.stride, width=width)


def _level_fusion(encoder: Encoder) -> LevelFusion:
    """Return the fusion of an encoder's depths. Raises UsageError when they do not share the features' resolution."""
    if encoder.level_channels[-1] != encoder.out_channels:
        raise UsageError(
            "model.fuse_levels expects depths of one resolution, as a SAM encoder has; this encoder has "
            f"{len(encoder.level_channels)} of several, and joins them by itself."
        )
    return LevelFusion(encoder.level_channels)
