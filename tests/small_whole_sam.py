"""A small SAM with random weights, with its prompt encoder and decoder, in the official file format."""

from pathlib import Path

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from sam_mprompt.models.sam_config import SamConfig
from sam_mprompt.models.sam_encoder import SamEncoder


def parts_of_decoder() -> tuple[PromptEncoder, MaskDecoder]:
    """What answers prompts, on features of 32 channels."""
    transformer = TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=8)
    decoder = MaskDecoder(transformer_dim=32, transformer=transformer, iou_head_hidden_dim=24)
    return PromptEncoder(32, (4, 4), (64, 64), mask_in_chans=16), decoder


def write_whole_sam(path: Path) -> Path:
    """Write it, the same each time, and return the path."""
    torch.manual_seed(0)
    config = SamConfig(
        embed_dim=16, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=32, window_size=4, grid=8
    )
    prompts, decoder = parts_of_decoder()
    parts = {"image_encoder": SamEncoder.random(config), "prompt_encoder": prompts, "mask_decoder": decoder}
    torch.save({f"{name}.{key}": t for name, part in parts.items() for key, t in part.state_dict().items()}, path)
    return path
