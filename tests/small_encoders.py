"""Encoders that are small enough for tests: the layouts that prompt modules meet."""

from functools import partial

import timm
import torch
from segment_anything.modeling.image_encoder import ImageEncoderViT
from torch import Tensor, nn

from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder

torch.set_num_threads(1)  # layers this small only get slower with more


def small_sam(dim: int = 16, depth: int = 2) -> nn.Module:
    """The official SAM encoder, for 64 x 64 px: (B, H, W, C) features, padded windows, the last block global."""
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=64,
        embed_dim=dim,
        depth=depth,
        num_heads=2,
        mlp_ratio=2,
        out_chans=8,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        rel_pos_zero_init=False,
        window_size=3,
        global_attn_indexes=(depth - 1,),
    )
    return encoder.eval()


def our_sam() -> SamEncoder:
    """This project's SAM encoder, which takes images of any size."""
    config = SamConfig(
        embed_dim=16,
        depth=2,
        num_heads=2,
        mlp_dim=32,
        out_channels=8,
        patch=16,
        grid=4,
        window_size=3,
        global_attn_indexes=(1,),
    )
    return SamEncoder.random(config).eval()


def small_vit() -> nn.Module:
    """timm's ViT: (B, N, C) features."""
    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=64, embed_dim=16, depth=2, num_heads=2, num_classes=0, pretrained=False
    ).eval()


def small_swin() -> nn.Module:
    """timm's Swin: two stages of two blocks; attention gets windows and a mask, the MLP gets (B, H, W, C)."""
    torch.manual_seed(0)
    return timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=64,
        window_size=4,
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 2),
        num_classes=0,
        pretrained=False,
    ).eval()


def small_swin_cr() -> nn.Module:
    """timm's other Swin V2, whose attention defines a network for its positions behind its output layer."""
    torch.manual_seed(0)
    return timm.create_model(
        "swinv2_cr_tiny_224",
        img_size=64,
        window_size=4,
        embed_dim=16,
        depths=(1, 1),
        num_heads=(2, 2),
        num_classes=0,
        pretrained=False,
    ).eval()


def images(batch: int = 2) -> Tensor:
    """Return (B, 3, 64, 64) noise."""
    return torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def features_of(encoder: nn.Module, x: Tensor | None = None) -> Tensor:
    """Return what any of these encoders makes of `x`, or of `images()`: ours give a list of one tensor."""
    output = encoder(images() if x is None else x)
    return output[0] if isinstance(output, list) else output


def loss_of(features: Tensor | list[Tensor]) -> Tensor:
    """Return a loss that depends on every feature, also behind SAM's last LayerNorm, which fixes sums and squares."""
    if isinstance(features, list):
        (features,) = features
    return (features.float() * torch.randn(features.shape, generator=torch.Generator().manual_seed(2))).mean()


def fill_adapter(encoder: nn.Module, name: str, seed: int = 0) -> None:
    """Give an adapter values with which it is far from the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in encoder.named_parameters():
            if f".{name}." in f"{key}." and parameter.is_floating_point():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
