"""Any timm backbone as the encoder of a native recipe; HRNet-W40 is the paper's."""

from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import RequestError, did_you_mean


class TimmEncoder(nn.Module):
    """A timm model's feature maps, brought to the finest kept resolution and concatenated ("C" in HRNet-W40-C).

    Args:
        name: a timm model name, such as "hrnet_w40".
        pretrained: load timm's published weights (downloads them once).

    Raises:
        RequestError: unknown model, no feature maps at stride 4 or finer than 32, or weights that cannot be fetched.
    """

    stride = 4
    multiple = 32

    def __init__(self, name: str, *, pretrained: bool) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise RequestError(f"timm has no model '{name}'.{did_you_mean(name, timm.list_models())}")
        try:
            self.backbone = timm.create_model(name, pretrained=pretrained, features_only=True)
        except RuntimeError as error:
            raise RequestError(f"timm's '{name}' cannot be used as an encoder: {error}") from error
        except (OSError, ValueError) as error:
            raise RequestError(
                f"The published weights of timm's '{name}' cannot be fetched ({type(error).__name__}). Connect once so "
                "that they are cached, or train from scratch with --set model.pretrained=false."
            ) from error
        info = self.backbone.feature_info
        self.kept = [i for i, reduction in enumerate(info.reduction()) if reduction >= self.stride]
        if not self.kept or info.reduction()[self.kept[0]] != self.stride:
            raise RequestError(f"timm's '{name}' has features at strides {info.reduction()}; one at 4 is needed.")
        self.level_channels = [int(info.channels()[i]) for i in self.kept]
        self.out_channels = sum(self.level_channels)
        config = cast(dict[str, Any], self.backbone.pretrained_cfg)
        self.mean, self.std = [list(map(float, config[key])) for key in ("mean", "std")]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W), sides multiples of 32 -> features (B, sum of channels, H/4, W/4)."""
        levels = self.backbone(images)
        finest = levels[self.kept[0]]
        size = finest.shape[-2:]
        coarser = [F.interpolate(levels[i], size, mode="bilinear", align_corners=False) for i in self.kept[1:]]
        return torch.cat([finest, *coarser], dim=1)
