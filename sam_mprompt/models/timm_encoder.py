"""Any timm backbone as the encoder: the paper's HRNet-W40, VGG19 and Swin among them."""

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError, did_you_mean

_FINEST = 4
_OPTIONS: dict[str, dict[str, Any]] = {
    # "": the branches themselves, as the paper joins them, not those widened for classification.
    "hrnet": {"feature_location": ""},
    # Any image size; a frozen encoder should give the same features in every step.
    "swin_": {"strict_img_size": False, "drop_path_rate": 0.0},
    "swinv2_": {"strict_img_size": False, "drop_path_rate": 0.0},
}
"""What timm models are created with, by the start of their name."""


class TimmEncoder(nn.Module):
    """A timm model's feature maps, brought to one resolution and concatenated ("C" in HRNet-W40-C).

    Args:
        name: a timm model name, such as "hrnet_w40".
        pretrained: load timm's published weights (downloads them once).
        join: pixels per cell at which the levels are joined, or the model's finest kept level (stride 4) where that is
            coarser. Finer levels are averaged, coarser ones interpolated.
        levels: strides of the levels to keep; empty for all from stride 4 on. What lies behind the last is left out.
        stem_stride: of the second convolution of HRNet's stem. 1 doubles the resolution of all levels, as in the
            paper's released code; 2 is what HRNet was pre-trained with. Other models have 2.

    Attributes:
        out_channels: sum of the levels' channels.
        stride: pixels per feature cell.
        size_divisor: image sides must be multiples of it, the coarsest level's stride.
        mean, std: RGB statistics that the weights expect, for images in [0, 1].

    Raises:
        UsageError: unknown model, no feature maps at the wanted strides, weights that cannot be fetched, or a stem
            that cannot be changed.
    """

    def __init__(
        self, name: str, *, pretrained: bool, join: int = _FINEST, levels: Sequence[int] = (), stem_stride: int = 2
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise UsageError(f"timm has no model '{name}'.{did_you_mean(name, timm.list_models())}")
        hrnet = name.startswith("hrnet")
        reductions = _reductions(name)
        wanted = [i for i, stride in enumerate(reductions) if (stride in levels if levels else stride >= _FINEST)]
        missing = set(levels or [_FINEST]) - {reductions[i] for i in wanted}
        if missing:
            raise UsageError(
                f"timm's '{name}' has features at strides {reductions}; one at {min(missing)} is needed. "
                "Choose others with model.levels."
            )
        if stem_stride != 2 and not hrnet:
            raise UsageError(f"model.stem_stride = {stem_stride} changes HRNet's stem; '{name}' keeps 2.")
        self.backbone = _create(name, pretrained=pretrained, out_indices=wanted)
        if stem_stride != 2:
            cast(Any, self.backbone).conv2.stride = (stem_stride, stem_stride)
        info = self.backbone.feature_info
        self.strides = [int(reduction) * stem_stride // 2 for reduction in info.reduction()]
        self.stride = max(join, self.strides[0])
        self.size_divisor = max(self.strides)
        self.level_channels = [int(channels) for channels in info.channels()]
        self.out_channels = sum(self.level_channels)
        self.channels_last = str(getattr(self.backbone, "output_fmt", "")).endswith("NHWC")
        config = cast(dict[str, Any], self.backbone.pretrained_cfg)
        self.mean, self.std = [list(map(float, config[key])) for key in ("mean", "std")]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W), sides multiples of `size_divisor` -> (B, C, H/stride, W/stride)."""
        levels = self.backbone(images)
        if self.channels_last:  # (B, h, w, C)
            levels = [level.permute(0, 3, 1, 2) for level in levels]
        height, width = (side // self.stride for side in images.shape[-2:])
        return torch.cat([self._joined(level, (height, width)) for level in levels], dim=1)

    def _joined(self, level: Tensor, size: tuple[int, int]) -> Tensor:
        if level.shape[-2] > size[0]:
            return F.avg_pool2d(level, level.shape[-2] // size[0])
        return level if level.shape[-2:] == size else F.interpolate(level, size, mode="bilinear", align_corners=False)


def _reductions(name: str) -> list[int]:
    """Return the strides of a timm model's levels, from its meta device: no weight is drawn or fetched."""
    with torch.device("meta"):
        return [int(reduction) for reduction in _create(name, pretrained=False).feature_info.reduction()]


def _create(name: str, *, pretrained: bool, **options: Any) -> Any:
    own = next((settings for start, settings in _OPTIONS.items() if name.startswith(start)), dict[str, Any]())
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, **own, **options)
    except RuntimeError as error:
        raise UsageError(f"timm's '{name}' cannot be used as an encoder: {error}") from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The published weights of timm's '{name}' cannot be fetched ({type(error).__name__}). Connect once so "
            "that they are cached, or train from scratch with --set model.pretrained=false."
        ) from error
