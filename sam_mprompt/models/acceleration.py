"""What saves time or memory and changes counts by rounding: compiled or recomputed blocks, channels-last layout."""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import torch
from torch import nn

from ..errors import UsageError
from .counter import CrowdCounter
from .sam_encoder import SamEncoder

Module = TypeVar("Module", bound=nn.Module)


def compile_encoder(encoder: nn.Module) -> None:
    """Let `torch.compile` translate an encoder at its first call: SAM's block by block, any other as a whole.

    Blocks are compiled rather than the encoder because equal blocks then share one translation, prompt modules inside
    them included. Shapes are static: another size of crops (`data.crop`) or of tiles is translated anew. Tiles fit the
    image, so that this is for images of one size, or few. The state dict keeps its names.
    """
    sam = next(_of_type(encoder, SamEncoder), None)
    for module in [encoder] if sam is None else list(sam.blocks):
        module.compile(dynamic=False)


def enable_gradient_checkpointing(encoder: nn.Module) -> None:
    """Recompute each block in the backward pass instead of keeping what it computed (gradient checkpointing).

    Raises:
        UsageError: a timm model that cannot.
    """
    from .timm_encoder import TimmEncoder  # of what trains

    for sam in _of_type(encoder, SamEncoder):
        sam.gradient_checkpointing = True
    for timm in _of_type(encoder, TimmEncoder):
        try:
            cast(Any, getattr(timm.backbone, "model", timm.backbone)).set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise UsageError(
                f"train.gradient_checkpointing: timm's {type(timm.backbone).__name__} cannot recompute its blocks. "
                "Set it to false, or lower data.crop or train.batch_size."
            ) from error


def channels_last(counter: CrowdCounter) -> None:
    """Lay out the weights of all convolutions as their kernels want them, (out, h, w, in), but those of SAM's encoder.

    What comes in keeps the layout on its way, on a CPU as on a GPU. SAM's encoder is left alone: it holds its tokens
    that way anyhow, and permutes them for its two convolutions. So are all where PyTorch has no oneDNN, whose kernels
    these are on a CPU; others take longer in that layout.
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return
    for part in counter.children():
        if next(_of_type(part, SamEncoder), None) is None:
            part.to(memory_format=torch.channels_last)


def _of_type(root: nn.Module, kind: type[Module]) -> Iterator[Module]:
    return (module for module in root.modules() if isinstance(module, kind))
