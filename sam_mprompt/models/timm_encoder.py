"""Any timm backbone as the encoder: the paper's HRNet-W40, VGG19 and Swin among them."""

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import Rgb
from ..errors import UsageError, did_you_mean
from .timm_base import registered_timm_bases
from .timm_sizes import size_divisor_of
from .timm_weights import load_weights

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

    Called with `levels=True` it returns the maps as they come, each at its own resolution (B, c_i, H/s_i, W/s_i), or
    where there is only one the features, as a SAM encoder's last level.

    Args:
        name: a timm model name, such as "hrnet_w40".
        pretrained: load timm's published weights (downloads them once).
        join: pixels per cell at which the levels are joined, or the model's finest kept level (stride 4) where that is
            coarser. Finer levels are averaged, coarser ones interpolated.
        levels: strides of the levels to keep; empty for all from stride 4 on. Of several with the same stride, as all
            blocks of a plain ViT have, the deepest is taken. What lies behind the last is left out.
        stem_stride: of the second convolution of HRNet's stem. 1 doubles the resolution of all levels, as in the
            paper's released code; 2 is what HRNet was pre-trained with. Other models have 2.
        weights: file of weights (.safetensors, .pth or .pt) that takes the place of the published ones.
        pruned: leave out the stages behind the last level where timm keeps them, as it does those of an EfficientNet.
            Not for models that saved adapters hold whole.

    Attributes:
        out_channels: sum of the levels' channels.
        stride: pixels per feature cell.
        level_channels: channels of each level.
        level_strides: pixels per cell of each level that a call with `levels=True` returns.
        size_divisor: image sides must be multiples of it.
        mean, std: RGB statistics that the weights expect, for images in [0, 1].
        left_out: names of the tensors in `weights` that belong to layers behind the last level, which are not used.

    Raises:
        UsageError: unknown model, no feature maps at the wanted strides, a model for images of one size only, weights
            that cannot be fetched or do not fit, or a stem that cannot be changed.
    """

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool,
        join: int = _FINEST,
        levels: Sequence[int] = (),
        stem_stride: int = 2,
        weights: str = "",
        pruned: bool = False,
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            known = [*registered_timm_bases(), *timm.list_models()]
            raise UsageError(f"timm has no model '{name}'.{did_you_mean(name, known)}")
        if stem_stride != 2 and not name.startswith("hrnet"):
            raise UsageError(f"model.stem_stride = {stem_stride} changes HRNet's stem; '{name}' keeps 2.")
        with torch.device("meta"):
            whole = _create(name)
        options: dict[str, Any] = {"out_indices": _chosen(name, _reductions(whole), levels)}
        if hasattr(getattr(whole, "model", whole), "dynamic_img_size"):
            options["dynamic_img_size"] = True
        with torch.device("meta"):
            shape_only = _with_stem(_create(name, **options), stem_stride)
        self.backbone = _with_stem(_create(name, pretrained=pretrained and not weights, **options), stem_stride)
        info = self.backbone.feature_info
        if pruned:
            _drop_stages_behind(self.backbone, info.module_name()[-1])
        strides = tuple(int(reduction) * stem_stride // 2 for reduction in info.reduction())
        self.stride = max(join, strides[0])
        self.level_strides = strides if len(strides) > 1 else (self.stride,)
        self.level_channels = tuple(int(channels) for channels in info.channels())
        self.out_channels = sum(self.level_channels)
        self.channels_last = str(getattr(self.backbone, "output_fmt", "")).endswith("NHWC")
        config = cast(dict[str, Any], self.backbone.pretrained_cfg)
        coarsest = max(_reductions(whole)) * stem_stride // 2
        self.size_divisor = size_divisor_of(
            shape_only, name, strides, coarsest=coarsest, trained=config["input_size"][1:]
        )
        self.mean, self.std = (_rgb(config[key]) for key in ("mean", "std"))
        self.left_out = load_weights(self.backbone, name, weights, _own_options(name)) if weights else ()

    def forward(self, images: Tensor, *, levels: bool = False) -> list[Tensor]:
        """Normalised images (B, 3, H, W), sides multiples of `size_divisor` -> one (B, C, H/stride, W/stride).

        Raises:
            UsageError: images of another shape.
        """
        if images.dim() != 4 or any(side % self.size_divisor for side in images.shape[-2:]):
            raise UsageError(
                f"Expected images (B, 3, H, W) with H and W multiples of {self.size_divisor}, got "
                f"{tuple(images.shape)}. Pad or resize them first."
            )
        maps = self.backbone(images)
        if self.channels_last:  # (B, h, w, C)
            maps = [level.permute(0, 3, 1, 2) for level in maps]
        if levels and len(maps) > 1:
            return list(maps)
        height, width = (side // self.stride for side in images.shape[-2:])
        return [torch.cat([_joined(level, (height, width)) for level in maps], dim=1)]


def _joined(level: Tensor, size: tuple[int, int]) -> Tensor:
    """Average or interpolate a level to `size` cells."""
    if level.shape[-2] > size[0]:
        return F.avg_pool2d(level, level.shape[-2] // size[0])
    return level if level.shape[-2:] == size else F.interpolate(level, size, mode="bilinear", align_corners=False)


def _chosen(name: str, reductions: Sequence[int], levels: Sequence[int]) -> list[int]:
    """Return the index of the deepest level of each wanted stride, the finest first."""
    deepest = {stride: index for index, stride in enumerate(reductions)}
    wanted = {stride: index for stride, index in deepest.items() if (stride in levels if levels else stride >= _FINEST)}
    if missing := set(levels or [_FINEST]) - wanted.keys():
        raise UsageError(
            f"timm's '{name}' has features at strides {[*deepest]}; one at {min(missing)} is needed. "
            "Choose others with model.levels."
        )
    return list(wanted.values())


def _reductions(whole: Any) -> list[int]:
    """Return the stride of every level that a model could give; `feature_info.reduction()` lists the default ones."""
    return [int(level["reduction"]) for level in whole.feature_info.info]


def _drop_stages_behind(backbone: Any, last: str) -> None:
    """Take out the stages behind the module called `last`, such as "blocks.4", which are computed for nothing."""
    stages, _, index = last.partition(".")
    if index.isdecimal() and isinstance(getattr(backbone, stages, None), nn.Sequential):
        del getattr(backbone, stages)[int(index) + 1 :]


def _with_stem(backbone: Any, stride: int) -> Any:
    if stride != 2:
        backbone.conv2.stride = (stride, stride)
    return backbone


def _own_options(name: str) -> dict[str, Any]:
    return next((settings for start, settings in _OPTIONS.items() if name.startswith(start)), {})


def _rgb(values: Sequence[float]) -> Rgb:
    red, green, blue = map(float, values)
    return red, green, blue


def _create(name: str, *, pretrained: bool = False, **options: Any) -> Any:
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, **_own_options(name), **options)
    except RuntimeError as error:
        raise UsageError(f"timm's '{name}' cannot be used as an encoder: {error}") from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The published weights of timm's '{name}' cannot be fetched ({type(error).__name__}). Connect once so "
            "that they are cached, give a file of them as model.weights, or train from scratch with "
            "model.pretrained = false."
        ) from error
