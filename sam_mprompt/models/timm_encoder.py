"""Any timm backbone as the encoder of a native recipe; HRNet-W40 is the paper's."""

from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import RequestError, did_you_mean

_FINEST = 4


class TimmEncoder(nn.Module):
    """A timm model's feature maps, brought to one resolution and concatenated ("C" in HRNet-W40-C).

    Args:
        name: a timm model name, such as "hrnet_w40".
        pretrained: load timm's published weights (downloads them once).
        join: pixels per cell at which the levels are joined, or the model's finest kept level (stride 4) where that is
            coarser. Finer levels are averaged, coarser ones interpolated.
        stem_stride: of the second convolution of HRNet's stem. 1 doubles the resolution of all levels, as in the
            paper's released code; 2 is what HRNet was pre-trained with. Other models have 2.

    Attributes:
        out_channels: sum of the levels' channels.
        stride: pixels per feature cell.
        multiple: image sides must be multiples of it, the coarsest level's stride.
        mean, std: RGB statistics that the weights expect, for images in [0, 1].

    Raises:
        RequestError: unknown model, no feature maps at stride 4, weights that cannot be fetched, or a stem that cannot
            be changed.
    """

    def __init__(self, name: str, *, pretrained: bool, join: int = _FINEST, stem_stride: int = 2) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise RequestError(f"timm has no model '{name}'.{did_you_mean(name, timm.list_models())}")
        hrnet = name.startswith("hrnet")
        # "": the branches themselves, as the paper joins them, not those widened for classification.
        options = {"feature_location": ""} if hrnet else {}
        try:
            self.backbone = timm.create_model(name, pretrained=pretrained, features_only=True, **options)
        except RuntimeError as error:
            raise RequestError(f"timm's '{name}' cannot be used as an encoder: {error}") from error
        except (OSError, ValueError) as error:
            raise RequestError(
                f"The published weights of timm's '{name}' cannot be fetched ({type(error).__name__}). Connect once so "
                "that they are cached, or train from scratch with --set model.pretrained=false."
            ) from error
        info = self.backbone.feature_info
        reductions = [int(reduction) for reduction in info.reduction()]
        self.kept = [i for i, reduction in enumerate(reductions) if reduction >= _FINEST]
        if not self.kept or reductions[self.kept[0]] != _FINEST:
            raise RequestError(f"timm's '{name}' has features at strides {reductions}; one at {_FINEST} is needed.")
        if stem_stride != 2:
            if not hrnet:
                raise RequestError(f"model.stem_stride = {stem_stride} changes HRNet's stem; '{name}' keeps 2.")
            cast(Any, self.backbone).conv2.stride = (stem_stride, stem_stride)
        self.strides = [reductions[i] * stem_stride // 2 for i in self.kept]
        self.stride = max(join, self.strides[0])
        self.multiple = max(self.strides)
        self.level_channels = [int(info.channels()[i]) for i in self.kept]
        self.out_channels = sum(self.level_channels)
        config = cast(dict[str, Any], self.backbone.pretrained_cfg)
        self.mean, self.std = [list(map(float, config[key])) for key in ("mean", "std")]

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W), sides multiples of `multiple` -> (B, out_channels, H/stride, W/stride)."""
        levels = self.backbone(images)
        height, width = (side // self.stride for side in images.shape[-2:])
        return torch.cat([self._joined(levels[i], (height, width)) for i in self.kept], dim=1)

    def _joined(self, level: Tensor, size: tuple[int, int]) -> Tensor:
        if level.shape[-2] > size[0]:
            return F.avg_pool2d(level, level.shape[-2] // size[0])
        return level if level.shape[-2:] == size else F.interpolate(level, size, mode="bilinear", align_corners=False)
