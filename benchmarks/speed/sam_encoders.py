"""SAM's image encoder as four libraries build it, with random weights, for benchmarks to compare."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder

Encode = Callable[[Tensor], Tensor]


def official(config: SamConfig, side: int) -> nn.Module:
    """Return `segment_anything`'s encoder for square images of one size."""
    from segment_anything.modeling import ImageEncoderViT

    return ImageEncoderViT(
        img_size=side,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        out_chans=config.out_channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=config.window_size,
        global_attn_indexes=config.global_attn_indexes,
    )


def in_timm(config: SamConfig, side: int) -> nn.Module:
    """Return timm's; its `samvit_base_patch16` where `config` is SAM-base."""
    from timm.models.vision_transformer_sam import VisionTransformerSAM

    return VisionTransformerSAM(
        img_size=side,
        num_classes=0,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        neck_chans=config.out_channels,
        use_rel_pos=True,
        window_size=config.window_size,
        global_attn_indexes=config.global_attn_indexes,
        global_pool="",
    )


def in_transformers(config: SamConfig, side: int) -> nn.Module:
    """Return transformers' `SamVisionModel` with its fused attention."""
    from transformers import SamVisionConfig, SamVisionModel

    theirs = SamVisionConfig(
        image_size=side,
        hidden_size=config.embed_dim,
        output_channels=config.out_channels,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        window_size=config.window_size,
        global_attn_indexes=list(config.global_attn_indexes),
        num_pos_feats=config.out_channels // 2,
    )
    theirs._attn_implementation = "sdpa"
    return SamVisionModel(theirs)


def ours(config: SamConfig, side: int) -> nn.Module:  # noqa: ARG001 - it takes any size
    """Return ours."""
    return SamEncoder.random(config)


LIBRARIES: dict[str, Callable[[SamConfig, int], nn.Module]] = {
    "segment_anything": official,
    "timm": in_timm,
    "transformers": in_transformers,
    "ours": ours,
}


def features_of(output: object) -> Tensor:
    """Return the neck's features (B, C, h, w) from what one of the encoders gave; ours gives a list of one."""
    if isinstance(output, list):
        return output[-1]
    return output if isinstance(output, Tensor) else output.last_hidden_state  # type: ignore[attr-defined]
