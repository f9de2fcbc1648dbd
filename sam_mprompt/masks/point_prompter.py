"""The whole frozen SAM as a maker of masks: its image encoder, prompt encoder and mask decoder, prompted by points."""

from pathlib import Path
from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn

from ..bases.locate import RandomBase, resolve
from ..bases.names import TRANSFORMERS, naming_of
from ..bases.weights import open_checkpoint
from ..errors import UsageError
from ..models.sam_encoder import SamEncoder

_PARTS = ("prompt_encoder", "mask_decoder")
_HEADS = 8  # of the decoder's transformer, in every published SAM
_FINER = 4  # masks come at a quarter of the image's resolution, features at a sixteenth


class PointPrompter(nn.Module):
    """Answers point prompts on images of any size that is a multiple of 16.

    Args:
        encoder: SAM's image encoder.
        tensors: SAM's `prompt_encoder.*` and `mask_decoder.*`.

    Raises:
        UsageError: missing or reshaped tensors.
    """

    def __init__(self, encoder: SamEncoder, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.encoder = encoder
        try:
            channels = tensors["prompt_encoder.no_mask_embed.weight"].shape[1]
            self.prompt_encoder = PromptEncoder(
                embed_dim=channels,
                image_embedding_size=(1, 1),
                input_image_size=(1, 1),
                mask_in_chans=tensors["prompt_encoder.mask_downscaling.6.weight"].shape[1],
            )
            self.mask_decoder = MaskDecoder(
                transformer_dim=channels,
                transformer=TwoWayTransformer(
                    depth=2,
                    embedding_dim=channels,
                    mlp_dim=tensors["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
                    num_heads=_HEADS,
                ),
                iou_head_hidden_dim=tensors["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
            )
            for part in _PARTS:
                own = {name.removeprefix(f"{part}."): t.float() for name, t in tensors.items() if name.startswith(part)}
                cast(nn.Module, getattr(self, part)).load_state_dict(own)
        except KeyError as error:
            raise UsageError(
                f"This is not the whole SAM: it has no tensor {error}. Masks need the official file with its decoder."
            ) from error
        except RuntimeError as error:
            raise UsageError(f"This is not SAM's decoder: {' '.join(str(error).split())}") from error
        self.requires_grad_(False).eval()

    @classmethod
    def from_checkpoint(cls, base: str | Path) -> "PointPrompter":
        """Load SAM whole, from a registered name ("sam_vit_b") or a file in the official format.

        Raises:
            UsageError: the base is not here, is damaged, or holds an encoder alone.
        """
        found = resolve(base)
        if isinstance(found, RandomBase):
            raise UsageError(f"'{base}' is an encoder alone; masks need the whole SAM, such as sam_vit_b.")
        tensors = open_checkpoint(found)
        if naming_of(tensors) is TRANSFORMERS:
            raise UsageError(
                f"'{found}' is SAM in the naming of transformers, which serves as a base; masks need the decoder in "
                "the official naming, such as sam_vit_b."
            )
        return cls(SamEncoder.from_checkpoint(base), tensors)

    def encode(self, images: Tensor) -> Tensor:
        """Normalised images (1, 3, H, W) -> features (1, C, H/16, W/16), for any number of `answer`s."""
        (features,) = self.encoder(images)
        return features

    def answer(self, features: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Answer one point prompt per mask.

        Args:
            features: of `encode`, (1, C, h, w).
            points: (N, 2) as (x, y) pixels of the encoded image.

        Returns:
            Mask logits (N, 3, 4h, 4w), SAM's three guesses from part to whole in no fixed order, and the
            intersection over union that SAM predicts for each, (N, 3).
        """
        height, width = features.shape[-2:]
        prompts, stride = self.prompt_encoder, self.encoder.stride
        prompts.image_embedding_size = (height, width)
        prompts.input_image_size = (height * stride, width * stride)
        foreground = torch.ones(len(points), 1, dtype=torch.int64, device=points.device)
        sparse, dense = prompts(points=(points[:, None].float(), foreground), boxes=None, masks=None)
        logits, scores = self.mask_decoder(
            image_embeddings=features,
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return logits, scores

    @property
    def cell(self) -> int:
        """Pixels per side of a mask logit."""
        return self.encoder.stride // _FINER
